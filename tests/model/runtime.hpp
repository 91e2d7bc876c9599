/* tests/model/runtime.hpp: what models of sched/ and scope/ share: workers, a system without
 * a kernel, and strands whose going on is counted.
 *
 * A thread of the model is the worker of the same number, or no worker from `workers` on.
 * Included before the sources; what those call and a model does not include it defines itself.
 */
#ifndef MODEL_RUNTIME_HPP
#define MODEL_RUNTIME_HPP

#include "model.hpp"

#define SC_SIM 1 /* no assembly; the ticks of sc_os.now */
#define public public_scope
#define _Static_assert(condition, text) extern char sc_asserted[(condition) ? 1 : -1]

#include "scope/tree.h"

#include <errno.h>

struct sc_worker sc_worker_none;
struct sc_sched sc_sched;
struct sc_hooks sc_hooks;
struct sc_os sc_os;

static void relax(unsigned)
{
	model::yield();
}

void (*sc_relax)(unsigned turn) = relax;

struct sc_worker *sc_self(void)
{
	unsigned me = rl::thread_index();

	return me < sc_sched.count ? &sc_sched.workers[me] : &sc_worker_none;
}

namespace model
{

/* ---- futex: the kernel compares and queues under a lock of its own ---- */

static SC_WORD(uint32_t) queued[4]; /* thread i waits */
static const SC_WORD(uint32_t) *queued_at[4];
static struct sc_lock futex_lock;

static void futex_wait(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t)
{
	unsigned me = rl::thread_index();

	sc_lock_take(&futex_lock);
	if (at_load_rlx((SC_WORD(uint32_t) *)word) != expected) {
		sc_lock_drop(&futex_lock);
		return;
	}
	queued_at[me] = word;
	at_store_rlx(&queued[me], 1);
	sc_lock_drop(&futex_lock);
	while (at_load_acq(&queued[me]))
		yield();
}

static void futex_wake(const SC_WORD(uint32_t) *word, int)
{
	unsigned i;

	sc_lock_take(&futex_lock);
	for (i = 0; i < 4; i++)
		if (at_load_rlx(&queued[i]) && queued_at[i] == word)
			at_store_rel(&queued[i], 0);
	sc_lock_drop(&futex_lock);
}

static int64_t time_now()
{
	return 1;
}

/* Lets others go ahead by some steps: drawn step by step, a short thread seldom comes late. */
static void linger(unsigned most)
{
	unsigned turns = rl::rand(most);

	while (turns--)
		yield();
}

/* ---- before each schedule ---- */

static void set_up_system()
{
	unsigned i;

	for (i = 0; i < 4; i++)
		queued[i] = 0;
	futex_lock.word = 0;
	sc_os.wait = futex_wait;
	sc_os.wake = futex_wake;
	sc_os.now = time_now;
	sc_os.relax = relax;
	sc_os.alloc = malloc;
	sc_os.free = free;
}

/* Worker `worker` as it is after its start; it owns no deque and no stacks. */
static void set_up_worker(struct sc_worker *worker, unsigned index)
{
	memset((void *)worker, 0, sizeof *worker);
	worker->index = index;
	worker->timers.next = SC_NEVER;
	worker->inbox_turn = 1;
	worker->strand = &worker->native;
	sc_wheel_init(&worker->timers.wheel, 0);
}

static void set_up_strand(struct sc_strand *strand, struct sc_card *card)
{
	memset((void *)strand, 0, sizeof *strand);
	memset((void *)card, 0, sizeof *card);
	strand->fiber.card = card;
	card->strand = strand;
}

static void set_up_workers(struct sc_worker *workers, unsigned count)
{
	unsigned i;

	set_up_system();
	for (i = 0; i < count; i++)
		set_up_worker(&workers[i], i);
	sc_sched.workers = workers;
	sc_sched.count = count;
	sc_sched.flags = 0;
	sc_sched.idle = 0;
	sc_sched.stop = 0;
	sc_sched.timekeeper = 0;
	sc_sched.armed_until = SC_NEVER;
	sc_sched.virtual_now = 0;
	sc_sched.last_lock.word = 0;
	sc_sched.monitor = 0;
	sc_sched.monitor_asleep = 0;
	sc_sched.inbox.lock.word = 0;
	sc_sched.inbox.count = 0;
	memset((void *)&sc_sched.inbox.list, 0, sizeof sc_sched.inbox.list);
	memset(&sc_hooks, 0, sizeof sc_hooks);
}

} // namespace model

#endif
