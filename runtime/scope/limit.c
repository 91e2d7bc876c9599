/* runtime/scope/limit.c: room in scopes with max_tasks, given in the order of asking (S15). */
#include "scope/joiner.h"
#include <errno.h>

/* lock: s. */
static int fits(const struct sc_joiner *joiner, size_t tasks)
{
	return joiner->max_tasks == 0 || joiner->inside + tasks <= joiner->max_tasks;
}

/* lock: s. */
static int try_enter(struct sc_joiner *joiner, size_t tasks)
{
	if (joiner->first || !fits(joiner, tasks))
		return 0;
	joiner->inside += tasks;
	return 1;
}

/* lock: s.  Takes out the first one. */
static struct sc_entrant *take_first(struct sc_joiner *joiner)
{
	struct sc_entrant *entrant = joiner->first;

	joiner->first = entrant->next;
	entrant->queued = 0;
	return entrant;
}

/* lock: s.  Who has room now: it has the room before it goes on.  Those whose wait has been
 * ended otherwise are left out; they find that out themselves. */
static void admit(struct sc_joiner *joiner, struct sc_batch *woken)
{
	while (joiner->first && fits(joiner, joiner->first->tasks)) {
		struct sc_strand *strand = joiner->first->strand;
		size_t tasks = joiner->first->tasks;
		int parked;

		take_first(joiner);
		parked = sc_wait_claim(strand, SC_WAIT_EVENT);
		/* While it was in the list it could be in no other wait. */
		if (sc_wait_outcome(strand) != SC_WAIT_EVENT)
			continue;
		joiner->inside += tasks;
		if (parked)
			sc_batch_pack(woken, strand);
	}
}

void sc_limit_leave(struct sc_scope *s, size_t tasks)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_joiner *joiner = sc_joiner(s);

	sc_scope_lock(s);
	joiner->inside -= tasks;
	admit(joiner, &woken);
	sc_scope_unlock(s);
	sc_ready_batch(&woken);
}

/* On the next stack. */
static void publish_entrant(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_entrant *entrant = strand->subject;
	struct sc_joiner *joiner = sc_joiner(entrant->scope);

	if (sc_wait_publish(worker, strand)) {
		sc_scope_lock(entrant->scope);
		if (try_enter(joiner, entrant->tasks)) {
			/* Something else may have been first. */
			sc_wait_claim(strand, SC_WAIT_EVENT);
			if (sc_wait_outcome(strand) != SC_WAIT_EVENT)
				joiner->inside -= entrant->tasks;
		} else {
			entrant->queued = 1;
			if (joiner->first)
				joiner->last->next = entrant;
			else
				joiner->first = entrant;
			joiner->last = entrant;
		}
		sc_scope_unlock(entrant->scope);
	}
	sc_wait_park(worker, strand);
}

/* After a cancel or a soft stop: out of the list, and those behind may fit. */
static void give_up(struct sc_entrant *entrant)
{
	struct sc_joiner *joiner = sc_joiner(entrant->scope);
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_entrant *at, *before = NULL;

	sc_scope_lock(entrant->scope);
	if (entrant->queued) {
		for (at = joiner->first; at != entrant; at = at->next)
			before = at;
		if (before)
			before->next = entrant->next;
		else
			joiner->first = entrant->next;
		if (joiner->last == entrant)
			joiner->last = before;
		admit(joiner, &woken);
	}
	sc_scope_unlock(entrant->scope);
	sc_ready_batch(&woken);
}

static int wait_for_room(struct sc_scope *s, size_t tasks)
{
	struct sc_worker *worker = sc_self();
	struct sc_entrant entrant = {.tasks = tasks, .scope = s};
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;
	int rc;

	entrant.strand = strand;
	strand->subject = &entrant;
	strand->object = s;
	sc_wait_begin(worker, SC_NEVER);
	sc_park(worker, SC_IN_SPAWN, publish_entrant);
	rc = sc_wait_end(place);
	/* Else who gave the room had taken it out, and may still be about to leave the lock; the
	 * spawn holds a unit, so the scope is there. */
	if (rc < 0)
		give_up(&entrant);
	return rc;
}

int sc_limit_enter(struct sc_scope *s, size_t tasks, int may_wait)
{
	int entered, rc;

	sc_scope_lock(s);
	entered = try_enter(sc_joiner(s), tasks);
	sc_scope_unlock(s);
	if (entered)
		return 0;
	/* A member's own room may be what it would wait for. */
	if (!may_wait || sc_owner_check(sc_self(), s) == -EDEADLK)
		return -EAGAIN;
	rc = sc_check(sc_self());
	return rc < 0 ? rc : wait_for_room(s, tasks);
}
