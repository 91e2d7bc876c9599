/* tests/sim/scn_late.c: what comes just before or after the end of a scope: uses of an object that
 * its parent closes, results of tasks that could not run, signals of a stream that is closed.
 */
#include "scn.h"

#include <scope_ref.h>
#include <scope_signal.h>
#include <signal.h>
#include <string.h>

static int pauses(void *arg)
{
	(void)arg;
	pause_randomly();
	return sim_random(3) ? 0 : -EIO;
}

static int starts_soon(void *arg)
{
	pause_randomly();
	scope_started();
	return pauses(arg);
}

static int yields(void *arg)
{
	pause_randomly();
	while (arg && scope_yield() == 0 && sim_random(2))
		;
	return 0;
}

/* ---- one object's tasks use another while the parent of both closes ---------------------- */

struct late {
	struct scope parent, user, used;
	struct scope_parker parker;
};

/* What it opens or spawns in the other it leaves to the parent. */
static int uses(void *arg)
{
	struct late *late = arg;
	struct scope_ref ref;
	struct scope below;
	int i, rc = 0;

	for (i = 0; i < 3 && rc != -ESTALE; i++) {
		switch (sim_random(5)) {
		case 0:
			rc = scope_spawn(&late->used, yields, arg);
			break;
		case 1:
			rc = scope_open_in(&below, &late->used);
			if (rc == 0)
				scope_close(&below);
			break;
		case 2:
			rc = scope_ref_get(&late->used, &ref);
			break;
		case 3:
			rc = scope_start(&late->used, starts_soon, NULL);
			break;
		case 4:
			rc = scope_spawn(&late->parent, yields, arg);
			break;
		}
		sim_check(rc == 0 || rc == -ESTALE || rc == -ECANCELED || rc == -ENOMSG ||
				  rc == -EIO,
			  "a use gave %d", rc);
		pause_randomly();
	}
	return 0;
}

static int uses_race(void *arg)
{
	struct scope_options options = {.policy = (unsigned)sim_random(SCOPE_RACE + 1)};
	struct late late;
	int i, rc;

	(void)arg;
	options.results = options.policy <= SCOPE_AWAIT_ALL && sim_random(2);
	scope_open(&late.parent);
	sim_check(scope_open_in(&late.user, &late.parent) == 0, "no object");
	sim_check(scope_open_in_with(&late.used, &late.parent, &options) == 0, "no object");
	for (i = 0; i < 2; i++)
		scope_spawn(&late.user, uses, &late);
	if (sim_random(2))
		scope_spawn(&late.used, pauses, NULL);
	if (sim_random(2))
		scope_yield();
	pause_randomly();
	rc = scope_close(&late.parent);
	sim_check(rc == 0 || rc == -EIO || rc == -ENOENT || rc == -ECANCELED, "close gave %d", rc);
	memset(&late, 0xee, sizeof(late));
	pause_randomly();
	for (i = 0; i < (int)sizeof(late); i++)
		sim_check(((unsigned char *)&late)[i] == 0xee, "byte %d was written to", i);
	return 0;
}

Test(sim, an_object_is_used_while_its_parent_closes)
{
	explore("an_object_is_used_while_its_parent_closes", uses_race, 0);
}

/* ---- its owner moves it out, or adds to it ------------------------------------------------- */

static struct scope outer, inner, holder, object;
static unsigned called;

static int is_called(void *arg)
{
	called++;
	return yields(arg);
}

static int moves_out(void *arg)
{
	int rc = scope_open_in(&object, &inner), added = 0;

	(void)arg;
	sim_check(rc == 0 || rc == -ESTALE, "open gave %d", rc);
	if (rc < 0)
		return 0;
	pause_randomly();
	if (sim_random(2))
		added = scope_defer(&object, is_called, NULL) == 0;
	pause_randomly();
	rc = scope_move(&object, &outer);
	sim_check(rc == 0 || rc == -ESTALE || rc == -EBUSY, "move gave %d", rc);
	if (rc < 0) {
		rc = scope_close(&object);
		sim_check(rc == -ESTALE || rc == 0, "close gave %d", rc);
		sim_check(called == (unsigned)added, "called %u times", called);
	}
	return 0;
}

static int moves_race(void *arg)
{
	(void)arg;
	called = 0;
	scope_open(&outer);
	scope_open(&inner);
	sim_check(scope_open_in(&holder, &inner) == 0, "no object");
	scope_spawn(&holder, moves_out, NULL);
	if (sim_random(2))
		scope_yield();
	pause_randomly();
	sim_check(scope_close(&inner) == 0, "an error from nowhere");
	sim_check(scope_close(&outer) == 0, "an error from nowhere");
	sim_check(called <= 1, "called %u times", called);
	return 0;
}

Test(sim, an_object_is_moved_out_while_its_parent_closes)
{
	explore("an_object_is_moved_out_while_its_parent_closes", moves_race, 0);
}

/* ---- its owner closes it while others spawn ----------------------------------------------- */

static int succeeds(void *arg)
{
	(void)arg;
	pause_randomly();
	return 0;
}

static int spawns_late(void *arg)
{
	int rc;

	do {
		rc = scope_spawn(arg, succeeds, NULL);
		sim_check(rc == 0 || rc == -ESTALE || rc == -ECANCELED, "spawn gave %d", rc);
		pause_randomly();
	} while (rc == 0 && sim_random(4));
	return 0;
}

static int policy_race(void *arg)
{
	struct scope_options options = {.policy = SCOPE_ANY + (unsigned)sim_random(2)};
	struct scope s, any;
	int rc;

	(void)arg;
	scope_open(&s);
	sim_check(scope_open_in_with(&any, &s, &options) == 0, "no object");
	if (sim_random(2))
		scope_spawn(&any, pauses, NULL);
	scope_spawn_with(&s, spawns_late, &any,
			 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
	pause_randomly();
	rc = scope_close(&any);
	sim_check(rc == 0 || rc == -EIO || rc == -ENOENT, "close gave %d", rc);
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_success_comes_after_its_policy_was_settled)
{
	explore("a_success_comes_after_its_policy_was_settled", policy_race, 0);
}

/* ---- a post leaves an object to a scope that closes ----------------------------------------- */

static struct scope_ref late_ref;
static struct scope left_behind[2];
static struct scope *posted_into;
static struct sc_thread poster;

static int starts_and_ends(void *arg)
{
	(void)arg;
	if (sim_random(2))
		scope_sleep_for(1);
	return scope_started();
}

/* Parks, has a scope in between, leaves one in an object: all of them hang below. */
static int leaves_object(void *arg)
{
	int rc = 0;

	if (sim_random(8) == 0)
		scope_sleep_for(1);
	if (sim_random(8) == 0)
		rc = scope_start(posted_into, starts_and_ends, NULL);
	sim_check(rc == 0 || rc == -ECANCELED, "start gave %d", rc);
	rc = scope_open_in(arg, posted_into);
	sim_check(rc == 0 || rc == -ESTALE, "open gave %d", rc);
	return 0;
}

static void posts(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		pause_randomly();
		scope_post(&late_ref, leaves_object, &left_behind[i]);
	}
}

static int posts_race(void *arg)
{
	struct scope s;

	(void)arg;
	posted_into = &s;
	scope_open(&s);
	sim_check(scope_ref_get(&s, &late_ref) == 0, "no ref");
	sim_check(sc_os.thread_start(&poster, posts, NULL) == 0, "no thread");
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	sc_os.thread_join(&poster);
	return 0;
}

Test(sim, a_post_leaves_an_object_to_a_closing_scope)
{
	explore("a_post_leaves_an_object_to_a_closing_scope", posts_race, WITH_TIMERS);
}

/* ---- a task does so at the last instant ---------------------------------------------------- */

enum { ROUNDS = 3, OBJECTS = 6 };
static struct scope objects[ROUNDS][OBJECTS];
static unsigned spawned_in[ROUNDS];
static struct scope_ref refs[ROUNDS];
static unsigned refs_made;
static struct scope *closing;

static int leaves_one(void *arg)
{
	int rc = scope_open_in(arg, closing);

	sim_check(rc == 0, "open gave %d", rc);
	return 0;
}

/* As long as the scope lets it, round after round. */
static int spawns_by_ref(void *arg)
{
	unsigned round;
	int rc;

	for (round = 0; round < ROUNDS; round++) {
		while (refs_made <= round)
			if (scope_yield() < 0)
				return -ECANCELED;
		do {
			rc = scope_ref_spawn(&refs[round], leaves_one,
					     &objects[round][spawned_in[round]]);
			sim_check(rc == 0 || rc == -ESTALE, "spawn gave %d", rc);
			if (rc == 0)
				scope_yield();
		} while (rc == 0 && ++spawned_in[round] < OBJECTS);
	}
	(void)arg;
	return 0;
}

static int instants_race(void *arg)
{
	struct scope outer, s;
	unsigned round;

	(void)arg;
	memset(spawned_in, 0, sizeof(spawned_in));
	refs_made = 0;
	scope_open(&outer);
	scope_spawn_with(&outer, spawns_by_ref, NULL,
			 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
	for (round = 0; round < ROUNDS; round++) {
		closing = &s;
		scope_open(&s);
		sim_check(scope_ref_get(&s, &refs[round]) == 0, "no ref");
		refs_made = round + 1;
		pause_randomly();
		sim_check(scope_close(&s) == 0, "an error from nowhere");
	}
	sim_check(scope_close(&outer) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_right_leaves_an_object_at_the_last_instant)
{
	explore("a_right_leaves_an_object_at_the_last_instant", instants_race, PARALLEL);
}

/* ---- a scope that its task left open ------------------------------------------------------- */

static int leaves_open(void *arg)
{
	struct scope left[2];
	unsigned i;

	for (i = 0; i < 2; i++) {
		scope_open(&left[i]);
		if (sim_random(2))
			scope_spawn_with(&left[i], yields, arg,
					 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
		if (sim_random(2))
			scope_defer(&left[i], is_called, NULL);
	}
	pause_randomly();
	return 0;
}

static int leaks_race(void *arg)
{
	struct scope s;
	int rc;

	scope_open(&s);
	scope_spawn_with(&s, leaves_open, &s,
			 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
	pause_randomly();
	rc = scope_close(&s);
	sim_check(rc == -EPROTO, "close gave %d", rc);
	(void)arg;
	return 0;
}

Test(sim, a_scope_that_was_left_open_is_joined)
{
	explore("a_scope_that_was_left_open_is_joined", leaks_race, 0);
}

/* ---- results that will not come -------------------------------------------------------------- */

enum { TASKS = 4 };
static unsigned began, dropped, accepted;

static int begins(void *arg)
{
	began++;
	return scope_sleep_for((int64_t)sim_random(3)) == 0 ? yields(arg) : -ECANCELED;
}

static void drop_one(void *arg)
{
	(void)arg;
	dropped++;
}

/* The stacks are gone when some of the tasks begin, the owner waits for the next result. */
static int takes_results(void *arg)
{
	struct scope_options results = {.results = true};
	struct scope_spawn_options task = {.flags = SCOPE_CONCURRENT, .drop = drop_one};
	struct scope_result result;
	struct scope s, below;
	unsigned i, taken = 0;
	int rc;

	(void)arg;
	began = dropped = accepted = called = 0;
	if (scope_open_with(&s, &results) < 0)
		return 0;
	if (sim_random(2) && scope_open_in(&below, &s) == 0)
		scope_defer(&below, is_called, NULL);
	for (i = 0; i < TASKS; i++)
		accepted += scope_spawn_with(&s, begins, NULL, &task) == 0;
	sim_refuse(1 + sim_random(3), true);
	while ((rc = scope_next_until(&s, scope_now() + (int64_t)sim_random(4), &result)) == 0 ||
	       rc == -ETIMEDOUT)
		taken += rc == 0;
	sim_check(rc == -ENOENT || rc == -ECANCELED, "next gave %d", rc);
	sim_check(taken <= began, "%u results of %u tasks", taken, began);
	rc = scope_close(&s);
	sim_check(began + dropped == accepted, "%u began, %u were dropped, %u accepted", began,
		  dropped, accepted);
	sim_check(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static void results_race(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS | SCOPE_VIRTUAL_CLOCK,
				      .report = no_report};
	int rc;

	config.workers = 1 + (unsigned)sim_random(2);
	rc = scope_run(takes_results, arg, &config);
	sim_refuse(0, false);
	sim_check(rc == 0, "scope_run gave %d", rc);
}

Test(sim, a_result_that_will_not_come_is_not_waited_for)
{
	sim_explore("a_result_that_will_not_come_is_not_waited_for", results_race, NULL);
}

/* ---- a stream of signals --------------------------------------------------------------------- */

static struct sc_thread senders[2];
static struct scope_signal *stream;
static unsigned sent, received;

static void sends(void *arg)
{
	unsigned i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		pause_randomly();
		sent += sim_interrupt(SIGUSR1);
	}
}

static int streams_race(void *arg)
{
	unsigned i, most = (unsigned)sim_random(3);

	(void)arg;
	sent = received = 0;
	sim_check(scope_signal_open(SIGUSR1, &stream) == 0, "no stream");
	for (i = 0; i < 2; i++)
		sim_check(sc_os.thread_start(&senders[i], sends, NULL) == 0, "no thread");
	for (; received < most; received++)
		sim_check(scope_signal_next(stream) == 0, "no signal");
	pause_randomly();
	scope_signal_close(stream);
	for (i = 0; i < 2; i++)
		sc_os.thread_join(&senders[i]);
	sim_check(received <= sent, "%u received of %u", received, sent);
	return 0;
}

Test(sim, signals_race_the_end_of_their_stream)
{
	explore("signals_race_the_end_of_their_stream", streams_race, 0);
}
