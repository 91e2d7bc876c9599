/* runtime/scope/fast.h: the few lines that every spawn and join runs.
 *
 * Compiled into fast.c, and by scope_fast.h's users with link-time optimisation.
 */
#ifndef SC_SCOPE_FAST_H
#define SC_SCOPE_FAST_H

#include "scope/tree.h"

SC_INLINE void sc_open_at(struct sc_worker *worker, struct sc_scope *s, const void *site,
			  const void *frame)
{
	s->parent = worker->cur;
	s->base = worker->bottom.top;
	s->state = 0;
	s->count = 0;
	s->site = site;
	s->frame = frame;
	worker->cur = (uintptr_t)s;
}

/* The slot is complete before top says so: a signal handler may expose it at once. */
SC_INLINE void sc_push_at(struct sc_worker *worker, struct sc_slot *top, struct sc_scope *s,
			  scope_task_fn *fn, void *arg, const void *site)
{
	top->fn = fn;
	top->site = site;
	top->arg = arg;
	top->scope = s;
	at_signal_fence();
	at_store_rlx(&worker->bottom.top, top + 1);
}

/* S11: the task that just returned left scopes open.  They and what their tasks use lie
 * below the stack pointer, so nothing may be pushed here: the one call writes its return
 * address where the task's was.  The worker's own stack joins them (sc_leak_begin). */
SC_INLINE struct sc_worker *sc_join_leaks(struct sc_worker *worker)
{
	struct sc_strand *strand = worker->strand;

	strand->place = worker->cur;
	worker->strand = &worker->native;
	worker->cur = 0;
	worker->post = sc_leak_begin;
	worker->post_strand = strand;
	sc_fiber_switch_aside(&strand->fiber, &strand->aside, &worker->native.fiber);
	sc_land();
	worker = sc_self();
	sc_resume(worker);
	return worker;
}

/* Runs the slot that was popped from the top as a child of s, inlined. */
SC_INLINE int sc_run_inlined(struct sc_worker **worker, struct sc_scope *s, struct sc_slot *slot)
{
	int rc;

	s->running.what = (const void *)slot->fn;
	s->running.site = (uintptr_t)slot->site;
	rc = slot->fn(slot->arg);
	*worker = sc_self();
	if (SC_UNLIKELY((*worker)->cur != ((uintptr_t)s | 1)))
		*worker = sc_join_leaks(*worker);
	return rc;
}

#endif
