/* tests/sim/scn_wait.c: scope_wait_until again and again beside the last end (S12). */
#include "scn.h"

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
