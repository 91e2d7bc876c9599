/* tests/sim/scn_outside.c: a deadlock is named only while nobody outside may wake a task (Z3). */
#include "scn.h"

#include "sched/sched.h"

static unsigned doors;

static void shut_door(void *arg)
{
	(void)arg;
	sc_self_tls = &sc_worker_none;
	pause_randomly();
	doors--;
	sc_outside(SC_DOOR, -1);
}

static int stand_before_a_door(void *arg)
{
	struct sc_thread thread;
	struct group g;
	struct job job;

	(void)arg;
	doors = 1;
	sc_outside(SC_DOOR, 1);
	sc_os.thread_start(&thread, shut_door, NULL);
	group_open(&g);
	group_spawn(&g, &job, body_for_ever);
	group_close(&g);
	sim_check(doors == 0, "a deadlock was named while a door was open");
	sc_os.thread_join(&thread);
	return 0;
}

Test(sim, a_deadlock_is_named_when_the_last_door_is_shut)
{
	explore("a_deadlock_is_named_when_the_last_door_is_shut", stand_before_a_door, DEADLOCK);
}
