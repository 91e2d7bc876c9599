/* tests/sim/scn_supervise.c: supervisors: ends, restarts, cancels, spawns in any order (V1). */
#include "scn.h"

#include <scope_supervise.h>
#include <string.h>

enum { CHILDREN = 4 };

/* Counts how it runs, and ends as chance has it. */
struct child {
	unsigned runs, most; /* ... so often */
	bool running, accepted;
};

static struct child children[CHILDREN];
static struct scope_spawner spawner;
static bool in_order; /* who is stopped is the last of all, and not of a group */
static bool closed;

static int run_child(void *arg)
{
	struct child *child = arg;
	int rc = 0;

	sim_check(!child->running, "a child ran twice at once");
	sim_check(!closed, "a child ran when its scope was closed");
	child->running = true;
	child->runs++;
	pause_randomly();
	switch (child->runs < child->most ? sim_random(4) : 3) {
	case 0:
		rc = -EIO;
		break;
	case 1:
		break;
	case 2:
		rc = scope_sleep_for((int64_t)sim_random(20)) ? -ECANCELED : -EPIPE;
		break;
	default:
		rc = sim_random(2) ? scope_soft_begin() : 0;
		rc = scope_sleep_until(SCOPE_NEVER);
		sim_check(rc == -ECANCELED || rc == -ESHUTDOWN, "sleeping gave %d", rc);
	}
	if (rc == -ECANCELED && in_order) {
		struct child *later;

		for (later = child + 1; later < children + CHILDREN; later++)
			sim_check(!later->running, "a child was stopped before a later one");
	}
	pause_randomly();
	child->running = false;
	return rc;
}

static void spawn_child(struct child *child)
{
	static const struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	int rc;

	if (sim_random(4))
		rc = scope_spawner_spawn(&spawner, run_child, child);
	else
		rc = scope_spawner_spawn_with(&spawner, run_child, child, &service);
	sim_check(rc == 0 || rc == -ECANCELED || rc == -ESTALE, "a spawn gave %d", rc);
	child->accepted = rc == 0;
}

static unsigned strangers;

/* Beside the scope: it may be closed already. */
static int spawns_late(void *arg)
{
	spawn_child(arg);
	strangers--;
	return 0;
}

static int cancels(void *arg)
{
	pause_randomly();
	if (sim_random(2))
		scope_sleep_for((int64_t)sim_random(30));
	if (sim_random(2))
		scope_shutdown(arg, (int64_t)sim_random(20));
	else
		scope_cancel(arg);
	return 0;
}

static int supervising(void *arg)
{
	struct scope_options policy = {.policy = sim_random(2) ? SCOPE_AWAIT_ALL : SCOPE_ALL};
	struct scope_supervise_options options = {
		.strategy = (unsigned)sim_random(3), .restart = (unsigned)sim_random(4),
		.max_restarts = 1 + (unsigned)sim_random(3), .period_ns = 1000,
		.backoff_ns = sim_random(2) ? 10 : 0, .grace_ns = (int64_t)sim_random(2) * 10};
	unsigned late = (unsigned)sim_random(3), i;
	struct scope outer, s;
	int rc;

	(void)arg;
	memset(children, 0, sizeof(children));
	strangers = late;
	in_order = late == 0 && options.strategy == SCOPE_ONE_FOR_ONE;
	closed = false;
	scope_open(&outer);
	sim_check(scope_open_with(&s, &policy) == 0, "not opened");
	sim_check(scope_supervise(&s, &options, &spawner) == 0, "no supervisor");
	for (i = 0; i < CHILDREN; i++) {
		children[i].most = 1 + (unsigned)sim_random(4);
		if (i < CHILDREN - late)
			spawn_child(&children[i]);
		else
			scope_spawn(&outer, spawns_late, &children[i]);
	}
	sim_check(scope_spawn(&s, cancels, sim_random(2) ? &s : &outer) == 0 ||
		  policy.policy == SCOPE_ALL, "refused");
	if (sim_random(4) == 0)
		scope_cancel(&s);
	rc = scope_close(&s);
	closed = true;
	sim_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EIO || rc == -EPIPE ||
		  rc == -ECHILD, "close gave %d", rc);
	for (i = 0; i < CHILDREN; i++) {
		sim_check(!children[i].running, "a child outlived its scope");
		sim_check(!children[i].accepted || children[i].runs > 0, "a child was lost");
	}
	scope_close(&outer);
	/* What a stranger spawned was joined by s, or refused. */
	sim_check(strangers == 0, "a stranger did not run");
	for (i = 0; i < CHILDREN; i++)
		sim_check(!children[i].running && children[i].accepted == (children[i].runs > 0),
			  "child %u: accepted %d, ran %u", i, children[i].accepted,
			  children[i].runs);
	return 0;
}

Test(sim, children_end_while_all_is_cancelled)
{
	explore("children_end_while_all_is_cancelled", supervising, VIRTUAL);
}

/* ---- spawns at the very end ---------------------------------------------------------------- */

static unsigned accepted, ran;

static int run_once(void *arg)
{
	(void)arg;
	pause_randomly();
	ran++;
	return 0;
}

static int spawn_until_refused(void *arg)
{
	static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	int i, rc = 0;

	(void)arg;
	for (i = 0; i < 8 && rc == 0; i++) {
		rc = scope_spawner_spawn_with(&spawner, run_once, NULL,
					      i % 2 ? &concurrent : NULL);
		sim_check(rc == 0 || rc == -ECANCELED || rc == -ESTALE, "a spawn gave %d", rc);
		accepted += rc == 0;
	}
	return 0;
}

/* A child that comes while its supervisor makes sure that it has none is run or refused. */
static int ending(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TEMPORARY};
	struct scope outer, s;
	unsigned joined;

	(void)arg;
	accepted = ran = 0;
	scope_open(&outer);
	scope_open(&s);
	sim_check(scope_supervise(&s, &options, &spawner) == 0, "no supervisor");
	sim_check(scope_spawn(&outer, spawn_until_refused, NULL) == 0, "refused");
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	if (sim_random(2))
		scope_cancel(&s);
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	joined = ran;
	scope_close(&outer);
	sim_check(ran == accepted && joined == ran, "%u accepted, %u joined, %u ran", accepted,
		  joined, ran);
	return 0;
}

Test(sim, a_spawn_races_the_end_of_its_supervisor)
{
	explore("a_spawn_races_the_end_of_its_supervisor", ending, 0);
}
