/* runtime/scope/joiner.h: scopes that look at each spawn and each end: rules R1 to R4, S15.
 *
 * A scope with max_tasks, results, a class, or a policy that decides by how tasks end is counted,
 * and its state is SC_JOINED: then extra->joiner is there, const.  A task passes
 *
 *   sc_joiner_spawn   a unit of the scope, then room (limit.c), then into a queue
 *   sc_joiner_hear    its function has returned: the policy acts, in the finishing task (K2)
 *   sc_joiner_leave   its room goes to a spawn that waits; then its unit ends
 *
 * A spawn that waits for room holds a unit, so the scope stays open; whoever takes it out of the
 * list, the task that leaves or the spawn itself, does so under the lock of the scope, so a
 * strand in the list is in that very wait.
 *
 * Where a value ends up, each exactly once: a success of ANY and RACE is the winner, which
 * `out_winner` is given if close returns 0, or it is dropped; a kept result is taken by
 * scope_next or, if a success, dropped.  What is left at the end is dropped by sc_joiner_settle,
 * the last step of winding up; what comes even later, by its own task.
 */
#ifndef SC_SCOPE_JOINER_H
#define SC_SCOPE_JOINER_H

#include "scope/extra.h"

/* A spawn that waits; lives on its stack. */
struct sc_entrant {
	struct sc_strand *strand;
	size_t tasks;            /* const: room for so many at once */
	struct sc_scope *scope;  /* const */
	struct sc_entrant *next; /* lock, as what follows */
	int queued;
};

/* Lock: that of the scope, for all that is not const. */
struct sc_joiner {
	unsigned policy;    /* const, as what follows */
	int keeps;          /* results are kept for scope_next */
	uint32_t max_tasks; /* 0: no limit */
	scope_exit_fn *on_exit;
	void *on_exit_arg;
	void (*drop)(void *value);
	void **out_winner;
	struct scope_class *class_of; /* class.h; or NULL */

	uint64_t inside;    /* tasks that have room */
	uint64_t expected;  /* tasks that were not heard of yet */
	struct sc_entrant *first, *last; /* who waits for room; then inside + first->tasks > max */

	struct sc_task *winner; /* ANY, RACE: NULL while undecided */
	int decided;
	int settled;
	struct sc_task *kept, *kept_last; /* item.next: ended later; not taken yet */
	struct sc_task *taken;  /* owner: what scope_next gave out last */
	struct sc_strand *taker; /* the owner waits in scope_next */

	int exiting;            /* a task is in on_exit; the list is of those that wait for it */
	struct sc_entrant *exit_first, *exit_last;
};

SC_INLINE int sc_is_joined(struct sc_scope *s)
{
	return (sc_state(s) & SC_JOINED) == SC_JOINED;
}

SC_INLINE struct sc_joiner *sc_joiner(struct sc_scope *s)
{
	return s->extra->joiner;
}

/* Whether the joiner hears of this task: who stands in for the owner is none of the program's. */
SC_INLINE int sc_joiner_hears(struct sc_scope *s, const struct sc_task *task)
{
	return SC_UNLIKELY(sc_is_joined(s)) && task != &s->extra->stand_in;
}

/* Whether the options ask for one. */
SC_INLINE int sc_joiner_wanted(const struct scope_options *options)
{
	return options->policy > SCOPE_AWAIT_ALL || options->max_tasks || options->results ||
	       options->class_of;
}

/* Whether they ask for what there is. */
SC_INLINE int sc_joiner_valid(const struct scope_options *options)
{
	int first = options->policy == SCOPE_ANY || options->policy == SCOPE_RACE;

	return options->policy <= SCOPE_CUSTOM && !(first && options->results) &&
	       (first || !options->out_winner) && (first || options->results || !options->drop) &&
	       (options->policy == SCOPE_CUSTOM) == (options->on_exit != NULL);
}

struct sc_joiner *sc_joiner_new(const struct scope_options *options);
void sc_joiner_free(struct sc_joiner *joiner);

/* Queues a task of its scope, or frees it: 0, -EAGAIN, -ECANCELED. */
int sc_joiner_spawn(struct sc_task *task, unsigned flags);
/* The same for so many at once, linked by item.next. */
int sc_joiner_spawn_all(struct sc_scope *s, struct sc_task *tasks, size_t count);
/* The running task, whose place is `place`, ended so: whether its record is kept, or it is to be
 * run again with its unit and its room. */
enum sc_heard { SC_HEARD, SC_HEARD_KEPT, SC_HEARD_AGAIN };
enum sc_heard sc_joiner_hear(struct sc_scope *s, struct sc_task *task, int rc, uintptr_t place);
/* A task could not run; it leaves too. */
void sc_joiner_missed(struct sc_scope *s);
void sc_joiner_leave(struct sc_scope *s);
int sc_joiner_settles(struct sc_scope *s);
void sc_joiner_settle(struct sc_scope *s);

/* ---- limit.c ---- */

/* Room for so many tasks, whose unit the caller holds: 0, -EAGAIN, -ECANCELED. */
int sc_limit_enter(struct sc_scope *s, size_t tasks, int may_wait);
void sc_limit_leave(struct sc_scope *s, size_t tasks);

#endif
