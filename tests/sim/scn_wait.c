/* tests/sim/scn_wait.c: one wait after the other beside the last end (S12) and a walk. */
#include "scn.h"

#include <scope_ref.h>
#include <scope_sync.h>

/* The watcher times out beside the end of the last task, and waits again: that wait must not
 * be slept through. */
static int wait_again(void *arg)
{
	struct group g;
	struct job job[2];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		group_spawn(&g, &job[i], body_points);
	for (i = 0; i < 3; i++) {
		rc = scope_wait_until(&g.scope, scope_now() + (int64_t)sim_random(2000));
		sim_check(rc == 0 || rc == -ETIMEDOUT, "wait gave %d", rc);
		sim_check(rc != 0 || g.ended == 2, "wait gave 0, %u of 2 had ended", g.ended);
	}
	rc = scope_wait_until(&g.scope, SCOPE_NEVER);
	sim_check(rc == 0 && g.ended == 2, "wait gave %d, %u of 2 had ended", rc, g.ended);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_second_wait_sees_the_last_end)
{
	explore("a_second_wait_sees_the_last_end", wait_again, PARALLEL);
}

/* A waiter that stays registered from waits that a timer or an event ended is found by a cancel in
 * the last one, which nothing else ends; so is one that has waited elsewhere in between. */
static struct scope_parker parker;

static int body_wait_at_two_places(struct job *job)
{
	struct scope inner;
	int i, rc = 0;

	for (i = 0; i < 4 && rc == 0; i++) {
		switch (sim_random(3)) {
		case 0: rc = scope_sleep_for((int64_t)sim_random(500)); break;
		case 1:
			scope_unpark(&parker);
			rc = scope_park(&parker);
			break;
		default:
			scope_open(&inner);
			scope_fail(&inner, scope_sleep_for((int64_t)sim_random(500)), NULL);
			rc = scope_close(&inner);
		}
		sim_check(rc == 0 || rc == -ECANCELED, "wait %d gave %d", i, rc);
	}
	if (rc == 0 && job->number)
		rc = scope_park(&parker);
	else if (rc == 0)
		rc = scope_sleep_until(SCOPE_NEVER);
	sim_check(rc == -ECANCELED, "the last wait gave %d", rc);
	return rc;
}

static int wait_again_against_cancel(void *arg)
{
	struct group g;
	struct job waiter = {.number = sim_random(2)}, canceller = {0};

	(void)arg;
	parker = (struct scope_parker){0};
	group_open(&g);
	group_spawn(&g, &waiter, body_wait_at_two_places);
	group_spawn(&g, &canceller, body_cancel);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, a_wait_at_the_same_place_races_a_cancel)
{
	explore("a_wait_at_the_same_place_races_a_cancel", wait_again_against_cancel, 0);
}

/* A deadline already past polls: it sees the end of tasks that were stolen. */
static int poll_for_the_end(void *arg)
{
	struct group g;
	struct job job;
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, body_nothing);
	while (!g.ended) {
		sim_point();
		if (sim_random(50) == 0)
			break;
	}
	if (g.ended) {
		pause_randomly();
		sim_point();
	}
	do
		rc = scope_wait_until(&g.scope, 0);
	while (rc == -ETIMEDOUT && g.ended); /* for ever: a livelock */
	sim_check(rc == 0 || !g.ended, "the task had ended and a poll gave %d", rc);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_poll_sees_the_end_of_a_stolen_task)
{
	explore("a_poll_sees_the_end_of_a_stolen_task", poll_for_the_end, PARALLEL);
}

/* Two tasks hand a permit to and fro, so each waits again where the last wait left it registered.
 * A walk that passes between two waits, or while the second begins, ends it. */
struct relay {
	struct scope_semaphore permits[2];
	bool stopped;
};

static int body_relay(struct job *job)
{
	struct relay *relay = job->pointer;
	unsigned i, me = (unsigned)job->number;
	int rc = 0, soft = 0;

	for (i = 0; i < 8 && rc == 0; i++) {
		soft = sim_random(2) && scope_soft_begin() == 0;
		rc = scope_semaphore_acquire(&relay->permits[me]);
		if (soft)
			scope_soft_end();
		if (rc == 0)
			scope_semaphore_release(&relay->permits[!me]);
	}
	sim_check(rc == 0 || rc == -ECANCELED || (rc == -ESHUTDOWN && soft && relay->stopped),
		  "a wait gave %d", rc);
	return rc == -ECANCELED ? rc : 0;
}

static int walk_beside_a_relay(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct relay relay = {.stopped = false};
	struct job job[2];
	struct group g;
	unsigned i;

	(void)arg;
	for (i = 0; i < 2; i++)
		scope_semaphore_init(&relay.permits[i], i);
	group_open(&g);
	for (i = 0; i < 2; i++) {
		job[i].number = i;
		job[i].pointer = &relay;
		group_spawn_with(&g, &job[i], body_relay, &concurrent);
	}
	for (i = (unsigned)sim_random(4); i > 0; i--)
		scope_yield();
	if (sim_random(2)) {
		relay.stopped = true;
		scope_shutdown(&g.scope, SCOPE_NEVER);
		pause_randomly();
		for (i = (unsigned)sim_random(4); i > 0; i--)
			scope_yield();
	}
	/* Who waits for a permit that nobody gives any more would sleep for ever. */
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, a_wait_at_the_same_place_races_a_walk)
{
	explore("a_wait_at_the_same_place_races_a_walk", walk_beside_a_relay, PARALLEL);
}
