/* tests/model/runtime.hpp: what models of sched/ and scope/ share: workers, a system without
 * a kernel, and strands whose going on is counted.
 *
 * A thread of the model is the worker of the same number, or no worker from `working` on.
 * Included before the sources; what those call and a model does not include it defines itself.
 * With MODEL_LOOP sched/loop.c is included here.
 */
#ifndef MODEL_RUNTIME_HPP
#define MODEL_RUNTIME_HPP

#include "model.hpp"

#define SC_SIM 1 /* no assembly; the ticks of sc_os.now */
#define public public_scope
#define _Static_assert(condition, text) /* of sizes, which are others here */

#include "scope/tree.h"

#include <errno.h>

#ifdef MODEL_LOOP
#include "sched/loop.c"
#else
struct sc_worker sc_worker_none;
struct sc_sched sc_sched;
struct sc_hooks sc_hooks;
#endif
struct sc_os sc_os;

namespace model
{
static unsigned working; /* threads from this one on are no workers */
}

static void relax(unsigned)
{
	model::yield();
}

void (*sc_relax)(unsigned turn) = relax;

struct sc_worker *sc_self(void)
{
	unsigned me = rl::thread_index();

	return me < model::working ? &sc_sched.workers[me] : &sc_worker_none;
}

namespace model
{

/* ---- futex: comparing and falling asleep is one step; it orders nothing ---- */

static rl::waitset<MOST_THREADS> beds[MOST_THREADS]; /* of one thread each */
static const void *waits_for[MOST_THREADS];           /* NULL: it is awake */

/* The newest value, without a step of its own. */
template <class T> static T newest(SC_WORD(T) *word)
{
	return value_of<T>(cell_of(word)->value_);
}

/* What the kernel compares; what it has read the thread will not read older. */
static bool still_is(const SC_WORD(uint32_t) *word, uint32_t expected)
{
	rl::ctx().sched();
	if (newest((SC_WORD(uint32_t) *)word) == expected)
		return true;
	cell_of(word)->fetch_add(0, rl::mo_relaxed, MODEL_HERE);
	return false;
}

static void fall_asleep(const SC_WORD(uint32_t) *word)
{
	unsigned me = rl::thread_index();

	waits_for[me] = word;
	beds[me].park_current(rl::ctx(), false, false, false, MODEL_HERE);
}

static void futex_wait(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t)
{
	if (still_is(word, expected))
		fall_asleep(word);
}

static void futex_wake(const SC_WORD(uint32_t) *word, int)
{
	unsigned i;

	rl::ctx().sched();
	for (i = 0; i < MOST_THREADS; i++)
		if (waits_for[i] == word) {
			waits_for[i] = NULL;
			beds[i].unpark_one(rl::ctx(), MODEL_HERE);
		}
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

	for (i = 0; i < MOST_THREADS; i++) {
		::new (&beds[i]) rl::waitset<MOST_THREADS>();
		waits_for[i] = NULL;
	}
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
	sc_sched.count = working = count;
	sc_sched.flags = 0;
	sc_sched.idle = 0;
	sc_sched.stop = 0;
	sc_sched.timekeeper = 0;
	sc_sched.armed_until = SC_NEVER;
	sc_sched.virtual_now = 0;
	sc_sched.last_lock.word = 0;
	sc_sched.monitor = 0;
	sc_sched.monitor_asleep = 0;
	sc_sched.signals = 0;
	sc_sched.hard_signal = 0;
	sc_sched.inside = 0;
	sc_sched.watchers = 0;
	sc_sched.outside[SC_CALL] = sc_sched.outside[SC_DOOR] = 0;
	sc_sched.stuck_for = sc_sched.looked_at = 0;
	sc_sched.inbox.lock.word = 0;
	sc_sched.inbox.count = 0;
	memset((void *)&sc_sched.inbox.list, 0, sizeof sc_sched.inbox.list);
	sc_sched.late.lock.word = 0;
	sc_sched.late.count = 0;
	memset((void *)&sc_sched.late.list, 0, sizeof sc_sched.late.list);
	memset(&sc_hooks, 0, sizeof sc_hooks);
}

} // namespace model

#endif
