/* runtime/sched/outside.c: what may wake a strand though no worker runs and no timer is armed. */
#include "sched/sched.h"

void sc_outside(enum sc_outside kind, int change)
{
	at_add_rlx(&sc_sched.outside[kind], (uint32_t)change);
	/* A running task's worker falls asleep later and decides then.  After others a sleeper has
	 * to look again, any will do. */
	if (change < 0 && sc_self() == &sc_worker_none)
		sc_wake_worker(&sc_sched.workers[0]);
}

/* For who decides when all sleep.  Relaxed: who changed a word fell asleep afterwards, which the
 * caller has seen, or wakes somebody. */
int sc_outside_waits(void)
{
	return at_load_rlx(&sc_sched.outside[SC_CALL]) || at_load_rlx(&sc_sched.outside[SC_DOOR]);
}
