/* tests/sim/scn_stop.c: the end of a run: workers that leave while others still look around. */
#include "scn.h"

/* A worker that lays its empty deque out anew looks for a moment as if it had private slots,
 * for which a searcher sends it a signal: by then it must not have been joined. */
static int leave_while_asked(void *arg)
{
	struct group g;
	struct job job[8];
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 8; i++)
		group_spawn(&g, &job[i], body_nothing);
	return group_close(&g);
}

static void leave(void *arg)
{
	struct scope_config config = {
		.workers = 3, .stack_size = 32 << 10, .flags = SCOPE_NO_SIGNALS};

	(void)arg;
	sim_check(scope_run(leave_while_asked, NULL, &config) == 0, "an error from nowhere");
}

Test(sim, a_worker_that_left_gets_no_signal)
{
	sim_explore("a_worker_that_left_gets_no_signal", leave, NULL);
}

/* ---- interrupts ------------------------------------------------------------------- */

/* They come from a thread of the program's own, before the run, in it, and beside its end. */
static int short_run(void *arg)
{
	struct group g;
	struct job job[2] = {{.number = 2}, {0}};
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		group_spawn(&g, &job[i], i ? body_points : body_yield);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

Test(sim, an_interrupt_races_the_end_of_the_run)
{
	explore("an_interrupt_races_the_end_of_the_run", short_run, INTERRUPTS);
}

/* Tasks that only an interrupt ends; the second one changes nothing. */
static int until_interrupted(void *arg)
{
	struct group g;
	struct job job[3];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		job[i].number = 30;
		group_spawn(&g, &job[i], i ? body_yield : body_sleep);
	}
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

Test(sim, an_interrupt_reaches_tasks_in_any_state)
{
	explore("an_interrupt_reaches_tasks_in_any_state", until_interrupted,
		INTERRUPTS);
}
