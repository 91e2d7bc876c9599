/* tests/sim/scn_idle.c: the last sleeper decides while a thread that is no worker wakes a task. */
#include "scn.h"

#include "sched/sched.h"

enum { ROUNDS = 20 };

static struct sc_strand *sleeper;

/* Woken means on its way to run: then not all is still.  Else the wake is yet to come. */
static void check_deadlock(void)
{
	sim_check(sleeper->reason == SC_IN_WAIT, "a deadlock was named while a task was woken");
	sc_relax(0);
}

static void publish(struct sc_worker *worker, struct sc_strand *strand)
{
	(void)worker;
	if (!sc_wait_commit(strand))
		sc_ready(strand);
}

/* As the monitor wakes tasks: under last_lock. */
static void wake_each_time(void *arg)
{
	unsigned round, turn = 0;

	(void)arg;
	sc_self_tls = &sc_worker_none;
	for (round = 0; round < ROUNDS; round++) {
		while (at_load_acq(&sc_card(sleeper)->wait) != SC_WAIT_WAITING)
			sc_relax(turn++);
		/* Both look for work and find none: wait until one has announced its sleep. */
		sc_wake_worker(&sc_sched.workers[0]);
		sc_wake_worker(&sc_sched.workers[1]);
		while (turn % 256 && sc_sleepers(at_load_rlx(&sc_sched.idle)) != 1)
			sc_relax(turn++);
		sc_lock_take(&sc_sched.last_lock);
		sim_check(sc_wait_claim(sleeper, SC_WAIT_EVENT), "another woke it");
		sc_ready(sleeper);
		sc_lock_drop(&sc_sched.last_lock);
	}
}

static int wait_each_time(void *arg)
{
	struct sc_thread waker;
	unsigned round;

	(void)arg;
	sc_hooks.deadlock = check_deadlock;
	sleeper = sc_self()->strand;
	sc_card(sleeper)->wait = SC_WAIT_NONE;
	sc_os.thread_start(&waker, wake_each_time, NULL);
	for (round = 0; round < ROUNDS; round++) {
		sc_wait_prepare(sleeper);
		sc_park(sc_self(), SC_IN_WAIT, publish);
		sim_check(sc_wait_outcome(sleeper) == SC_WAIT_EVENT, "woken by nobody");
	}
	sc_os.thread_join(&waker);
	return 0;
}

static void run_waits(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS | SCOPE_DETECT_DEADLOCK,
				      .workers = 2};
	int rc = scope_run(wait_each_time, NULL, &config);

	(void)arg;
	sim_check(rc == 0, "scope_run gave %d", rc);
}

Test(sim, no_deadlock_is_named_while_a_woken_task_is_on_its_way)
{
	sim_explore("no_deadlock_is_named_while_a_woken_task_is_on_its_way", run_waits, NULL);
}
