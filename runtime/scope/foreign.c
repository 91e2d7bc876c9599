/* runtime/scope/foreign.c: work from threads that are no workers: rule B4.
 *
 * Memory order
 *   [call.done]  store_rel(done) at the end of the task -> load_acq(done) of the caller
 */
#include "scope/ref.h"
#include <errno.h>

/* A call whose caller waits; on the caller's stack. */
struct call {
	scope_task_fn *fn;
	void *arg;
	int result;
	SC_WORD(uint32_t) done; /* futex */
};

/* As a spawn by a task, but nobody has an attention to pay.  s is held. */
static int post(struct sc_scope *s, const struct sc_slot *slot, void (*drop)(void *arg))
{
	if (sc_effective(s)) {
		sc_hit(s);
		return -ECANCELED;
	}
	return sc_queue_slot(slot, drop);
}

/* The calling thread is no worker. */
static int post_to(const struct scope_ref *ref, scope_task_fn *fn, void *arg,
		   void (*drop)(void *arg), const void *site)
{
	struct sc_scope *s;
	int rc = -ESTALE;

	if (!sc_guest_enter())
		return -ESTALE;
	s = sc_hold((const struct sc_right *)ref);
	if (s) {
		struct sc_slot slot = {fn, site, arg, s};

		rc = post(s, &slot, drop);
		sc_drop_units(s, 1);
	}
	sc_guest_leave();
	return rc;
}

int scope_post(const struct scope_ref *ref, scope_task_fn *fn, void *arg)
{
	if (sc_self()->cur)
		return scope_ref_spawn(ref, fn, arg);
	return post_to(ref, fn, arg, NULL, __builtin_return_address(0));
}

static void finish(struct call *call, int result)
{
	SC_WORD(uint32_t) *done = &call->done;

	call->result = result;
	at_store_rel(done, 1); /* [call.done] */
	sc_os.wake(done, 1);   /* an address, no more: the caller may be gone */
}

static int run_call(void *arg)
{
	struct call *call = arg;

	finish(call, call->fn(call->arg));
	return 0;
}

static void drop_call(void *call)
{
	finish(call, -ENOMEM);
}

int scope_call(const struct scope_ref *ref, scope_task_fn *fn, void *arg)
{
	struct call call = {fn, arg, 0, 0};
	int rc;

	if (sc_self()->cur)
		return -EDEADLK;
	rc = post_to(ref, run_call, &call, drop_call, __builtin_return_address(0));
	if (rc < 0)
		return rc;
	while (!at_load_acq(&call.done)) /* [call.done] */
		sc_os.wait(&call.done, 0, SC_NEVER);
	return call.result;
}

int scope_ref_cancel(const struct scope_ref *ref)
{
	int guest = sc_self()->cur == 0;
	struct sc_scope *s;

	if (guest && !sc_guest_enter())
		return -ESTALE;
	s = sc_hold((const struct sc_right *)ref);
	if (s) {
		sc_cancel(s, SCOPE_CAUSE_EXPLICIT);
		sc_drop_units(s, 1);
	}
	if (guest)
		sc_guest_leave();
	return s ? 0 : -ESTALE;
}
