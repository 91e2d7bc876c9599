/* runtime/scope/fast.c: open, spawn, close: what costs a few nanoseconds; the rest is join.c.
 *
 * Compiled without frame pointers.  Each function leaves at the first thing that is
 * unusual.  What they rely on:
 *   - a thread that is no worker finds cur 0 and lim 0
 *   - lim is 0 when another worker is hungry or anything else wants attention, so that one
 *     comparison asks for all of it and for a full deque
 *   - above split all slots are the running strand's; those from s->base on are those of s,
 *     because scopes are closed in the reverse order of opening
 *   - stack_limit is the maximum under attention, so that one comparison asks for that and
 *     for the stack being low
 *   - after a child, everything is read again: it may have parked and gone on elsewhere
 */
#include "scope/fast.h"
#include <errno.h>

void scope_open(struct scope *public)
{
	struct sc_worker *worker = sc_self();

	if (SC_UNLIKELY(worker->cur == 0)) {
		(void)sc_not_connected("scope_open");
		return;
	}
	sc_check_given("scope_open of", public);
	sc_open_at(worker, sc_view(public), __builtin_return_address(0));
}

int scope_spawn(struct scope *public, scope_task_fn *fn, void *arg)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	struct sc_slot *top = worker->bottom.top;

	sc_check_function("scope_spawn of", fn);
	if (SC_UNLIKELY(worker->cur != (uintptr_t)s || sc_at_limit(worker, top)))
		return sc_spawn_slow(s, fn, arg, __builtin_return_address(0));
	sc_push_at(worker, top, s, fn, arg, __builtin_return_address(0));
	return 0;
}

int scope_close(struct scope *public)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	struct sc_slot *top = worker->bottom.top;

	sc_check_close("scope_close of", s);
	if (SC_UNLIKELY(worker->cur != (uintptr_t)s))
		return sc_close_slow(s);
	if (top != s->base) {
		worker->cur = sc_closing(s);
		do {
			/* Pop first, then look at split: the handler may raise it. */
			top--;
			at_store_rlx(&worker->bottom.top, top);
			at_signal_fence();
			if (SC_UNLIKELY(top < worker->bottom.split || sc_stack_low(worker))) {
				sc_close_step(s);
				worker = sc_self();
			} else {
				worker = sc_run_inlined(s, top);
			}
			top = worker->bottom.top;
		} while (top != s->base);
	}
	if (SC_UNLIKELY(!sc_is_plain(s)))
		return sc_close_finish(s);
	at_store_rlx(&s->state, SC_CLOSED);
	worker->cur = s->parent;
	return 0;
}
