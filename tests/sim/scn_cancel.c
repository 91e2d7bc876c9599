/* tests/sim/scn_cancel.c: cancel against spawn, park, close, shields, errors and itself. */
#include "scn.h"

#include <string.h>

/* The scopes are cancelled by a task; `spawned` is what the owner spawns meanwhile. */
static int spawn_against_cancel(void *arg)
{
	struct group g;
	struct job canceller = {0}, job[3];
	int i, rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &canceller, body_cancel);
	if (sim_random(2))
		scope_yield();
	for (i = 0; i < 3; i++) {
		job[i].number = 1;
		rc = group_spawn(&g, &job[i], i ? body_yield : body_for_ever);
		sim_check(rc == 0 || scope_cancel_called(&g.scope), "refused before the cancel");
	}
	rc = group_close(&g);
	sim_check(rc == 0, "an own cancel gave %d", rc);
	return 0;
}

Test(sim, spawn_races_cancel)
{
	explore("spawn_races_cancel", spawn_against_cancel, 0);
}

/* From the moment that a cancel returned: a spawn that leaves out the slow path as long as nobody
 * calls has been called by then, not by the monitor's next look. */
static int body_cancel_and_say(struct job *job)
{
	scope_cancel(&job->group->scope);
	job->number = 1;
	pause_randomly();
	return 0;
}

static int spawn_after_cancel(void *arg)
{
	struct group g;
	struct job canceller = {0}, job[8];
	int i;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &canceller, body_cancel_and_say);
	for (i = 0; i < 8; i++) {
		uint64_t cancelled = canceller.number;
		int rc = group_spawn(&g, &job[i], body_nothing);

		sim_check(rc || !cancelled, "a spawn into a cancelled scope gave 0");
		pause_randomly();
	}
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, spawns_are_refused_when_a_cancel_returned)
{
	explore("spawns_are_refused_when_a_cancel_returned", spawn_after_cancel, PARALLEL);
}

static int sleep_against_cancel(void *arg)
{
	struct group g;
	struct job sleeper[2];

	(void)arg;
	group_open(&g);
	group_spawn(&g, &sleeper[0], body_for_ever);
	sleeper[1].number = sim_random(5000);
	group_spawn(&g, &sleeper[1], body_sleep);
	if (sim_random(2))
		scope_yield();
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, sleep_races_cancel)
{
	explore("sleep_races_cancel", sleep_against_cancel, 0);
}

/* The canceller is a member, so the scope stays open under it. */
static int cancel_against_close(void *arg)
{
	struct group g;
	struct job canceller[2] = {{0}, {0}}, sleeper;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &sleeper, body_for_ever);
	group_spawn(&g, &canceller[0], body_cancel);
	group_spawn(&g, &canceller[1], body_cancel);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, cancel_races_close)
{
	explore("cancel_races_close", cancel_against_close, 0);
}

/* ---- shields ---- */

static int body_unshield(struct job *job)
{
	struct group *inner = job->pointer;

	sim_check(scope_set_shield(&inner->scope, false) == 0, "can't take the shield off");
	return 0;
}

/* Holds a shielded scope with a sleeper that only wakes when the shield is off and the
 * scope further out is cancelled, in whatever order. */
static int body_shielded(struct job *job)
{
	struct scope_options options = {.shield = true};
	struct group inner;
	struct job sleeper, unshield;
	int rc;

	group_open_with(&inner, &options);
	group_spawn(&inner, &sleeper, body_for_ever);
	unshield.pointer = &inner;
	group_spawn(&inner, &unshield, body_unshield);
	rc = group_close(&inner);
	sim_check(rc == -ECANCELED, "an outer hit gave %d", rc);
	sim_check(scope_cancelled(), "the cancel is not seen outside");
	return job->number ? -ECANCELED : 0;
}

static int shield(void *arg)
{
	struct group outer;
	struct job holder = {.number = sim_random(2)}, canceller = {0};

	(void)arg;
	group_open(&outer);
	if (sim_random(2))
		group_spawn(&outer, &canceller, body_cancel);
	group_spawn(&outer, &holder, body_shielded);
	if (sim_random(2))
		scope_yield();
	scope_cancel(&outer.scope);
	sim_check(group_close(&outer) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, shield_off_races_cancel)
{
	explore("shield_off_races_cancel", shield, 0);
}

/* A shield that stays on hides the cancel for good. */
static int body_protected(struct job *job)
{
	struct scope_options options = {.shield = true};
	struct group inner;
	struct job child = {.number = 2};

	(void)job;
	group_open_with(&inner, &options);
	sim_check(group_spawn(&inner, &child, body_yield) == 0, "refused behind a shield");
	sim_check(scope_yield() == 0, "a shield let a cancel through");
	sim_check(group_close(&inner) == 0, "a shield let a cancel through");
	sim_check(child.saw == 0, "a shield let a cancel through");
	return 0;
}

static int shield_on(void *arg)
{
	struct group outer;
	struct job holder, canceller = {0};

	(void)arg;
	group_open(&outer);
	group_spawn(&outer, &holder, body_protected);
	group_spawn(&outer, &canceller, body_cancel);
	if (sim_random(2))
		scope_yield();
	sim_check(group_close(&outer) == 0, "a cancel that hit nobody");
	return 0;
}

Test(sim, shield_hides_a_cancel)
{
	explore("shield_hides_a_cancel", shield_on, 0);
}

/* ---- errors ---- */

static int body_fail(struct job *job)
{
	if (job->number)
		scope_yield();
	return -EIO;
}

static int error_against_cancel(void *arg)
{
	struct group g;
	struct job job[3] = {{.number = sim_random(2)}, {0}, {0}};
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job[2], body_for_ever);
	group_spawn(&g, &job[0], body_fail);
	group_spawn(&g, &job[1], body_cancel);
	rc = group_close(&g);
	sim_check(rc == -EIO, "close gave %d", rc);
	return 0;
}

Test(sim, error_races_cancel)
{
	explore("error_races_cancel", error_against_cancel, 0);
}

static int body_fail_with(struct job *job)
{
	return -(int)job->number;
}

/* Two errors: the first wins, both cancel the sleeper. */
static int two_errors(void *arg)
{
	struct group g;
	struct job job[3] = {{.number = EIO}, {.number = EPROTO}, {0}};
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job[2], body_for_ever);
	group_spawn(&g, &job[0], body_fail_with);
	group_spawn(&g, &job[1], body_fail_with);
	rc = group_close(&g);
	sim_check(rc == -EIO || rc == -EPROTO, "close gave %d", rc);
	return 0;
}

Test(sim, first_error_cancels_the_rest)
{
	explore("first_error_cancels_the_rest", two_errors, 0);
}

/* The owner hands on what an earlier close gave it, and goes on reading it while tasks fail. */
static int last_error_is_read(void *arg)
{
	const struct scope_error *error;
	struct job job[3] = {{.number = EIO}, {.number = EPROTO}, {.number = EPIPE}};
	struct group g;
	int i, rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job[0], body_fail_with);
	sim_check(group_close(&g) == -EIO, "no error");
	error = scope_last_error();
	group_open(&g);
	group_spawn(&g, &job[1], body_fail_with);
	group_spawn(&g, &job[2], body_fail_with);
	scope_fail(&g.scope, -EIO, NULL);
	for (i = 0; i < 4; i++) {
		sim_check(!error->suppressed && !error->next, "others are listed below it");
		pause_randomly();
	}
	rc = group_close(&g);
	sim_check(rc == -EIO || rc == -EPROTO || rc == -EPIPE, "close gave %d", rc);
	return 0;
}

Test(sim, a_last_error_stays_as_it_is_while_its_task_reads_it)
{
	explore("a_last_error_stays_as_it_is_while_its_task_reads_it", last_error_is_read,
		PARALLEL);
}

/* ---- nesting ---- */

static struct group *level[4];

static int body_nest(struct job *job)
{
	struct group g;
	struct job sleeper, deeper, canceller = {0};
	int rc;

	group_open(&g);
	level[job->number] = &g;
	group_spawn(&g, &sleeper, body_for_ever);
	if (job->number > 0) {
		deeper.number = job->number - 1;
		group_spawn(&g, &deeper, body_nest);
	}
	if (sim_random(2))
		scope_yield();
	group_spawn(&g, &canceller, body_cancel);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return rc;
}

static int nested(void *arg)
{
	struct group g;
	struct job job = {.number = 2};
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_nest);
	rc = group_close(&g);
	sim_check(rc == 0, "nobody cancelled the outermost scope, close gave %d", rc);
	return 0;
}

Test(sim, nested_scopes_are_cancelled_at_once)
{
	explore("nested_scopes_are_cancelled_at_once", nested, 0);
}

/* A chain of scopes of one task; a child of the innermost parks, which links the chain,
 * while the outermost is cancelled. */
static int body_chain(struct job *job)
{
	struct group a, b, c;
	struct job sleeper, other;
	int rc;

	(void)job;
	group_open(&a);
	group_open(&b);
	group_open(&c);
	group_spawn(&c, &sleeper, body_for_ever);
	other.number = 1;
	group_spawn(&b, &other, body_yield);
	rc = group_close(&c);
	sim_check(rc == -ECANCELED, "an outer hit gave %d", rc);
	sim_check(group_close(&b) == -ECANCELED, "the hit did not go up");
	sim_check(group_close(&a) == -ECANCELED, "the hit did not go up");
	return 0;
}

static int lazy_linking(void *arg)
{
	struct group outer;
	struct job chain, canceller = {0};

	(void)arg;
	group_open(&outer);
	group_spawn(&outer, &chain, body_chain);
	if (sim_random(2))
		group_spawn(&outer, &canceller, body_cancel);
	if (sim_random(2))
		scope_yield();
	pause_randomly();
	scope_cancel(&outer.scope);
	sim_check(group_close(&outer) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, linking_races_cancel)
{
	explore("linking_races_cancel", lazy_linking, 0);
}

/* Looks again and again whether it is cancelled, in a scope that nobody has linked, until a task
 * of that parks and links it, and a while longer. */
static int body_look(struct job *job)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct group own;
	struct job sleeper;
	int i, more = 3;

	(void)job;
	group_open(&own);
	group_spawn_with(&own, &sleeper, body_for_ever, &options);
	for (i = 0; i < 50 && more > 0; i++) {
		scope_cancelled();
		more -= sleeper.runs;
	}
	sim_check(group_close(&own) == -ECANCELED, "the cancel was lost");
	return 0;
}

/* Cancels that reach nobody else: all look what has changed. */
static int body_cancel_itself(struct job *job)
{
	struct scope s;
	int i;

	(void)job;
	for (i = 0; i < 4; i++) {
		scope_open(&s);
		scope_cancel(&s);
		scope_close(&s);
	}
	return 0;
}

static int looking_and_linking(void *arg)
{
	struct group outer;
	struct job look, shake;

	(void)arg;
	group_open(&outer);
	group_spawn(&outer, &shake, body_cancel_itself);
	group_spawn(&outer, &look, body_look);
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	scope_cancel(&outer.scope);
	sim_check(group_close(&outer) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, linking_races_a_look_for_a_cancel)
{
	explore("linking_races_a_look_for_a_cancel", looking_and_linking, PARALLEL);
}

/* A task that computes, with checkpoints, in scopes that nobody linked: the cancel has to
 * reach it, and before the monitor's tick. */
static int body_compute(struct job *job)
{
	struct group inner;
	unsigned turn;
	int rc = 0;

	if (job->number)
		group_open(&inner);
	for (turn = 0; rc == 0; turn++) {
		sim_check(turn < 3000, "a cancel does not arrive");
		rc = job->number > 1 ? -(int)scope_cancelled() : scope_checkpoint();
		sc_os.relax(turn);
	}
	sim_check(scope_checkpoint() == -ECANCELED, "a cancel went away");
	if (job->number)
		sim_check(group_close(&inner) == -ECANCELED, "an outer hit is not reported");
	sim_check(scope_checkpoint() == -ECANCELED, "a cancel went away");
	return 0;
}

static int cancel_against_compute(void *arg)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	struct group g;
	struct job computer = {.number = sim_random(3)};
	unsigned turn;

	(void)arg;
	group_open(&g);
	group_spawn_with(&g, &computer, body_compute, &options);
	/* Not by yield: who yields may wait for its turn until the monitor's tick. */
	for (turn = (unsigned)sim_random(40); turn > 0; turn--)
		sc_os.relax(turn);
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, cancel_reaches_who_computes)
{
	explore("cancel_reaches_who_computes", cancel_against_compute, PARALLEL);
}

/* ---- ranges ---- */

enum { RANGE = 12 };
static unsigned char ran[RANGE];

static int count_range(void *arg)
{
	unsigned char *cell = arg;

	++*cell;
	if (sim_random(3) == 0)
		scope_yield();
	return sim_random(4) == 0 ? scope_sleep_until(SCOPE_NEVER) : 0;
}

static int range_against_cancel(void *arg)
{
	struct scope s;
	int i, rc, spawned;

	(void)arg;
	memset(ran, 0, sizeof(ran));
	scope_open(&s);
	spawned = scope_spawn_n(&s, count_range, ran, 1, RANGE);
	sim_check(spawned == 0, "refused with %d", spawned);
	if (sim_random(2))
		scope_yield();
	pause_randomly();
	scope_cancel(&s);
	rc = scope_close(&s);
	sim_check(rc == 0, "an own cancel gave %d", rc);
	for (i = 0; i < RANGE; i++)
		sim_check(ran[i] == 1, "child %d ran %d times", i, ran[i]);
	return 0;
}

Test(sim, range_races_cancel)
{
	explore("range_races_cancel", range_against_cancel, 0);
}
