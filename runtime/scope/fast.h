/* runtime/scope/fast.h: the few lines that every spawn and join runs.
 *
 * Inlined into fast.c, parallel.c and range.c, and into their slow paths.
 */
#ifndef SC_SCOPE_FAST_H
#define SC_SCOPE_FAST_H

#include "scope/tree.h"

SC_IN_FRAME void sc_open_at(struct sc_worker *worker, struct sc_scope *s, const void *site)
{
	s->parent = worker->cur;
	s->base = worker->bottom.top;
	s->state = 0;
	s->count = 0;
	s->site = site;
	sc_arch_save_fp(&s->frame);
	worker->cur = (uintptr_t)s;
	sc_seal(s);
}

/* A thief's share of what it stole: its scope joins the parts and is nobody's place to report
 * to (sc_counted). */
SC_IN_FRAME void sc_open_share(struct sc_worker *worker, struct sc_scope *share)
{
	sc_open_at(worker, share, worker->strand->slot.site);
	at_or_rlx(&share->state, SC_BARRIER);
}

/* The stack is low, or attention is called for: one comparison with memory. */
SC_INLINE int sc_stack_low(struct sc_worker *worker)
{
#if defined(__x86_64__) && !defined(SC_SIM)
	__asm__ goto("cmpq %0, %%rsp\n\tjb %l1" : : "m"(worker->stack_limit) : "cc" : low);
	return 0;
low:
	return 1;
#else
	return sc_arch_sp() < at_load_rlx(&worker->stack_limit);
#endif
}

/* No room on the deque, or attention is called for. */
SC_INLINE int sc_at_limit(struct sc_worker *worker, struct sc_slot *top)
{
#if defined(__x86_64__) && !defined(SC_SIM)
	__asm__ goto("cmpq %0, %1\n\tjae %l2" : : "m"(worker->bottom.lim), "r"(top) : "cc" : limit);
	return 0;
limit:
	return 1;
#else
	return top >= at_load_rlx(&worker->bottom.lim);
#endif
}

/* Nothing but open, spawn and inlined children happened to s. */
SC_INLINE int sc_is_plain(struct sc_scope *s)
{
#if defined(__x86_64__) && !defined(SC_SIM)
	__asm__ goto("cmpl $0, %0\n\tjne %l1" : : "m"(s->state) : "cc" : special);
	return 1;
special:
	return 0;
#else
	return at_load_rlx(&s->state) == 0;
#endif
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
 * address where the task's was.  The worker's own stack joins them (sc_leak_begin); then
 * sc_leaks_joined is due. */
SC_IN_FRAME void sc_join_leaks(struct sc_worker *worker)
{
	struct sc_strand *strand = worker->strand;

	strand->place = worker->cur;
	worker->strand = &worker->native;
	worker->cur = 0;
	worker->post = sc_leak_begin;
	worker->post_strand = strand;
	sc_fiber_switch_aside(&strand->fiber, &strand->aside, &worker->native.fiber);
}

/* s as the place of its inlined children.  Hidden from the optimiser, which would keep it in
 * a saved register for sc_child_is_odd. */
SC_IN_FRAME uintptr_t sc_closing(struct sc_scope *s)
{
#if defined(__x86_64__)
	uintptr_t place;

	__asm__ volatile("leaq 1(%1), %0" : "=r"(place) : "r"(s));
#else
	uintptr_t place = (uintptr_t)s + 1;

	__asm__("" : "+r"(place));
#endif
	return place;
}

/* Whether an inlined child of s that returned rc did anything but succeed with all of its
 * scopes closed.  32 bits tell all places on one stack apart. */
SC_IN_FRAME int sc_child_is_odd(struct sc_worker *worker, struct sc_scope *s, int rc)
{
	uint32_t place = *(const uint32_t *)&worker->cur; /* the low half: little endian */

	return SC_UNLIKELY(((place ^ (uint32_t)sc_closing(s)) | (uint32_t)rc) != 0);
}

/* rc is not kept in a register across the switch: that would cost every child a save. */
SC_IN_FRAME struct sc_worker *sc_child_odd(struct sc_worker *worker, struct sc_scope *s, int rc)
{
	if (worker->cur != (uintptr_t)s + 1) {
		worker->strand->result = rc;
		sc_join_leaks(worker);
		sc_leaver_ended(s, sc_leaks_joined());
	} else {
		sc_child_ended(s, rc);
	}
	return sc_self();
}

/* What runs in place of its parent now; both words of the slot at once. */
SC_INLINE void sc_set_running(struct sc_scope *s, const struct sc_slot *slot)
{
	__builtin_memcpy(&s->running, slot, sizeof s->running);
}

/* Runs the slot that was popped from the top as a child of s, inlined; the worker after. */
SC_IN_FRAME struct sc_worker *sc_run_inlined(struct sc_scope *s, const struct sc_slot *slot)
{
	struct sc_worker *worker;
	int rc;

	sc_set_running(s, slot);
	rc = slot->fn(slot->arg);
	worker = sc_self();
	if (sc_child_is_odd(worker, s, rc))
		worker = sc_child_odd(worker, s, rc);
	return worker;
}

#endif
