/* runtime/scope/next.c: scope_next: the results of tasks in the order of their ends (R4). */
#include "scope/joiner.h"
#include <errno.h>

/* lock: s.  Whether a call that found none has one now: only a task that was refused would leave
 * none to expect, and that is done when no worker is about. */
static int has_answer(const struct sc_joiner *joiner)
{
	SC_INVARIANT(joiner->kept || joiner->expected > 0);
	return joiner->kept != NULL;
}

/* On the next stack. */
static void publish_taker(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_scope *s = strand->subject;

	sc_wait_publish(worker, strand);
	sc_scope_lock(s);
	if (has_answer(sc_joiner(s)))
		sc_wait_claim(strand, SC_WAIT_EVENT);
	else
		sc_joiner(s)->taker = strand;
	sc_scope_unlock(s);
	sc_wait_park(worker, strand);
}

/* Until there is an answer: 0, or why there is none. */
static int wait_for_result(struct sc_scope *s, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;

	strand->subject = s;
	strand->object = s;
	sc_wait_begin(worker, deadline_ns);
	sc_park(worker, SC_IN_NEXT, publish_taker);
	sc_scope_lock(s);
	sc_joiner(s)->taker = NULL;
	sc_scope_unlock(s);
	return sc_wait_end(place);
}

/* What was taken before is given back. */
static int take(struct sc_scope *s, struct scope_result *out)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_task *task;
	int none;

	sc_scope_lock(s);
	task = joiner->kept;
	if (task)
		joiner->kept = sc_task_next(task);
	none = joiner->expected == 0;
	sc_scope_unlock(s);
	if (!task)
		return none ? -ENOENT : -EAGAIN;
	sc_free_task(joiner->taken);
	joiner->taken = task;
	*out = (struct scope_result){task->slot.arg, task->result, task->name};
	return 0;
}

int scope_next_until(struct scope *public, int64_t deadline_ns, struct scope_result *out_result)
{
	struct sc_scope *s = sc_view(public);
	int rc;

	sc_check_close("scope_next of", s);
	rc = sc_owner_check(sc_self(), s);
	sc_check_relation("scope_next of", s, rc);
	if (rc < 0)
		return rc;
	if (!sc_is_joined(s) || !sc_joiner(s)->keeps)
		return -EINVAL;
	rc = sc_check(sc_self());
	while (rc == 0) {
		rc = take(s, out_result);
		if (rc != -EAGAIN)
			return rc;
		if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
			return -ETIMEDOUT;
		rc = wait_for_result(s, deadline_ns);
	}
	return rc;
}

int scope_next(struct scope *s, struct scope_result *out_result)
{
	return scope_next_until(s, SC_NEVER, out_result);
}
