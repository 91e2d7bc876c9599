/* runtime/sched/start.c: workers come and go: memory, threads, the first strand. */
#include "sched/poll.h"
#include <errno.h>
#include <string.h>

/* Slots of a join deque, halved until the address space has room for it.  A checker marks
 * every byte that is made accessible. */
#ifdef SC_CHECKED
enum { MOST_SLOTS = 1 << 17, LEAST_SLOTS = 1 << 12 };
#else
enum { MOST_SLOTS = 1 << 26, LEAST_SLOTS = 1 << 12 };
#endif

static void expose_handler(void)
{
	struct sc_worker *worker = sc_self();

	if (worker != &sc_worker_none && sc_deque_expose_async(&worker->deque, &worker->bottom))
		sc_notify();
}

/* The other workers do not exist in a forked child: it is outside the run (S2). */
static void leave_run(void)
{
	sc_self_tls = &sc_worker_none;
	sc_guest_forked();
}

static int init_deque(struct sc_worker *worker)
{
	/* All deques together take at most an eighth of a limited address space. */
	size_t share = sc_os_address_limit() / 8 / sc_sched.count / sizeof(struct sc_slot);
	size_t slots = MOST_SLOTS;

	while (slots > share && slots > LEAST_SLOTS)
		slots /= 2;
	for (; slots >= LEAST_SLOTS; slots /= 2) {
		size_t size = slots * sizeof(struct sc_slot);
		void *memory = sc_os.reserve(size);

		if (memory && sc_os.commit(memory, size) == 0) {
			sc_deque_init(&worker->deque, &worker->bottom, memory, (uint32_t)slots);
			return 0;
		}
		if (memory)
			sc_os.release(memory, size);
	}
	return -ENOMEM;
}

static int init_worker(struct sc_worker *worker, unsigned index)
{
	struct sc_fiber *fiber;

	memset(worker, 0, sizeof *worker);
	worker->index = index;
	worker->random = index * 2654435761u + 1;
	worker->search_ticks = SC_SEARCH_TICKS;
	worker->timers.next = SC_NEVER;
	worker->ring.solo = sc_sched.count == 1;
	worker->parker = SC_AWAKE;
	worker->inbox_turn = 1;
	worker->strand = &worker->native;
	sc_wheel_init(&worker->timers.wheel, sc_now());
	worker->signal_stack = sc_os.alloc(SC_SIGSTACK_SIZE);
	if (!worker->signal_stack || init_deque(worker) < 0)
		return -ENOMEM;
	fiber = sc_fiber_take(&worker->pool);
	if (!fiber)
		return -ENOMEM;
	worker->spare = SC_CONTAINER(fiber, struct sc_strand, fiber);
	return 0;
}

static void fini_worker(struct sc_worker *worker)
{
	if (worker->spare)
		sc_fiber_give(&worker->pool, &worker->spare->fiber);
	sc_fiber_drain(&worker->pool);
	sc_os.free(worker->signal_stack);
	if (worker->deque.slots)
		sc_os.release(worker->deque.slots, worker->deque.capacity * sizeof(struct sc_slot));
}

/* A thread may be joined only when no other can send it a signal any more. */
static void leave_loop(void)
{
	if (at_sub_rel(&sc_sched.inside, 1) == 1) /* [sched.inside] */
		sc_os.wake(&sc_sched.inside, 1);
}

static void wait_until_all_left(void)
{
	uint32_t inside;

	while ((inside = at_load_acq(&sc_sched.inside))) /* [sched.inside] */
		sc_os.wait(&sc_sched.inside, inside, SC_NEVER);
}

static void work(void *arg)
{
	struct sc_worker *worker = arg;

	sc_fiber_adopt(&worker->native.fiber);
	sc_self_tls = worker;
	sc_worker_loop(worker);
	leave_loop();
	sc_self_tls = &sc_worker_none;
	sc_fiber_release(&worker->native.fiber);
}

static void run_thread(void *arg)
{
	struct sc_worker *worker = arg;
	int rc = sc_os_sigstack_install(worker->signal_stack);

	SC_ASSERT(rc == 0, "a new thread can have no signal stack: error %d", -rc);
	work(worker);
	sc_os_sigstack_uninstall();
}

void sc_sched_stop(void)
{
	unsigned i;

	at_store_rlx(&sc_sched.stop, 1); /* [idle.dekker]; the fence comes with each wake */
	for (i = 0; i < sc_sched.count; i++)
		sc_wake_worker(&sc_sched.workers[i]);
}

static int start_threads(unsigned *out_started)
{
	unsigned i;
	int rc;

	for (i = 1; i < sc_sched.count; i++) {
		at_add_rlx(&sc_sched.inside, 1);
		rc = sc_os.thread_start(&sc_sched.workers[i].thread, run_thread,
					&sc_sched.workers[i]);
		if (rc < 0) {
			leave_loop();
			return rc;
		}
		at_store_rel(&sc_sched.workers[i].known, 1); /* [thread.known] */
		*out_started = i;
	}
	return 0;
}

int sc_sched_run(unsigned workers, struct sc_strand *root)
{
	size_t size = workers * sizeof(struct sc_worker) + SC_CACHE_LINE;
	unsigned i, ready = 0, started = 0;
	void *memory = sc_os.alloc(size);
	int rc = -ENOMEM;

	if (!memory)
		return -ENOMEM;
	if (sc_relax != sc_os.relax) /* a stray of a former run may be reading it */
		sc_relax = sc_os.relax;
	sc_os_fork_install(leave_run);
	sc_sched.workers =
		(void *)(((uintptr_t)memory + SC_CACHE_LINE - 1) & -(uintptr_t)SC_CACHE_LINE);
	sc_sched.count = workers;
	sc_sched.idle = sc_sched.stop = sc_sched.timekeeper = 0;
	sc_sched.armed_until = SC_NEVER;
	sc_sched.signals = sc_sched.hard_signal = 0;
	sc_sched.arrivals = 0;
	sc_sched.stuck_for = sc_sched.looked_at = 0;
	sc_sched.monitor_asleep = 0;
	sc_sched.dumps = 0;
	sc_sched.recent = sc_now();
	sc_sched.outside[SC_CALL] = sc_sched.outside[SC_DOOR] = 0;
	sc_sched.polling = 0;
	sc_sched.polled = 0;
	sc_sched.inside = 1;
	for (ready = 0; ready < workers; ready++)
		if (init_worker(&sc_sched.workers[ready], ready) < 0)
			goto fail_workers;
	/* Handlers must not run on a task's stack, where they may find no room, nor where a
	 * switch has the stack pointer for a moment (sc_arch_switch_aside). */
	rc = sc_os_sigstack_install(sc_sched.workers[0].signal_stack);
	if (rc < 0)
		goto fail_workers;
	rc = sc_os_expose_install(expose_handler);
	if (rc < 0)
		goto fail_sigstack;
	if (sc_seeded())
		sc_poke(&sc_sched.workers[0]);
	root->item.kind = SC_ITEM_STRAND;
	sc_sched.workers[0].next = &root->item;
	sc_sched.workers[0].thread = sc_os.thread_self();
	sc_sched.workers[0].known = 1;
	sc_guest_open();
	rc = sc_monitor_start();
	if (rc < 0)
		goto fail_expose;
	rc = start_threads(&started);
	if (rc == 0) {
		work(&sc_sched.workers[0]);
	} else {
		sc_sched_stop();
		leave_loop();
	}
	sc_monitor_stop(); /* it sends signals too */
	wait_until_all_left();
	for (i = 1; i <= started; i++)
		sc_os.thread_join(&sc_sched.workers[i].thread);
	sc_poll_end();
fail_expose:
	sc_guest_close();
	sc_os_expose_uninstall();
fail_sigstack:
	sc_os_sigstack_uninstall();
fail_workers:
	for (i = 0; i < ready; i++)
		fini_worker(&sc_sched.workers[i]);
	if (ready < workers)
		fini_worker(&sc_sched.workers[ready]);
	sc_sched.count = 0;
	sc_os.free(memory);
	return rc;
}

#ifdef SC_SIM
void *sc_sim_self_get(void);
void sc_sim_self_set(void *self);

void *sc_sim_self_get(void)
{
	return sc_self_tls;
}

void sc_sim_self_set(void *self)
{
	sc_self_tls = self;
}
#endif
