/* runtime/io/offload.c: scope_offload: a task waits for a call that a thread runs; rules B1-B3. */
#include "io/pool.h"

#include <errno.h>
#include <scope_offload.h>
#include <string.h>

static int options_valid(const struct scope_offload_options *options)
{
	if (!SC_UNRESERVED(options))
		return 0;
	if (options->mode != SCOPE_OFFLOAD_ABANDON && (options->copy_size || options->drop))
		return 0;
	if (options->mode != SCOPE_OFFLOAD_INTERRUPT && options->interrupt_fn)
		return 0;
	return options->mode <= SCOPE_OFFLOAD_INTERRUPT;
}

/* ---- waiting ------------------------------------------------------------------------------- */

static void interrupt(struct sc_call *call, const struct scope_offload_options *options)
{
	if (options->interrupt_fn)
		options->interrupt_fn(call->arg);
	else
		sc_pool_interrupt(call);
}

/* The place was cancelled while the task waited: what became of the call.  One that is abandoned
 * belongs to its thread. */
static enum sc_call_state cancelled(struct sc_call *call,
				    const struct scope_offload_options *options)
{
	int interrupts = options->mode == SCOPE_OFFLOAD_INTERRUPT, cut = 1;
	enum sc_call_state state;

	sc_look_again(sc_self());
	state = sc_pool_cancel(call, options->mode == SCOPE_OFFLOAD_ABANDON);
	if (state == SC_CALL_RUNNING) {
		if (interrupts)
			interrupt(call, options);
		if (sc_pool_wait_again(call))
			sc_park(sc_self(), SC_IN_OFFLOAD, sc_wait_park);
		state = SC_CALL_DONE;
		cut = interrupts && call->result == -EINTR;
		if (cut)
			call->result = -ECANCELED;
	} else if (state == SC_CALL_DONE) {
		cut = 0; /* completion wins ties (C6) */
	}
	if (cut)
		sc_hit(sc_untag(sc_self()->cur));
	return state;
}

static enum sc_call_state wait_for(struct sc_call *call,
				   const struct scope_offload_options *options)
{
	struct sc_strand *strand = sc_self()->strand;

	call->strand = strand;
	sc_wait_forget(sc_self());
	sc_wait_prepare(strand);
	if (!sc_pool_submit(call))
		return SC_CALL_REFUSED;
	strand->object = (const void *)call->fn;
	sc_park(sc_self(), SC_IN_OFFLOAD, sc_wait_post);
	sc_wait_withdraw(sc_untag(sc_self()->cur));
	return sc_wait_outcome(strand) == SC_WAIT_CANCEL ? cancelled(call, options) : call->state;
}

/* ---- the call ------------------------------------------------------------------------------ */

/* A call that may outlive the task's wait has its own memory, and a copy of what arg points to. */
static struct sc_call *new_request(scope_task_fn *fn, void *arg,
				   const struct scope_offload_options *options)
{
	const size_t head = (sizeof(struct sc_call) + 15) & ~(size_t)15;
	size_t size = options->copy_size;
	struct sc_call *call = size < SIZE_MAX / 2 ? sc_os.alloc(head + size) : NULL;

	if (!call)
		return NULL;
	*call = (struct sc_call){.fn = fn, .arg = arg, .drop = options->drop};
	if (size) {
		call->arg = (char *)call + head;
		memcpy(call->arg, arg, size);
	}
	return call;
}

static int abandonable(scope_task_fn *fn, void *arg, const struct scope_offload_options *options)
{
	struct sc_call *call = new_request(fn, arg, options);
	int rc;

	if (!call)
		return -ENOMEM;
	if (wait_for(call, options) == SC_CALL_ABANDONED)
		return -ECANCELED;
	rc = call->result;
	if (rc == -ECANCELED && call->drop)
		call->drop(call->arg, rc);
	else if (options->copy_size)
		memcpy(arg, call->arg, options->copy_size);
	sc_os.free(call);
	return rc;
}

static int offload(scope_task_fn *fn, void *arg, const struct scope_offload_options *options)
{
	struct sc_call call = {.fn = fn, .arg = arg};

	if (options->mode == SCOPE_OFFLOAD_ABANDON)
		return abandonable(fn, arg, options);
	call.by_signal = options->mode == SCOPE_OFFLOAD_INTERRUPT && !options->interrupt_fn;
	wait_for(&call, options);
	return call.result;
}

int scope_offload(scope_task_fn *fn, void *arg, const struct scope_offload_options *options)
{
	static const struct scope_offload_options defaults;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_offload");
	if (!options)
		options = &defaults;
	if (!options_valid(options))
		return -EINVAL;
	rc = sc_check(worker);
	if (rc < 0) {
		if (options->drop)
			options->drop(arg, rc);
		return rc;
	}
	sc_outside(SC_CALL, 1); /* time does not jump meanwhile (Z1) */
	rc = offload(fn, arg, options);
	sc_outside(SC_CALL, -1);
	return rc;
}
