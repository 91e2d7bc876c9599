/* runtime/scope/tree.h: the call tree: scopes, the nodes of started tasks, their states.
 *
 *   place     a worker's `cur`: the innermost scope of the running task.  Tagged with 1 it
 *             means: a child that runs inlined in the close of that scope and has opened
 *             none of its own.  A task on a strand of its own has a node in the tree, which
 *             looks like a scope and is the first place on that strand.
 *   chain     the scopes from a place upward; up to the strand's node it is the strand's own
 *
 * Counting (rule S1).  The owner pushes children on its worker's join deque and pops them in
 *   close; those are counted by nothing but top - base.  Every other child is a unit in
 *   `count`: +1 when accepted, -1 as the last access of the task's end.  Slots that left the
 *   owner's hands (stolen, or exposed while it is put aside) are folded into `units` by a
 *   flush.  So all have ended when count == -units and top == base.
 *     FLUSHED set   units valid, and so for every scope above on the strand; base valid only
 *                   in the innermost flushed one, set again when the one below it closes
 *   A waiting close adds units + SC_WAITING.  Whoever would take the count to SC_WAITING, a
 *   finisher or the owner itself, takes it to 0 instead and alone continues the owner, which
 *   looks again: what hangs below a scope may have come by new units meanwhile.
 *
 * Counted scopes (SC_COUNTED).  Every task of such a scope is a unit of `count`, goes through
 *   the queues as a record (sc_accept) and is never inlined.  So it is never a place: the fast
 *   paths compare `cur` with the scope, fail, and leave through sc_spawn_slow and
 *   sc_close_slow.  There are three kinds, and sc_is_object tells the last two from the first:
 *     with a body    opened by a task that works in it (sc_open_counted): its place is `body`, a
 *                    barrier below the scope; sc_owns: `cur` is `body`
 *     in an object   (H0) has an owner, no body: sc_owns compares the running task.  It hangs
 *                    below its parent from open to close: object.c
 *     in between     (C9) the runtime's own, of one task and without owner: child.h
 *   To see each task of a scope: open it by sc_open_counted; sc_accept is where one begins and
 *   sc_counted_ended where it ends, in the finishing task.  Fields that other scopes use for
 *   inlined children hold the owner and the body.
 *
 * Linking.  A scope is in its parent's list (LINKED) only once a task parked cancellably
 *   below it.  A linked scope has OUTER == effective(parent) whenever no lock on its path is
 *   held.  An unlinked one is brought up to date by the strand that owns it when the cancel
 *   epoch moved (attend.c).  Linked scopes have their deadline armed.  What is no place is
 *   linked from open to close, and so is all above it.
 *   Locks are taken downward.  effective = OWN or (OUTER and not SHIELD).
 *   A soft stop goes the same way: a linked scope has SOFT_OUTER == stopped(parent), where
 *   stopped = SOFT or SOFT_OUTER; who asks about an unlinked one walks up (cancel.c).
 *
 * Deadlines.  alarm.timer.when is the earlier one of the scope's deadline and, under SOFT, of
 *   stop_by, the end of its grace period.  stop_by only ever shrinks.
 *
 * Memory order
 *   [scope.lock]   or_acq(state, LOCKED) -> and_rel(state, ~LOCKED)
 *   [scope.linked] cas_rel(state, LINKED) after the list fields are set -> or_acq(state, LOCKED)
 *                  of who locks the scope, or load_acq(state) of a walk that holds the lock:
 *                  it may use the scope's children.  Whoever asks only for LINKED and OUTER
 *                  finds both in one word, which needs no order
 *   [scope.count]  cas_acqrel(count) of each finisher -> load_acq(count) of the owner, cas_acq
 *                  of who seals it: after close it sees all that the tasks wrote.  cas_rel or
 *                  add_rel(count) of the owner that waits -> cas_acqrel or cas_acq(count) of the
 *                  last: it sees waiter
 *   [wait.again]   store(wait), fence_sc, load(state) of a strand that waits again where it is
 *                  registered <-> or(state), fence_sc, load(wait) of a walk: one of the two sees
 *                  the other
 *   [run.one]      store_rel(running, 0) -> cas_acq(running, 0 -> 1): runs follow each other
 *   [cancel.epoch] add_rel(epoch) after the tree was changed -> load_acq(epoch) of a strand
 *                  that notes it and then reads the tree.  Who only compares has nothing to
 *                  read yet
 */
#ifndef SC_SCOPE_TREE_H
#define SC_SCOPE_TREE_H

#include "sched/sched.h"
#include <scope.h>

enum sc_state {
	SC_LOCKED = 1 << 0,
	SC_OWN = 1 << 1,       /* cancelled itself; the cause is in the top bits */
	SC_OUTER = 1 << 2,     /* a cancel from above is visible at its edge */
	SC_SHIELD = 1 << 3,
	SC_LINKED = 1 << 4,
	SC_HIT_OWN = 1 << 5,   /* its own cancel was felt */
	SC_HIT_OUTER = 1 << 6, /* a cancel from above was felt */
	SC_FLUSHED = 1 << 7,
	SC_SHARED = 1 << 8,    /* it accepted tasks that `count` holds */
	SC_FAILED = 1 << 9,    /* code, error_site are valid */
	SC_DEADLINE = 1 << 10, /* alarm.timer.when is valid */
	SC_ARMED = 1 << 11,    /* the alarm was put into a wheel */
	SC_FIRED = 1 << 12,    /* the deadline fired */
	SC_TIMED_OUT = 1 << 13, /* ... and was the first cancel */
	SC_MOVE_ON = 1 << 14,
	SC_EXTRA = 1 << 15,    /* extra is valid */
	SC_TASK = 1 << 16,     /* the node of a task, not a scope */
	SC_WAITER = 1 << 17,   /* waiter is parked cancellably here */
	SC_TAINT = 1 << 18,    /* children left error records with the strand, or marks */
	SC_CLOSED = 1 << 19,
	SC_BARRIER = 1 << 20,  /* a thief's share, a body: errors go to the scope above */
	SC_ASIDE = SC_BARRIER | SC_SHIELD, /* both: the place of a call made for the scope above */
	SC_BINDING = SC_BARRIER | SC_MOVE_ON, /* both: a binding, see locals.h */
	SC_SOFT = 1 << 21,     /* a soft stop of its own; stop_by is valid */
	SC_SOFT_OUTER = 1 << 22, /* a soft stop from above; passes shields */
	SC_COUNTED = 1 << 23,  /* all its tasks are units of `count`; never a place */
	SC_JOINED = SC_COUNTED | SC_TAINT, /* both, const: it has a joiner, see joiner.h */
	SC_OBJECTS = 1 << 24,  /* LINKED; counted scopes without a body hang or hung below it */
	SC_OWNER_IN = 1 << 25, /* sc_lineage: its owner closes it or waits for it */
	SC_PARENT_IN = 1 << 26, /* sc_lineage: its parent closes it, or waits for its owner */
	SC_BETWEEN = 1 << 27,  /* const: in between, see child.h */
	SC_CAUSE_SHIFT = 28
};

/* Limits of the count word: far beyond any number of tasks. */
#define SC_WAITING  (INT64_C(1) << 62) /* the owner waits in close */
#define SC_WATCHING (INT64_C(1) << 60) /* the owner waits in scope_wait_until */
#define SC_SEALED   INT64_MIN          /* in an object: no unit comes any more */

/* The child that runs inlined; `site` carries marks in its top bits, which the next child's
 * overwrites; ERROR, REGION and NUMBERED are set by read-modify-writes, and TAINT with them. */
struct sc_running {
	const void *what; /* its function, or its struct sc_task if NAMED */
	SC_WORD(uintptr_t) site;
};
#define SC_RUNNING_NAMED    (UINT64_C(1) << 63)
#define SC_RUNNING_ERROR    (UINT64_C(1) << 62) /* the strand keeps an error record of it */
#define SC_RUNNING_REGION   (UINT64_C(1) << 57) /* the soft regions that it is in, counted */
#define SC_RUNNING_REGIONS  31
#define SC_RUNNING_NUMBERED (UINT64_C(1) << 56) /* `number` is its */
#define SC_RUNNING_HOLDS    (UINT64_C(1) << 55) /* it took something, see held.h */
#define SC_RUNNING_MARKS    (UINT64_C(511) << 55)

/* What a counted scope has instead. */
struct sc_holder {
	uintptr_t owner;       /* sc_lineage: sc_task_of who may close it; 0: it closes itself */
	struct sc_scope *body; /* const: the owner's place; NULL: it has none */
};

struct sc_extra;
typedef void sc_run_fn(void);
typedef size_t sc_orphans_fn(const void **fns, size_t most);

/* The inside of struct scope.  scope_open writes only what its comment says; the rest is
 * valid under the state bit named. */
struct sc_scope {
	/* const while open: place of the opener; scope_open.  In an object: sc_lineage. */
	uintptr_t parent;
	union {
		struct sc_slot *base;   /* owner: its slots start here; scope_open */
		struct sc_strand *late; /* in an object, sc_lineage: closed it too late, waits */
	};
	SC_WORD(uint32_t) state; /* scope_open */
	SC_WORD(uint32_t) number; /* a node's task's, 0: none yet; a scope's inlined child's */
	SC_WORD(struct sc_strand *) waiter; /* WAITER: lock.  Closing, watching: the owner */
	SC_PLAIN(struct sc_scope *) children; /* lock; LINKED: scopes and nodes below */
	SC_PLAIN(struct sc_scope *) next;  /* lock of the parent; LINKED */
	SC_PLAIN(struct sc_scope *) *link; /* lock of the parent; LINKED */
	/* The node of a task ends here. */
	SC_WORD(int64_t) count; /* scope_open */
	SC_EITHER(struct sc_running running, /* owner: while it closes */
		  struct sc_holder holder);  /* COUNTED */
	const void *site;          /* const: return address of scope_open; scope_open */
	const void *frame;         /* const: frame pointer of the opener; scope_open */
	int64_t units;        /* owner; FLUSHED */
	struct sc_alarm alarm;     /* lock; DEADLINE, ARMED */
	struct sc_extra *extra;    /* lock; EXTRA: extra.h */
	const void *error_site;    /* lock; FAILED */
	SC_WORD(int64_t) stop_by;  /* lock; SOFT: when its grace period ends */
	int32_t code;              /* lock; FAILED: the first error */
	uint32_t canceller;        /* lock; OWN by scope_cancel: who called it, see cause.c */
	uint32_t ends_objects;     /* lock; OBJECTS: its close has come to them */
#ifdef SC_DEBUG
	uint64_t seal;             /* const: of the const fields; check.c */
#endif
};
_Static_assert(sizeof(struct sc_scope) <= sizeof(struct scope), "a scope fits its memory");

/* What every pooled stack has at its top. */
struct sc_host {
	struct sc_strand strand;
	struct sc_holding *held;   /* what the tasks on this strand hold: held.h */
	struct sc_scope *lingers;  /* where its waiter is registered between two waits, or NULL */
	struct sc_last *errors;    /* last error records of these tasks */
};

/* The card of every strand; the node of its task is the first fields of a struct sc_scope. */
struct sc_leaf {
	struct sc_card card;
	uint64_t node[offsetof(struct sc_scope, count) / 8];
#ifdef SC_DEBUG
	uint64_t seal;
#endif
} SC_ALIGNED(SC_CACHE_LINE);

SC_INLINE struct sc_scope *sc_untag(uintptr_t place)
{
	return (struct sc_scope *)(place & ~(uintptr_t)1);
}

SC_INLINE struct sc_scope *sc_view(const struct scope *s)
{
	return (struct sc_scope *)(uintptr_t)s;
}

SC_INLINE struct sc_host *sc_host(struct sc_strand *strand)
{
	return SC_CONTAINER(strand, struct sc_host, strand);
}

SC_IN_FRAME struct sc_scope *sc_node(struct sc_strand *strand)
{
	return (struct sc_scope *)((struct sc_leaf *)strand->fiber.card)->node;
}

/* Of the strand whose task has this node. */
SC_INLINE struct sc_card *sc_card_of(struct sc_scope *node)
{
	return &SC_CONTAINER(node, struct sc_leaf, node)->card;
}

SC_IN_FRAME uint32_t sc_state(struct sc_scope *s)
{
	return at_load_rlx(&s->state);
}

/* Counted and no task's own: it can hang below any open scope. */
SC_INLINE int sc_is_object(struct sc_scope *s)
{
	return (sc_state(s) & SC_COUNTED) && !s->holder.body;
}

/* ---- cancel.c ---- */

extern SC_WORD(uint64_t) sc_epoch; /* cancels and unshieldings so far */
extern struct sc_scope sc_root;   /* parent of the root task */

void sc_scope_lock(struct sc_scope *s);
void sc_scope_unlock(struct sc_scope *s);
/* Whether code whose place is s is cancelled now: walks up to the first linked scope. */
int sc_effective(struct sc_scope *s);
void sc_cancel(struct sc_scope *s, enum scope_cause cause);
/* By a task, of which sc_note_canceller has made a note. */
void sc_cancel_by(struct sc_scope *s, enum scope_cause cause, uint32_t canceller);
void sc_set_shield(struct sc_scope *s, int on);
/* lock: s.  A soft stop of s and of all below; the waiters are collected. */
void sc_stop_softly(struct sc_scope *s, struct sc_batch *woken);
/* Whether a soft stop is visible at s: walks up to the first linked scope. */
int sc_stopped(struct sc_scope *s);
/* The reason is in the tree: strands whose scopes are not linked have to look. */
void sc_announce(void);
/* Links s and all above it; arms their deadlines. */
void sc_link(struct sc_worker *worker, struct sc_scope *s);
void sc_unlink(struct sc_scope *s);
/* Hangs a linked s below `to` instead, which is above its parent. */
void sc_relink(struct sc_scope *s, struct sc_scope *to);
/* Registers a parked strand at its place: false, and the wait is claimed, if the place is
 * cancelled or, for a wait that is soft, softly stopped. */
int sc_register(struct sc_worker *worker, struct sc_strand *strand, struct sc_scope *place);
void sc_unregister(struct sc_scope *place);
/* Commits a wait of a strand that is registered at its place from an earlier one: as
 * sc_wait_commit.  sc_commit_slowly: what is left of it where a walk was or may have been. */
int sc_commit_slowly(struct sc_worker *worker, struct sc_strand *strand, struct sc_scope *place,
		     uint32_t state);
/* A waiter is registered, and no walk has asked for what may end its wait. */
SC_INLINE int sc_asks_nothing(uint32_t state)
{
	const uint32_t asked = SC_WAITER | SC_OWN | SC_OUTER | SC_SOFT | SC_SOFT_OUTER;

	return (state & asked) == SC_WAITER;
}

SC_INLINE int sc_commit_again(struct sc_worker *worker, struct sc_strand *strand,
			      struct sc_scope *place)
{
	struct sc_card *card = sc_card(strand);
	uint32_t state;

	at_store_rel(&card->wait, SC_WAIT_WAITING); /* [wait.again] [wait.claim] */
	at_fence_sc();                              /* [wait.again] */
	state = at_load_rlx(&place->state);         /* [wait.again] */
	if (SC_LIKELY(sc_asks_nothing(state)))
		return 1;
	return sc_commit_slowly(worker, strand, place, state);
}

/* The same for a wait that was prepared and will be committed, since its event or a timer may come
 * before: in place of sc_register, which is due if it is false. */
SC_INLINE int sc_register_again(struct sc_scope *place)
{
	at_fence_sc();                                      /* [wait.again] */
	return sc_asks_nothing(at_load_rlx(&place->state)); /* [wait.again] */
}

/* A cancel was felt with s as the innermost scope: rule C12. */
void sc_hit(struct sc_scope *s);
void sc_arm_deadline(struct sc_worker *worker, struct sc_scope *s);

/* ---- attend.c ---- */

/* Whether a checkpoint has to look closely.  The epoch is compared too: resuming a strand
 * resets stack_limit without a fence, which may swallow a call. */
SC_INLINE int sc_called(struct sc_worker *worker)
{
	return at_load_rlx(&worker->stack_limit) == UINTPTR_MAX ||
	       at_load_rlx(&sc_epoch) != worker->strand->epoch;
}

/* After a wait that its timer ended: what else is due by then the next checkpoint sees, whichever
 * fires first. */
void sc_timed_out(struct sc_worker *worker);

/* Giving way is left to the next checkpoint. */
SC_INLINE void sc_defer_tick(struct sc_worker *worker)
{
	at_store_rlx(&worker->tick, 1);
	sc_poke(worker);
}

/* A cancel reached the running strand, and who cancelled may not have moved the epoch yet, or
 * need not: see it from now on. */
SC_INLINE void sc_look_again(struct sc_worker *worker)
{
	worker->strand->epoch--;
	sc_poke(worker);
}

/* Everything that an attention may ask of the running strand.  True: it is due to give way. */
int sc_attend(struct sc_worker *worker);
/* A checkpoint: 0, -ECANCELED, marking the hit, or -ESHUTDOWN; looks closely only if attention
 * was called for. */
int sc_check(struct sc_worker *worker);
/* Whether that may find anything. */
SC_INLINE int sc_is_due(struct sc_worker *worker)
{
	return sc_called(worker) || sc_seeded();
}
/* The same for calls that are no checkpoints and only leave things out: no -ESHUTDOWN. */
int sc_check_cancel(struct sc_worker *worker);
/* The hooks around a park. */
void sc_put_aside(struct sc_worker *worker);
void sc_resume(struct sc_worker *worker);
/* Takes the slots from the hands of the strand whose place is the worker's. */
void sc_suspend(struct sc_worker *worker);

/* ---- wait.c ---- */

/* soft.c: whether the running task is in a soft region. */
int sc_in_region(struct sc_worker *worker);

/* A wait that a cancel may end, its deadline (SC_NEVER: none), and, for a task in a soft region,
 * a soft stop.  Before the park: */
void sc_wait_begin(struct sc_worker *worker, int64_t deadline_ns);
/* In the post: who may end it is told.  False: it is over, for the place is cancelled. */
int sc_wait_publish(struct sc_worker *worker, struct sc_strand *strand);
/* The end of a post: the strand is parked, or goes on, for its wait is over.  As a post of its
 * own: for a wait that only its event ends. */
void sc_wait_park(struct sc_worker *worker, struct sc_strand *strand);
/* Both: a post for waits whose event finds the strand already. */
void sc_wait_post(struct sc_worker *worker, struct sc_strand *strand);
/* After the park.  0: by its event, -ETIMEDOUT, -ECANCELED, marking the hit, -ESHUTDOWN. */
int sc_wait_end(struct sc_scope *place);
/* Part of that: no cancel and no timer will look at this wait any more. */
void sc_wait_withdraw(struct sc_scope *place);
/* The same of a wait without a deadline that its event has ended; the waiter stays registered
 * at the place for the task's next wait there, which then costs no lock of the tree. */
SC_INLINE void sc_wait_linger(struct sc_strand *strand, struct sc_scope *place)
{
	sc_host(strand)->lingers = place;
}

/* Whether it is still, and in a soft region or not as it was then: a walk of a soft stop that found
 * the last wait may end this one.  Then sc_commit_again will do in place of sc_wait_publish and a
 * commit. */
SC_INLINE int sc_wait_again(struct sc_worker *worker, struct sc_scope *place)
{
	struct sc_strand *strand = worker->strand;
	uint32_t softly = at_load_rlx(&sc_card(strand)->waits_softly);

	if (sc_host(strand)->lingers != place || !(sc_state(place) & SC_WAITER))
		return 0;
	/* A task of its own strand that is in no region, as it was before. */
	if (!(worker->cur & 1) && !strand->regions && !softly)
		return 1;
	return softly == (uint32_t)sc_in_region(worker);
}

/* Before a wait that no cancel ends: takes the waiter off. */
void sc_wait_forget(struct sc_worker *worker);

/* ---- join.c: what leaves the fast paths is kept out of the callers of a link-time build ---- */

SC_NOINLINE int sc_spawn_slow(struct sc_scope *s, scope_task_fn *fn, void *arg, const void *site);
/* Makes task, whose slot is filled, a unit of its scope and queues it. */
void sc_accept(struct sc_task *task);
/* Queues a task; drop is called if it can't run.  0 or -ENOMEM, which is an error of its scope. */
int sc_queue_slot(const struct sc_slot *slot, void (*drop)(void *arg));
/* Whether a spawn into s is to be refused: 0, -ECANCELED (a hit), -ESTALE. */
int sc_refused(struct sc_worker *worker, struct sc_scope *s);
/* The end of so many units, the last access to s: a strand to continue or NULL. */
struct sc_strand *sc_units_end(struct sc_scope *s, uint32_t units);
/* The same, by who has no strand to continue. */
void sc_drop_units(struct sc_scope *s, uint32_t units);
/* Something was unusual on top of the deque or in the worker; see fast.c. */
SC_NOINLINE void sc_close_step(struct sc_scope *s);
SC_NOINLINE int sc_close_finish(struct sc_scope *s);
/* s is not the place: it is counted, or the call is misuse. */
SC_NOINLINE int sc_close_slow(struct sc_scope *s);
int sc_all_ended(struct sc_scope *s);
/* Owner, or who claimed s: parks until all that has to end before s is closed has ended. */
void sc_join(struct sc_scope *s);
/* A wait for the end of all tasks of s by its owner: whether it is over; in its post, behind
 * sc_wait_publish, what has the last end claim it as its event; after it. */
int sc_watch_ended(struct sc_worker *worker, struct sc_scope *s);
void sc_watch(struct sc_strand *strand, struct sc_scope *s);
void sc_watch_stop(struct sc_scope *s);
/* All members have ended: takes s off the wheel and out of the tree; its last state.  It was opened
 * on that strand. */
uint32_t sc_detach(struct sc_scope *s, struct sc_strand *owner);
/* What its close returns: the table of rule C12. */
int sc_result(struct sc_scope *s, uint32_t state);

/* The last thing that is done to a scope, whose last state that was. */
SC_INLINE void sc_set_closed(struct sc_scope *s, uint32_t state)
{
	state &= ~(uint32_t)(SC_LOCKED | SC_LINKED | SC_ARMED | SC_FLUSHED | SC_EXTRA);
	at_store_rlx(&s->state, state | SC_CLOSED);
}
/* The result of an inlined child of s. */
SC_NOINLINE void sc_child_ended(struct sc_scope *s, int rc);
/* The same, rc may be 0, of one that had left scopes open. */
SC_NOINLINE void sc_leaver_ended(struct sc_scope *s, int rc);
/* On the worker's own stack: cancels and joins what a task left open (S11). */
void sc_leak_begin(struct sc_worker *worker, struct sc_strand *strand);
SC_NOINLINE int sc_leaks_joined(void);
/* 0 if the running task owns s, which is its place or counted; -EBUSY: it owns s, which is not
 * its place; -ENOTCONN, -ESTALE, -EDEADLK: a member; -EPERM: neither. */
int sc_owner_check(struct sc_worker *worker, struct sc_scope *s);
/* Whether this is the place of a call that the runtime makes for a scope (SC_ASIDE). */
SC_INLINE int sc_is_aside(struct sc_scope *s)
{
	return (sc_state(s) & SC_ASIDE) == SC_ASIDE;
}
/* Puts an own slot on the deque; the caller owns s (place s or s|1). */
int sc_push(struct sc_worker *worker, const struct sc_slot *slot);
/* Queues a slot as a task of its own if the deque is full. */
int sc_push_slow(struct sc_worker *worker, const struct sc_slot *slot);

/* ---- open.c ---- */

/* scope_open_with, at `site`. */
int sc_open_with(struct sc_scope *s, const struct scope_options *options, const void *site);

/* ---- object.c ---- */

/* Taken to read or change who owns a scope in an object, what it hangs below and who closes it.
 * Nothing above such a scope is closed meanwhile.  Before all locks of scopes. */
extern struct sc_lock sc_lineage;

/* The same for a walk upwards from s, an open scope; needed only if there are such scopes. */
int sc_lineage_hold(void);
void sc_lineage_drop(int held);
/* s is at the last of its owner's hands, or its parent's: what has to be waited for next, itself
 * included, before it is closed; NULL: nothing. */
struct sc_scope *sc_left_to_join(struct sc_scope *s);
int sc_close_object(struct sc_worker *worker, struct sc_scope *s);
/* The owner begins and stops to use a scope in an object: its parent waits for that. */
int sc_object_enter(struct sc_scope *s);
void sc_object_leave(struct sc_scope *s);
int sc_object_hold(struct sc_scope *s);

/* A task that need not be a member is going to add something to s.  Its owner can't know when a
 * scope in an object is closed with its parent, so the use is a unit; false: it is closed. */
SC_INLINE int sc_begin_use(struct sc_scope *s)
{
	return !sc_is_object(s) || sc_object_hold(s);
}

void sc_end_use(struct sc_scope *s);

/* ---- ref.c ---- */

/* Nothing is left in s: no right to it is one any more; false if something came by one. */
int sc_rights_end(struct sc_scope *s);

/* ---- counted.c ---- */

/* What s does after its members, by a task that is one more member. */
void sc_send_stand_in(struct sc_scope *s);
/* Opens s with a body, which becomes the place: 0 or -ENOMEM, then nothing is changed. */
int sc_open_counted(struct sc_worker *worker, struct sc_scope *s, const void *site);
/* The body is the place: ends it and makes s the place. */
void sc_close_body(struct sc_scope *s);
/* Whether the running task may act as the owner of a counted scope here and now. */
int sc_owns(struct sc_worker *worker, struct sc_scope *s);
/* The last access of a task's end to its scope: a strand to continue or NULL. */
struct sc_strand *sc_counted_ended(struct sc_scope *s, int rc);

/* ---- task.c, service.c ---- */

int sc_spawn_options_valid(const struct scope_spawn_options *options);
/* ... and none of them is for supervisors. */
int sc_spawn_options_plain(const struct scope_spawn_options *options);
/* A task with what the options ask for, all else is 0; NULL: no memory. */
struct sc_task *sc_new_task(const void *arg, size_t copy_size,
			    const struct scope_spawn_options *options);
int sc_spawn_with(struct sc_scope *s, scope_task_fn *fn, const void *arg, size_t copy_size,
		  const struct scope_spawn_options *options, const void *site);
/* Takes over task, which is filled but for its scope: 0, -ENOMEM. */
int sc_spawn_service(struct sc_worker *worker, struct sc_scope *parent, struct sc_task *task);

/* The same of a task that was made before, its function and site set, which this takes over. */
int sc_spawn_task(struct sc_scope *s, struct sc_task *task);
void sc_free_task(struct sc_task *task);
int sc_task_entry(void *arg); /* slot function of a spawn with a record: arg is the task */
struct sc_strand *sc_run_task(struct sc_strand *strand);
struct sc_strand *sc_refuse_task(struct sc_slot *slot, struct sc_task *task);
int sc_range_entry(void *arg);
void sc_range_refused(void *range); /* its tasks will not run */

/* ---- time.c ---- */

void sc_open_deadline(struct sc_worker *worker, struct sc_scope *s, int64_t when);
/* Locks s with its alarm off, so that its deadlines may be changed. */
void sc_take_deadline(struct sc_scope *s);
/* lock: s, alarm off.  Cancels at `when`, SC_NEVER: not; armed at once where somebody waits. */
void sc_put_deadline(struct sc_worker *worker, struct sc_scope *s, int64_t when);
/* Has the next checkpoint compare deadlines with the clock. */
void sc_look_soon(struct sc_worker *worker);
/* What was put is due. */
void sc_overdue(struct sc_scope *s);
void sc_expire(struct sc_alarm *alarm);

/* ---- soft.c ---- */

/* Around the calls that are soft by themselves: as scope_soft_begin and scope_soft_end. */
int sc_region_begin(struct sc_worker *worker);
void sc_region_end(struct sc_worker *worker);
/* Around a call that is made for a scope and is in none of the task's regions. */
unsigned sc_regions_leave(struct sc_worker *worker);
void sc_regions_return(struct sc_worker *worker, unsigned count);
void sc_shutdown(struct sc_worker *worker, struct sc_scope *s, int64_t stop_by);

/* ---- signal.c ---- */

void sc_signals_arrived(void); /* on the monitor's thread */
void sc_signals_end(void);     /* closes the streams that are left at the end of a run */

/* ---- error.c ---- */

/* A task of s that was spawned at `site` failed with code != 0.  place: where it ran, for its
 * path.  sc_failed_at: `site` is where something else was done. */
void sc_failed(struct sc_scope *s, int code, uintptr_t place, const void *site, const char *text);
void sc_failed_at(struct sc_scope *s, int code, uintptr_t place, const void *site,
		  enum scope_site_kind kind, const char *text);
/* The same where no cancel was visible, so that -ECANCELED is an error like any. */
void sc_add_error(struct sc_scope *s, int code, uintptr_t place, const void *site,
		  enum scope_site_kind kind, const char *text);
/* The closed scope's first record becomes the closing task's last error. */
void sc_keep_error(struct sc_scope *s, int code);
/* The scope was closed on behalf of `to` with that result, which becomes an error there. */
void sc_pass_error(struct sc_scope *s, int code, struct sc_scope *to);
/* The last errors of the tasks on a strand that sc_task_of gives; 0: of all. */
void sc_drop_errors(struct sc_host *host, uintptr_t task);
struct scope_error *sc_root_error(void);
void sc_release_error(struct scope_error *error);
int sc_was_printed(const struct scope_error *error);
void sc_mark_printed(const struct scope_error *error);

/* ---- held.c ---- */

/* Takes back what ended inlined children still hold; which has failed their scopes. */
void sc_held_sweep(struct sc_host *host);
/* A task of s has ended. */
void sc_held_end(struct sc_host *host, struct sc_scope *s, uintptr_t task);

/* ---- extra.c ---- */

/* Its name, or NULL; for reports. */
const char *sc_name(struct sc_scope *s);

/* ---- run.c: what layers above need of a run ---- */

/* What has calls under way that no worker runs. */
struct sc_service {
	sc_run_fn *at_end; /* by the root task's worker when all tasks have ended */
	sc_run_fn *look;   /* by the monitor, see sc_sched_watch */
	/* The functions that abandoned calls run, at most `most`; how many there are. */
	sc_orphans_fn *orphans;
};
enum { SC_POOL, SC_ENGINE, SC_SERVICES };

struct sc_run {
	/* const in a run */
	unsigned offload_threads;
	int64_t orphan_grace;
	int64_t watchdog; /* 0: off */
	int64_t orphans_until; /* set once all tasks have ended */
	/* Set by tasks at the first use of what needs them in a run. */
	SC_WORD(const struct sc_service *) service[SC_SERVICES];
};
extern struct sc_run sc_run;
size_t sc_orphans(const void **fns, size_t most);

/* ---- check.c: nothing unless compiled with SC_DEBUG ---- */

#ifdef SC_DEBUG
void sc_seal(struct sc_scope *s);
/* Whether the place is what it was when it was sealed. */
int sc_sound(uintptr_t place);
/* Each reports misuse by the running task and aborts; `what` is the call that it made.  s is a
 * scope; it is open; it is and no younger one of this task was overwritten; a close by a task of
 * this relation to s (0, -EBUSY, ...) is allowed; no scope is left open at `place`. */
void sc_check_scope(const char *what, struct sc_scope *s);
void sc_check_open(const char *what, struct sc_scope *s);
void sc_check_close(const char *what, struct sc_scope *s);
void sc_check_relation(const char *what, struct sc_scope *s, int relation);
void sc_check_leak(uintptr_t place);
/* A scope, and a function, that is not NULL. */
void sc_check_given(const char *what, const void *s);
void sc_check_function(const char *what, scope_task_fn *fn);
/* -ENOTCONN: the call was made outside a task, which is said once. */
int sc_not_connected(const char *what);
#else
#define sc_seal(s)                             ((void)(s))
#define sc_sound(place)                        ((void)(place), 1)
#define sc_check_scope(what, s)                ((void)(what), (void)(s))
#define sc_check_open(what, s)                 ((void)(what), (void)(s))
#define sc_check_close(what, s)                ((void)(what), (void)(s))
#define sc_check_relation(what, s, relation)   ((void)(what), (void)(s), (void)(relation))
#define sc_check_leak(place)                   ((void)(place))
#define sc_check_given(what, s)                ((void)(what), (void)(s))
#define sc_check_function(what, fn)            ((void)(what), (void)(fn))
#define sc_not_connected(what)                 ((void)(what), -ENOTCONN)
#endif

/* ---- path.c ---- */

void sc_path(uintptr_t place, char *out, size_t size);
/* "task PATH, spawned at SITE" of the task at place. */
void sc_describe(uintptr_t place, char *out, size_t size);
/* Without source lines, which take long to find. */
void sc_describe_in_handler(uintptr_t place, char *out, size_t size);
/* "scope \"NAME\" opened at SITE". */
void sc_describe_scope(struct sc_scope *s, char *out, size_t size);

/* ---- cause.c ---- */

/* Notes the task at place as one that called scope_cancel at `site`. */
uint32_t sc_note_canceller(uintptr_t place, const void *site);
/* Why code whose place is s is cancelled, as scope_cause tells it. */
void sc_find_cause(struct sc_scope *s, struct scope_cause_info *out);
/* In a word or two; what began the cancel, in many. */
const char *sc_cause_text(enum scope_cause cause);
void sc_put_cause(const struct scope_cause_info *cause, char *out, size_t size);

/* ---- print.c, report.c ---- */

/* "-EIO", or "-EIO (Input/output error)" (in_words) */
void sc_put_code(int code, int in_words, char *out, size_t size);
void sc_reporter(scope_report_fn *report, void *arg);
void sc_report(const char *text, size_t length);
void sc_reportf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void sc_report_error(const struct scope_error *error);

/* ---- dump.c ---- */

/* To the reporter: what stands still, below a headline; all that there is. */
void sc_report_tree(const char *headline);
void sc_report_dump(void);
/* The task on that stack and what is below it. */
void sc_report_stuck(const char *headline, const struct sc_fiber *fiber);

/* ---- watchdog.c ---- */

void sc_watchdog_reset(void);
void sc_watchdog_look(void);

/* The scope that hears of what happens at s: a task's node is none, nor is a thief's share, of
 * a range or of tasks, which passes errors and hits on. */
SC_INLINE struct sc_scope *sc_counted(struct sc_scope *s)
{
	while (sc_state(s) & (SC_TASK | SC_BARRIER))
		s = sc_untag(s->parent);
	return s;
}

/* The place that names the running task: its node, or s|1 of the scope it is inlined in. */
SC_INLINE uintptr_t sc_task_of(uintptr_t place)
{
	while (!(place & 1) && sc_sound(place) &&
	       !(sc_state((struct sc_scope *)place) & SC_TASK))
		place = ((struct sc_scope *)place)->parent;
	return place;
}

#endif
