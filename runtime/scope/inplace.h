/* runtime/scope/inplace.h: parking and yielding where there is nothing to put aside. */
#ifndef SC_SCOPE_INPLACE_H
#define SC_SCOPE_INPLACE_H

#include "scope/tree.h"

/* Nothing to put aside: the place is a task that opened no scope, or one whose slots are all
 * with others.  What is left of sc_suspend and sc_resume then. */
SC_INLINE int sc_suspend_lightly(struct sc_worker *worker, struct sc_scope *s)
{
	/* By its address: the node itself may not be in the cache. */
	if (s == sc_node(worker->strand))
		return 1;
	if (!(sc_state(s) & SC_FLUSHED) || s->base != worker->bottom.top)
		return 0;
	worker->strand->left_worker = NULL;
	return 1;
}

SC_INLINE void sc_resume_lightly(struct sc_worker *worker, struct sc_scope *s)
{
	worker->floor = worker->bottom.top;
	if (s != sc_node(worker->strand))
		s->base = worker->floor;
}

/* After sc_park_lightly. */
SC_INLINE void sc_continue_lightly(struct sc_strand *strand, struct sc_scope *s)
{
	struct sc_worker *worker = sc_self();

	sc_resume_lightly(worker, s);
	if (SC_UNLIKELY(strand->cancelled || at_load_rlx(&sc_epoch) != strand->epoch))
		sc_poke(worker);
}

/* sc_park, in fewer steps where there is nothing to put aside. */
SC_INLINE void sc_park_in_place(struct sc_worker *worker, enum sc_reason reason,
				void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	struct sc_scope *s = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;

	if (SC_UNLIKELY(sc_host(strand)->held) || !sc_suspend_lightly(worker, s) ||
	    !sc_park_lightly(worker, reason, post)) {
		sc_park(worker, reason, post);
		return;
	}
	sc_continue_lightly(strand, s);
}

/* The same for what comes from outside: meanwhile standing still is no deadlock. */
SC_INLINE void sc_park_for_outside(struct sc_worker *worker, enum sc_reason reason,
				   void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	int told = sc_sched.flags & SC_SCHED_DETECT;

	if (SC_UNLIKELY(told))
		sc_outside(SC_DOOR, 1);
	sc_park_in_place(worker, reason, post);
	if (SC_UNLIKELY(told))
		sc_outside(SC_DOOR, -1);
}

#endif
