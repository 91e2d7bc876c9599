/* tests/model/sched.hpp: the scheduler for models of sleeping, waking and stopping: all files of
 * sched/ but pick.c, in place of which a worker takes from the inboxes alone.
 *
 * A strand here has no stack: it is continued by its on_resume, on the worker's own.
 */
#ifndef MODEL_SCHED_HPP
#define MODEL_SCHED_HPP

#define MODEL_LOOP
#include "runtime.hpp"

#include "deque/deque.c"
#include "deque/ready.c"
#include "sched/timers.c"
#include "sched/wheel.c"
#include "sched/idle.c"
#define all_asleep monitor_all_asleep
#include "sched/monitor.c"
#undef all_asleep
#include "sched/start.c"
#include "sched/outside.c"

/* ---- in place of pick.c ---- */

static struct sc_item *item_from(struct sc_inbox *inbox)
{
	struct sc_batch batch = sc_inbox_get(inbox, 1, 1);

	return batch.first;
}

struct sc_strand *sc_pick(struct sc_worker *worker)
{
	struct sc_item *item = item_from(&worker->pinned);

	if (!item)
		item = item_from(&sc_sched.inbox);
	return item ? SC_CONTAINER(item, struct sc_strand, item) : NULL;
}

struct sc_strand *sc_steal(struct sc_worker *)
{
	return NULL;
}

int sc_next_slot(struct sc_worker *, struct sc_strand *)
{
	return 0;
}

int sc_can_start(struct sc_worker *worker)
{
	return worker->spare != NULL;
}

void sc_enqueue(struct sc_worker *, struct sc_item *) {}
int sc_others_wait(struct sc_worker *)
{
	return 0;
}

/* ---- what no model here comes to ---- */

uint32_t sc_draw(uint32_t)
{
	return 0;
}

void sc_arch_switch(struct sc_context *, const struct sc_context *) {}
void sc_fiber_give(struct sc_fiber_pool *, struct sc_fiber *) {}
void sc_fiber_drain(struct sc_fiber_pool *) {}
void sc_fiber_adopt(struct sc_fiber *) {}
void sc_fiber_release(struct sc_fiber *) {}
struct sc_fiber *sc_fiber_take(struct sc_fiber_pool *)
{
	return NULL;
}

void sc_os_fork_install(void (*)(void)) {}
size_t sc_os_address_limit(void)
{
	return SIZE_MAX;
}

int sc_os_expose_install(void (*)(void))
{
	return 0;
}

void sc_os_expose_uninstall(void) {}
int sc_os_sigstack_install(void *)
{
	return 0;
}

void sc_os_sigstack_uninstall(void) {}
void sc_guest_open(void) {}
void sc_guest_close(void) {}

int sc_os_interrupt_install(int (*)(int))
{
	return 0;
}

void sc_os_interrupt_uninstall(void) {}
void sc_os_interrupt_block(int) {}

/* ---- the state that models start from ---- */

namespace model
{

static void set_asleep(struct sc_worker *worker)
{
	worker->parker = SC_ASLEEP;
	sc_sched.idle += SC_SLEEPING;
}

static void set_up_strand(struct sc_strand *strand)
{
	memset((void *)strand, 0, sizeof *strand);
	strand->item.kind = SC_ITEM_STRAND;
}

} // namespace model

#endif
