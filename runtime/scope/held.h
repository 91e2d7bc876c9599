/* runtime/scope/held.h: what a task has to give back before it ends.
 *
 * A task that ends with something in its hands has failed, and who waits for that thing must hear
 * of it.  What a strand's tasks hold is in one list, each with the task that holds it.  For a task
 * on a strand of its own, its end looks at the list.  The end of an inlined child looks at
 * nothing: the first thing that it takes leaves a mark in running.site, which the next child's
 * overwrites, and TAINT, which no close overlooks.  So the list is looked through
 *   - when a child without the mark takes something, and when the scope is closed
 *   - before the strand is put aside: nobody waits for good for a task that has ended
 *   - at the checkpoint after a tick: nobody waits long while a later child computes
 */
#ifndef SC_SCOPE_HELD_H
#define SC_SCOPE_HELD_H

#include "scope/tree.h"

/* The strand that the task runs on, for all of it. */
struct sc_holding {
	struct sc_holding *next;
	uintptr_t task;   /* sc_task_of */
	const void *site; /* behind the call that took it */
	void (*take_back)(struct sc_holding *holding); /* the task has ended */
};

/* Whether that task, which runs, has taken anything so far; unknown of one that is not inlined. */
SC_INLINE int sc_has_held(uintptr_t task)
{
	return !(task & 1) || (at_load_rlx(&sc_untag(task)->running.site) & SC_RUNNING_HOLDS);
}

/* The first thing that the inlined child of s takes. */
void sc_hold_first(struct sc_host *host, struct sc_scope *s);

/* The running task took something; task and site are set. */
SC_INLINE void sc_hold(struct sc_worker *worker, struct sc_holding *holding)
{
	struct sc_host *host = sc_host(worker->strand);

	if (SC_UNLIKELY(!sc_has_held(holding->task)))
		sc_hold_first(host, sc_untag(holding->task));
	holding->next = host->held;
	host->held = holding;
}

SC_INLINE void sc_give_back(struct sc_worker *worker, struct sc_holding *holding)
{
	struct sc_holding **link = &sc_host(worker->strand)->held;

	while (SC_UNLIKELY(*link != holding))
		link = &(*link)->next;
	*link = holding->next;
}

#endif
