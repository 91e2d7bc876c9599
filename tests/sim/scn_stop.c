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
	sim_explore("sim/a_worker_that_left_gets_no_signal", leave, NULL);
}
