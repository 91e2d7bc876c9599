/* tests/sim/scn_object.c: scopes that others than a block close, move, spawn into and cancel. */
#include "scn.h"

#include <scope_ref.h>
#include <string.h>

/* The memory of a scope that was closed is its owner's: nobody else writes to it. */
static void check_untouched(struct scope *s)
{
	const unsigned char *byte = (const unsigned char *)s;
	size_t i;

	memset(s, 0xee, sizeof(*s));
	pause_randomly();
	for (i = 0; i < sizeof(*s); i++)
		sim_check(byte[i] == 0xee, "byte %zu of a closed scope was written to", i);
}

static unsigned slept;

static int sleep_for_ever(void *arg)
{
	(void)arg;
	sim_check(scope_sleep_until(SCOPE_NEVER) == -ECANCELED, "a sleep for ever ended");
	slept++;
	return -ECANCELED;
}

/* ---- the parent's close against the owner's ------------------------------------------------ */

static int owns_one(void *arg)
{
	struct scope object;
	int rc;

	sim_check(scope_open_in(&object, arg) == 0, "no scope in the object");
	scope_spawn(&object, sleep_for_ever, NULL);
	pause_randomly();
	if (sim_random(2))
		scope_sleep_until(SCOPE_NEVER);
	if (sim_random(2))
		scope_wait_until(&object, scope_now());
	scope_cancel(&object);
	rc = scope_close(&object);
	sim_check(rc == 0 || rc == -ESTALE || rc == -ECANCELED, "close gave %d", rc);
	check_untouched(&object);
	return 0;
}

static int closes_race(void *arg)
{
	struct scope outer, holder;

	(void)arg;
	slept = 0;
	scope_open(&outer);
	scope_open_in(&holder, &outer);
	scope_spawn(&holder, owns_one, &outer);
	if (sim_random(2))
		scope_spawn(&holder, owns_one, &outer);
	pause_randomly();
	sim_check(scope_close(&outer) == 0, "an error from nowhere");
	check_untouched(&outer);
	check_untouched(&holder);
	return 0;
}

Test(sim, parent_closes_while_the_owner_closes)
{
	explore("parent_closes_while_the_owner_closes", closes_race, 0);
}

/* ---- an object below one that is closed with its parent ------------------------------------- */

static struct scope upper, lower;

static int opens_below(void *arg)
{
	int i, rc = 0;

	(void)arg;
	for (i = 0; i < 4 && rc == 0; i++) {
		rc = scope_open_in(&lower, &upper);
		sim_check(rc == 0 || rc == -ESTALE, "open gave %d", rc);
		if (rc == 0)
			rc = scope_close(&lower);
		sim_check(rc == 0 || rc == -ESTALE, "close gave %d", rc);
	}
	return 0;
}

static int opens_race(void *arg)
{
	struct scope outer, parent;

	(void)arg;
	scope_open(&outer);
	scope_open(&parent);
	sim_check(scope_open_in(&upper, &parent) == 0, "no scope in the object");
	scope_spawn(&outer, opens_below, NULL);
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	sim_check(scope_close(&parent) == 0, "an error from nowhere");
	check_untouched(&parent);
	sim_check(scope_close(&outer) == 0, "an error from nowhere");
	check_untouched(&upper);
	check_untouched(&lower);
	return 0;
}

Test(sim, an_object_is_opened_below_one_that_its_parent_closes)
{
	explore("an_object_is_opened_below_one_that_its_parent_closes", opens_race, 0);
}

/* ---- a move against a cancel ----------------------------------------------------------------- */

static int cancels(void *s)
{
	pause_randomly();
	scope_cancel(s);
	return 0;
}

static int yields_until_cancelled(void *arg)
{
	(void)arg;
	while (scope_yield() == 0)
		;
	return 0;
}

static int moves_race(void *arg)
{
	struct scope outer, inner, object;
	int from_above = (int)sim_random(2), rc;

	(void)arg;
	slept = 0;
	scope_open(&outer);
	scope_open(&inner);
	scope_open_in(&object, &inner);
	scope_spawn(&object, sleep_for_ever, NULL);
	if (sim_random(2))
		scope_spawn(&object, yields_until_cancelled, NULL);
	scope_spawn(&outer, cancels, from_above ? &outer : &inner);
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	sim_check(scope_move(&object, &outer) == 0, "the move failed");
	scope_close(&inner);
	/* From above it has to come in any case; from below it comes before the move or not. */
	if (!from_above)
		scope_cancel(&object);
	rc = scope_close(&object);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	sim_check(slept <= 1, "woken twice");
	check_untouched(&object);
	scope_close(&outer);
	return 0;
}

Test(sim, move_races_cancel)
{
	explore("move_races_cancel", moves_race, 0);
}

/* ---- rights against close ------------------------------------------------------------------ */

static struct scope_ref ref;
static unsigned accepted, ended;

static int counts(void *arg)
{
	(void)arg;
	pause_randomly();
	ended++;
	return 0;
}

static int spawns_by_ref(void *arg)
{
	int i, rc;

	(void)arg;
	for (i = 0; i < 3; i++) {
		rc = scope_ref_spawn(&ref, counts, NULL);
		sim_check(rc == 0 || rc == -ESTALE, "spawn gave %d", rc);
		accepted += rc == 0;
		pause_randomly();
	}
	return 0;
}

static int refs_race(void *arg)
{
	struct scope outer, inner;
	unsigned joined;

	(void)arg;
	accepted = ended = 0;
	scope_open(&outer);
	scope_open(&inner);
	sim_check(scope_ref_get(&inner, &ref) == 0, "no ref");
	scope_spawn(&outer, spawns_by_ref, NULL);
	pause_randomly();
	sim_check(scope_close(&inner) == 0, "an error from nowhere");
	joined = ended;
	check_untouched(&inner);
	sim_check(scope_close(&outer) == 0, "an error from nowhere");
	sim_check(ended == joined && ended == accepted, "%u joined, %u ended, %u accepted", joined,
		  ended, accepted);
	return 0;
}

Test(sim, ref_spawn_races_close)
{
	explore("ref_spawn_races_close", refs_race, 0);
}

/* ---- a thread outside ---------------------------------------------------------------------- */

static void posts(void *arg)
{
	int i, rc;

	(void)arg;
	for (i = 0; i < 3; i++) {
		rc = scope_post(&ref, counts, NULL);
		sim_check(rc == 0 || rc == -ESTALE, "post gave %d", rc);
		accepted += rc == 0;
	}
	rc = scope_call(&ref, counts, NULL);
	sim_check(rc == 0 || rc == -ESTALE, "call gave %d", rc);
	accepted += rc == 0;
	rc = scope_ref_cancel(&ref);
	sim_check(rc == 0 || rc == -ESTALE, "cancel gave %d", rc);
}

static struct sc_thread outsider;

static int posts_race(void *arg)
{
	struct scope s;

	(void)arg;
	accepted = ended = 0;
	scope_open(&s);
	sim_check(scope_ref_get(&s, &ref) == 0, "no ref");
	sim_check(sc_os.thread_start(&outsider, posts, NULL) == 0, "no thread");
	pause_randomly();
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	check_untouched(&s);
	return 0;
}

/* The thread may outlast the run. */
static void run_with_outsider(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .flags = SCOPE_NO_SIGNALS};

	(void)arg;
	config.workers = 1 + (unsigned)sim_random(3);
	sim_check(scope_run(posts_race, NULL, &config) == 0, "the run failed");
	sc_os.thread_join(&outsider);
	sim_check(ended == accepted, "%u ended, %u accepted", ended, accepted);
}

Test(sim, post_races_close_and_the_end_of_the_run)
{
	sim_explore("post_races_close_and_the_end_of_the_run", run_with_outsider, NULL);
}

/* ---- unpark against cancel ------------------------------------------------------------------- */

static struct scope_parker parker;

static int unparks(void *arg)
{
	(void)arg;
	pause_randomly();
	scope_unpark(&parker);
	return 0;
}

static int parks_race(void *arg)
{
	struct scope outer, inner;
	int rc;

	(void)arg;
	memset(&parker, 0, sizeof(parker));
	scope_open(&outer);
	scope_open(&inner);
	scope_spawn(&outer, unparks, NULL);
	scope_spawn(&outer, cancels, &inner);
	pause_randomly();
	rc = scope_park(&parker);
	sim_check(rc == 0 || rc == -ECANCELED, "park gave %d", rc);
	sim_check(scope_checkpoint() == -ECANCELED || rc == 0, "the cancel went away");
	scope_close(&inner);
	scope_wait_until(&outer, SCOPE_NEVER);
	/* The one permit was taken, or is there. */
	sim_check(scope_park_until(&parker, 0) == (rc ? 0 : -ETIMEDOUT),
		  "a permit lost or doubled");
	scope_close(&outer);
	return 0;
}

Test(sim, unpark_races_cancel)
{
	explore("unpark_races_cancel", parks_race, 0);
}

/* ---- a start against a cancel ---------------------------------------------------------------- */

static unsigned was_started;

static int starts(void *arg)
{
	int rc;

	(void)arg;
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	rc = scope_started();
	sim_check(rc == 0 || rc == -ECANCELED, "started gave %d", rc);
	was_started += rc == 0;
	pause_randomly();
	ended++;
	return 0;
}

static int starts_race(void *arg)
{
	struct scope outer, inner;
	int rc, of_scope = (int)sim_random(2);

	(void)arg;
	was_started = ended = 0;
	scope_open(&outer);
	scope_open(&inner);
	scope_spawn(&outer, cancels, of_scope ? &outer : &inner);
	pause_randomly();
	rc = scope_start(&outer, starts, NULL);
	sim_check(rc == 0 || rc == -ECANCELED, "start gave %d", rc);
	sim_check((rc == 0) == (was_started == 1), "start gave %d, %u started", rc, was_started);
	sim_check(rc == 0 || ended <= 1, "%u ended", ended);
	scope_close(&inner);
	scope_close(&outer);
	sim_check(ended == was_started || rc < 0, "%u ended, %u started", ended, was_started);
	return 0;
}

Test(sim, start_races_cancel)
{
	explore("start_races_cancel", starts_race, 0);
}

/* ---- services -------------------------------------------------------------------------------- */

static int serves(void *arg)
{
	(void)arg;
	if (sim_random(2))
		scope_sleep_until(SCOPE_NEVER);
	pause_randomly();
	ended++;
	return sim_random(3) ? 0 : -EIO;
}

static int services_race(void *arg)
{
	static const struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	struct scope s;
	unsigned i, spawned = 0;
	int rc;

	(void)arg;
	ended = 0;
	scope_open(&s);
	for (i = 0; i < 3; i++)
		spawned += scope_spawn_with(&s, serves, NULL, &service) == 0;
	scope_spawn(&s, counts, NULL);
	pause_randomly();
	rc = scope_close(&s);
	sim_check(rc == 0 || rc == -EIO, "close gave %d", rc);
	sim_check(ended >= spawned, "%u of %u services ended", ended, spawned);
	check_untouched(&s);
	return 0;
}

Test(sim, services_end_while_their_scope_closes)
{
	explore("services_end_while_their_scope_closes", services_race, 0);
}
