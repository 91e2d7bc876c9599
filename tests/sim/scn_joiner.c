/* tests/sim/scn_joiner.c: limits, winners, results: who is first, and what is seen how often. */
#include "scn.h"

#include <string.h>

/* A task and what became of it. */
struct try {
	unsigned runs, dropped, seen;
	int rc;
	uint64_t yields;
	struct scope *cancels; /* what it cancels, or NULL */
};

enum { TRIES = 4 };
static struct try tries[TRIES];
static unsigned inside, most;

static int run_try(void *arg)
{
	struct try *try = arg;
	uint64_t i;

	sim_check(++try->runs == 1, "a task ran %u times", try->runs);
	sim_check(++inside <= most, "%u tasks at once, %u may be", inside, most);
	pause_randomly();
	for (i = 0; i < try->yields; i++)
		scope_yield();
	if (try->cancels)
		scope_cancel(try->cancels);
	inside--;
	return try->rc;
}

static void drop_try(void *arg)
{
	struct try *try = arg;

	pause_randomly();
	sim_check(++try->dropped == 1, "a value was dropped %u times", try->dropped);
	sim_check(try->rc == 0 && try->runs == 1, "what was no success was dropped");
}

static void reset(unsigned limit)
{
	int i;

	memset(tries, 0, sizeof(tries));
	inside = 0;
	most = limit;
	for (i = 0; i < TRIES; i++)
		tries[i].yields = sim_random(3);
}

/* ---- winners ---- */

static int winners(void *arg)
{
	unsigned i, ran = 0, successes = 0, dropped = 0;
	void *winner = NULL;
	struct scope_options options = {
		.policy = sim_random(2) ? SCOPE_ANY : SCOPE_RACE,
		.drop = drop_try,
		.out_winner = &winner};
	struct scope outer, s;
	int rc, failed;

	(void)arg;
	reset(TRIES);
	scope_open(&outer);
	sim_check(scope_open_with(&s, &options) == 0, "not opened");
	for (i = 0; i < TRIES; i++)
		tries[i].rc = sim_random(3) ? 0 : -EIO;
	if (sim_random(3) == 0)
		tries[sim_random(TRIES)].cancels = sim_random(2) ? &s : &outer;
	for (i = 0; i < TRIES; i++) {
		rc = scope_spawn(&s, run_try, &tries[i]);
		sim_check(rc == 0 || rc == -ECANCELED, "a spawn gave %d", rc);
		ran += rc == 0;
	}
	if (sim_random(2))
		scope_yield();
	failed = sim_random(8) == 0 && scope_fail(&s, -EDOM, NULL);
	rc = scope_close(&s);
	for (i = 0; i < TRIES; i++) {
		ran -= tries[i].runs;
		successes += tries[i].runs && tries[i].rc == 0;
		dropped += tries[i].dropped;
	}
	sim_check(ran == 0, "an accepted task did not run");
	if (rc == 0) {
		sim_check(winner && ((struct try *)winner)->dropped == 0, "the winner was dropped");
		sim_check(dropped + 1 == successes, "%u of %u dropped", dropped, successes);
	} else {
		sim_check(!winner && dropped == successes, "%u of %u dropped", dropped, successes);
		sim_check(failed || options.policy == SCOPE_RACE || successes == 0,
			  "a success did not win: %d", rc);
	}
	scope_close(&outer);
	return 0;
}

Test(sim, winner_races_winner)
{
	explore("winner_races_winner", winners, 0);
}

/* ---- limits ---- */

static struct scope *full;
static unsigned asked;

/* Every second task, from `first` on. */
static void ask_for_room(unsigned first)
{
	unsigned i;
	int rc;

	for (i = first; i < TRIES; i += 2) {
		rc = scope_spawn(full, run_try, &tries[i]);
		sim_check(rc == 0 || rc == -ECANCELED, "a spawn gave %d", rc);
		tries[i].seen = rc == 0;
		pause_randomly();
	}
}

static int ask_from_outside(void *arg)
{
	(void)arg;
	ask_for_room(1);
	asked = 1;
	return 0;
}

/* The scope has to stay open until the other one has asked, cancelled or not. */
static void wait_for_asker(void)
{
	struct scope_options shield = {.shield = true};
	struct scope s;

	sim_check(scope_open_with(&s, &shield) == 0, "not opened");
	while (!asked)
		sim_check(scope_yield() == 0, "a cancel came through a shield");
	sim_check(scope_close(&s) == 0, "an error from nowhere");
}

static int limited(void *arg)
{
	struct scope_options options = {.max_tasks = 1 + (unsigned)sim_random(2)};
	struct scope outer, s;
	int i, rc;

	(void)arg;
	reset(options.max_tasks);
	asked = 0;
	full = &s;
	scope_open(&outer);
	sim_check(scope_open_with(&s, &options) == 0, "not opened");
	if (sim_random(2))
		tries[sim_random(TRIES)].cancels = sim_random(2) ? &s : &outer;
	sim_check(scope_spawn(&outer, ask_from_outside, NULL) == 0, "refused");
	ask_for_room(0);
	wait_for_asker();
	rc = scope_close(&s);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	for (i = 0; i < TRIES; i++)
		sim_check(tries[i].runs == tries[i].seen, "task %d ran %u times", i,
			  tries[i].runs);
	scope_close(&outer);
	return 0;
}

Test(sim, room_races_cancel)
{
	explore("room_races_cancel", limited, 0);
}

/* ---- results ---- */

/* The owner takes results until there are none, or it is cancelled; the rest is dropped. */
static int results(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_AWAIT_ALL, .results = true, .drop = drop_try};
	unsigned i, spawned = 0;
	struct scope outer, s;
	int rc;

	(void)arg;
	reset(TRIES);
	for (i = 0; i < TRIES; i++)
		tries[i].rc = sim_random(4) ? 0 : -EIO;
	scope_open(&outer);
	sim_check(scope_open_with(&s, &options) == 0, "not opened");
	if (sim_random(2))
		tries[sim_random(TRIES)].cancels = sim_random(2) ? &s : &outer;
	for (;;) {
		struct scope_result result;

		if (spawned < TRIES && (spawned == 0 || sim_random(2))) {
			rc = scope_spawn(&s, run_try, &tries[spawned]);
			sim_check(rc == 0 || rc == -ECANCELED, "a spawn gave %d", rc);
			spawned++;
			continue;
		}
		rc = sim_random(3) ? scope_next(&s, &result) : scope_next_until(&s, 0, &result);
		if (rc == -ECANCELED || (rc == -ENOENT && spawned == TRIES))
			break;
		if (rc < 0) {
			sim_check(rc == -ENOENT || rc == -ETIMEDOUT, "next gave %d", rc);
			scope_yield();
			continue;
		}
		sim_check(((struct try *)result.arg)->rc == result.rc, "another's result");
		((struct try *)result.arg)->seen++;
	}
	scope_close(&s);
	for (i = 0; i < TRIES; i++) {
		unsigned told = tries[i].seen + tries[i].dropped;

		sim_check(told == tries[i].runs || (tries[i].rc && told == 0),
			  "task %u: ran %u, seen %u, dropped %u", i, tries[i].runs, tries[i].seen,
			  tries[i].dropped);
	}
	scope_close(&outer);
	return 0;
}

Test(sim, next_races_the_last_end)
{
	explore("next_races_the_last_end", results, 0);
}

/* ---- on_exit ---- */

static unsigned asking, restarts;

static int one_at_a_time(struct scope_result *result, void *arg)
{
	struct try *try = result->arg;

	(void)arg;
	sim_check(++asking == 1, "%u calls of on_exit at once", asking);
	pause_randomly();
	if (sim_random(3) == 0)
		scope_yield();
	asking--;
	try->seen++;
	if (restarts > 0 && sim_random(2)) {
		restarts--;
		try->runs = 0;
		return SCOPE_EXIT_RESTART;
	}
	return sim_random(4) ? SCOPE_EXIT_CONTINUE : SCOPE_EXIT_CANCEL;
}

static int exits(void *arg)
{
	struct scope_options options = {
		.policy = SCOPE_CUSTOM, .on_exit = one_at_a_time, .max_tasks = TRIES};
	struct scope s;
	int i, accepted[TRIES];

	(void)arg;
	reset(TRIES);
	asking = 0;
	restarts = (unsigned)sim_random(3);
	sim_check(scope_open_with(&s, &options) == 0, "not opened");
	for (i = 0; i < TRIES; i++)
		accepted[i] = scope_spawn(&s, run_try, &tries[i]) == 0;
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	for (i = 0; i < TRIES; i++)
		sim_check((tries[i].seen > 0) == accepted[i], "an end that nobody heard of");
	return 0;
}

Test(sim, ends_are_heard_of_one_at_a_time)
{
	explore("ends_are_heard_of_one_at_a_time", exits, 0);
}

/* ---- deferred calls ---- */

static struct scope *closing;
static unsigned called;

static int spawns_late(void *arg)
{
	struct try *try = arg;

	called++;
	pause_randomly();
	try->seen = scope_spawn(closing, run_try, try) == 0;
	if (sim_random(2))
		scope_yield();
	return 0;
}

static int looks(void *arg)
{
	struct try *try = arg;

	called++;
	sim_check(try->runs == try->seen, "a call before what the last one spawned had ended");
	return 0;
}

static int deferred(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	reset(TRIES);
	called = 0;
	closing = &s;
	scope_open(&s);
	for (i = 0; i < 2; i++) {
		sim_check(scope_defer(&s, looks, &tries[i]) == 0, "not deferred");
		sim_check(scope_defer(&s, spawns_late, &tries[i]) == 0, "not deferred");
	}
	for (; i < TRIES; i++)
		tries[i].seen = scope_spawn(&s, run_try, &tries[i]) == 0;
	if (sim_random(4) == 0)
		scope_cancel(&s);
	sim_check(scope_close(&s) == 0, "an error from nowhere");
	sim_check(called == 4, "%u of 4 calls", called);
	for (i = 0; i < TRIES; i++)
		sim_check(tries[i].runs == tries[i].seen, "a task ran %u times", tries[i].runs);
	return 0;
}

Test(sim, deferred_calls_race_what_they_spawn)
{
	explore("deferred_calls_race_what_they_spawn", deferred, 0);
}
