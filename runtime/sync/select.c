/* runtime/sync/select.c: waits for the first of several things: rule X5.
 *
 * All arms are tried, in a random order unless told otherwise; if none can fire the task enters a
 * queue for each and parks.  It enters while its wait is PREPARING, under the lock of each thing,
 * and only where the arm still can't fire: if one can by then, the task withdraws and tries again,
 * unless somebody has chosen it meanwhile.  So an arm fires either when it is tried or because
 * somebody claimed the wait, never both.
 *
 * Who gives may find the wait PREPARING and give while the task goes on already; but it does so
 * under the lock of its thing, and before it looks at anything the task takes each lock once more,
 * to leave that queue.
 *
 * An arm of a descriptor gives nothing: what the descriptor is ready for stays there.  So it needs
 * not be chosen: if the wait was claimed and nobody was, the arms of descriptors tell, when they
 * leave, what came.
 */
#include "scope/inplace.h"
#include "sched/poll.h"
#include "sync/chan.h"
#include "sync/event.h"
#include <errno.h>

/* The inside of scope_case.opaque. */
struct arm {
	struct sc_waiter waiter;
	uint32_t turn; /* unrelated: a place in the list of whose turn it is to be tried */
	int came;      /* of a descriptor: events, or why it can't be waited for; 0: nothing yet */
	struct sc_arm fd;
};
_Static_assert(sizeof(struct arm) <= sizeof(((struct scope_case *)0)->opaque), "an arm fits");

struct sc_select {
	struct sc_waiter *chosen; /* who gives, under the lock of its thing */
	struct scope_case *cases;
	size_t count;
	int64_t deadline_ns;
};

void sc_select_chose(struct sc_waiter *waiter)
{
	waiter->select->chosen = waiter;
}

static struct arm *arm_of(struct scope_case *c)
{
	return (struct arm *)c->opaque;
}

static size_t index_of(struct sc_select *select, struct sc_waiter *waiter)
{
	struct arm *arm = SC_CONTAINER(waiter, struct arm, waiter);

	return (size_t)(SC_CONTAINER(arm, struct scope_case, opaque) - select->cases);
}

static struct scope_case *find(struct sc_select *select, unsigned kind)
{
	size_t i;

	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == kind)
			return &select->cases[i];
	return NULL;
}

/* ---- trying --------------------------------------------------------------------------------- */

static int try_chan(struct scope_case *c)
{
	struct sc_strand *woken = NULL;
	struct scope_chan *chan = c->object;
	int result, fired;

	sc_enter(&chan->lock);
	fired = c->kind == SCOPE_CASE_SEND
			? sc_chan_send_step(chan, c->item, &result, &woken)
			: sc_chan_recv_step(chan, c->item, &result, &woken);
	sc_leave(&chan->lock);
	if (woken)
		sc_ready(woken);
	if (fired)
		c->result = result;
	return fired;
}

/* `came` is not 0. */
static int fire_fd(struct scope_case *c, int came)
{
	const unsigned unasked = SC_EVENT_ERR | SC_EVENT_HUP;

	c->result = came < 0 ? came : (int)((unsigned)came & (c->events | unasked));
	return 1;
}

static int try_fd(struct scope_case *c)
{
	int came = sc_os.ready(c->fd, c->events);

	return came && fire_fd(c, came);
}

static int try_one(struct scope_case *c)
{
	struct sc_worker *worker = sc_self();
	int fired;

	if (c->kind == SCOPE_CASE_SEND || c->kind == SCOPE_CASE_RECV)
		return try_chan(c);
	if (c->kind == SCOPE_CASE_FD)
		return try_fd(c);
	if (c->kind == SCOPE_CASE_EVENT)
		fired = sc_event_pass(sc_event_inside(c->object));
	else if (c->kind == SCOPE_CASE_END)
		fired = sc_watch_ended(worker, sc_view(c->object));
	else if (c->kind == SCOPE_CASE_DEADLINE)
		fired = c->deadline_ns != SC_NEVER && c->deadline_ns <= sc_now();
	else
		fired = sc_stopped(sc_untag(worker->cur));
	if (fired)
		c->result = 0;
	return fired;
}

static uint32_t draw(uint32_t options)
{
	struct sc_worker *worker = sc_self();

	if (sc_seeded())
		return sc_draw(options);
	worker->random = worker->random * 1664525u + 1013904223u;
	return (worker->random >> 8) % options;
}

/* Every order is as likely as any other, so each of the arms that can fire is. */
static void shuffle(struct sc_select *select)
{
	uint32_t i, other;

	for (i = 0; i < select->count; i++) {
		other = i ? draw(i + 1) : 0;
		arm_of(&select->cases[i])->turn = arm_of(&select->cases[other])->turn;
		arm_of(&select->cases[other])->turn = i;
	}
}

/* The index of an arm that fired, or -1. */
static int try_all(struct sc_select *select, unsigned flags)
{
	size_t i;

	if (!(flags & SCOPE_SELECT_ORDERED))
		shuffle(select);
	for (i = 0; i < select->count; i++) {
		size_t at = flags & SCOPE_SELECT_ORDERED ? i : arm_of(&select->cases[i])->turn;

		if (try_one(&select->cases[at]))
			return (int)at;
	}
	return -1;
}

/* ---- waiting -------------------------------------------------------------------------------- */

static struct sc_lock *lock_of(struct scope_case *c)
{
	if (c->kind == SCOPE_CASE_SEND || c->kind == SCOPE_CASE_RECV)
		return &((struct scope_chan *)c->object)->lock;
	return c->kind == SCOPE_CASE_EVENT ? &sc_event_inside(c->object)->lock : NULL;
}

/* lock.  Whether somebody else's waiter is there. */
static int others_wait(struct sc_queue *queue, struct sc_select *select)
{
	struct sc_waiter *waiter = queue->first;

	while (waiter && waiter->select == select)
		waiter = waiter->next;
	return waiter != NULL;
}

/* lock.  The queue to enter, or NULL: the arm may fire. */
static struct sc_queue *queue_for(struct scope_case *c, struct sc_select *select)
{
	struct scope_chan *chan = c->object;

	if (c->kind == SCOPE_CASE_EVENT) {
		struct sc_event_inside *event = sc_event_inside(c->object);

		return sc_event_is_set(event) ? NULL : &event->queue;
	}
	if (chan->closed)
		return NULL;
	if (c->kind == SCOPE_CASE_SEND)
		return chan->count < chan->capacity || others_wait(&chan->receivers, select)
			       ? NULL : &chan->senders;
	return chan->count || others_wait(&chan->senders, select) ? NULL : &chan->receivers;
}

static int enter_fd(struct scope_case *c)
{
	struct arm *arm = arm_of(c);
	int rc = sc_fd_arm(c->fd, c->events, sc_self()->strand, &arm->fd);

	arm->came = rc == -EPERM ? (int)c->events : rc; /* EPERM: it is always ready */
	return rc == 0;
}

static int enter_one(struct sc_select *select, struct scope_case *c)
{
	struct sc_waiter *waiter = &arm_of(c)->waiter;
	struct sc_lock *lock = lock_of(c);
	struct sc_queue *queue;

	*waiter = (struct sc_waiter){.strand = sc_self()->strand, .select = select,
				     .key = (uintptr_t)c->item};
	arm_of(c)->came = 0;
	if (c->kind == SCOPE_CASE_FD)
		return enter_fd(c);
	if (!lock)
		return 1;
	sc_enter(lock);
	queue = queue_for(c, select);
	if (queue)
		sc_queue_add(queue, waiter);
	sc_leave(lock);
	return queue != NULL;
}

/* How many arms have entered: all, if none may fire. */
static size_t enter(struct sc_select *select)
{
	size_t entered = 0;

	while (entered < select->count && enter_one(select, &select->cases[entered]))
		entered++;
	return entered;
}

static void leave(struct sc_select *select, size_t entered)
{
	size_t i;

	for (i = 0; i < entered; i++) {
		struct arm *arm = arm_of(&select->cases[i]);
		struct sc_waiter *waiter = &arm->waiter;
		struct sc_lock *lock = lock_of(&select->cases[i]);

		if (select->cases[i].kind == SCOPE_CASE_FD)
			arm->came = sc_fd_disarm(&arm->fd, waiter->strand);
		if (!lock)
			continue;
		sc_enter(lock);
		if (waiter->queue)
			sc_queue_remove(waiter);
		sc_leave(lock);
	}
}

/* Of those with a deadline, the call itself too: when the first is due. */
static int64_t earliest(struct sc_select *select)
{
	int64_t first = select->deadline_ns;
	size_t i;

	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == SCOPE_CASE_DEADLINE &&
		    select->cases[i].deadline_ns < first)
			first = select->cases[i].deadline_ns;
	return first;
}

static void publish(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_select *select = strand->subject;
	size_t i;

	sc_wait_publish(worker, strand);
	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == SCOPE_CASE_END)
			sc_watch(strand, sc_view(select->cases[i].object));
	sc_wait_park(worker, strand);
}

static void stop_watching(struct sc_select *select)
{
	size_t i;

	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == SCOPE_CASE_END)
			sc_watch_stop(sc_view(select->cases[i].object));
}

/* The first of the arms that have entered, or tried to, and know something, or -EAGAIN. */
static int came(struct sc_select *select, size_t entered)
{
	size_t i;

	for (i = 0; i < select->count && i <= entered; i++) {
		struct scope_case *c = &select->cases[i];

		if (arm_of(c)->came && fire_fd(c, arm_of(c)->came))
			return (int)i;
	}
	return -EAGAIN;
}

/* The wait was claimed for this arm. */
static int fired(struct sc_select *select, size_t entered)
{
	size_t i;
	int rc;

	if (select->chosen) {
		i = index_of(select, select->chosen);
		select->cases[i].result = select->chosen->result;
		return (int)i;
	}
	rc = came(select, entered);
	if (rc >= 0)
		return rc;
	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == SCOPE_CASE_END && try_one(&select->cases[i]))
			return (int)i;
	return -EAGAIN; /* it got a task again: look at all of them once more */
}

static int timed_out(struct sc_select *select)
{
	size_t i;

	for (i = 0; i < select->count; i++)
		if (select->cases[i].kind == SCOPE_CASE_DEADLINE && try_one(&select->cases[i]))
			return (int)i;
	return -ETIMEDOUT;
}

static int stopped(struct sc_select *select)
{
	struct scope_case *c = find(select, SCOPE_CASE_SHUTDOWN);

	if (!c)
		return -ESHUTDOWN;
	c->result = 0;
	return (int)(c - select->cases);
}

/* The index of the arm that fired, -EAGAIN: try again, or why none did. */
static int wait(struct sc_select *select)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *place = sc_untag(worker->cur);
	struct sc_strand *strand = worker->strand;
	int outside = find(select, SCOPE_CASE_FD) != NULL;
	size_t entered;
	int rc;

	select->chosen = NULL;
	strand->subject = select;
	strand->object = select->count ? select->cases[0].object : NULL;
	sc_wait_begin(worker, earliest(select));
	if (find(select, SCOPE_CASE_SHUTDOWN))
		at_store_rlx(&sc_card(strand)->waits_softly, 1);
	entered = enter(select);
	if (entered < select->count) {
		int again = sc_wait_take_back(strand);

		leave(select, entered);
		return again ? came(select, entered) : fired(select, entered);
	}
	if (outside)
		sc_park_for_outside(worker, SC_IN_SELECT, publish);
	else
		sc_park_in_place(worker, SC_IN_SELECT, publish);
	leave(select, entered);
	stop_watching(select);
	rc = sc_wait_end(place);
	if (rc == 0)
		return fired(select, entered);
	if (rc == -ETIMEDOUT)
		return timed_out(select);
	return rc == -ESHUTDOWN ? stopped(select) : rc;
}

/* ---- public ---------------------------------------------------------------------------------- */

/* A scope has one watcher, and so no second arm. */
static int is_first(const struct scope_case *cases, const struct scope_case *c)
{
	while (cases < c && !(cases->kind == SCOPE_CASE_END && cases->object == c->object))
		cases++;
	return cases == c;
}

static int is_valid(struct sc_worker *worker, const struct scope_case *cases,
		    const struct scope_case *c)
{
	switch (c->kind) {
	case SCOPE_CASE_SEND:
	case SCOPE_CASE_RECV:
	case SCOPE_CASE_EVENT:
		return c->object != NULL;
	case SCOPE_CASE_END:
		return c->object && !sc_is_object(sc_view(c->object)) &&
		       sc_owner_check(worker, sc_view(c->object)) == 0 && is_first(cases, c);
	case SCOPE_CASE_FD:
		return c->events && !(c->events & ~(unsigned)SC_EVENT_ASKED);
	default:
		return c->kind == SCOPE_CASE_DEADLINE || c->kind == SCOPE_CASE_SHUTDOWN;
	}
}

int scope_select_until(struct scope_case *cases, size_t count, unsigned flags, int64_t deadline_ns)
{
	struct sc_select select = {NULL, cases, count, deadline_ns};
	struct sc_worker *worker = sc_self();
	size_t i;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_select_until");
	if ((flags & ~(unsigned)SCOPE_SELECT_ORDERED) || count > INT32_MAX || (count && !cases))
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (!is_valid(worker, cases, &cases[i]))
			return -EINVAL;
	do {
		rc = find(&select, SCOPE_CASE_SHUTDOWN) ? sc_check_cancel(sc_self())
							: sc_check(sc_self());
		if (rc < 0)
			return rc;
		rc = try_all(&select, flags);
		if (rc >= 0)
			return rc;
		if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
			return -ETIMEDOUT;
		rc = wait(&select);
	} while (rc == -EAGAIN);
	return rc;
}
