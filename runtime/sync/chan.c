/* runtime/sync/chan.c: channels: rules X1 to X4; see chan.h. */
#include "sync/chan.h"
#include <errno.h>
#include <string.h>

/* ---- items -------------------------------------------------------------------------- */

SC_INLINE void copy(struct scope_chan *c, void *to, const void *from)
{
	/* The size of most: a pointer or a number. */
	if (SC_LIKELY(c->item_size == 8))
		memcpy(to, from, 8);
	else if (c->item_size) /* else the items may be NULL */
		memcpy(to, from, c->item_size);
}

/* lock; there is room. */
SC_INLINE void put(struct scope_chan *c, const void *item)
{
	size_t at = c->head + c->count;

	copy(c, c->ring + (at < c->room ? at : at - c->room) * c->item_size, item);
	c->count++;
}

/* lock; there is an item. */
SC_INLINE void *oldest(struct scope_chan *c)
{
	char *item = c->ring + c->head * c->item_size;

	c->head = c->head + 1 < c->room ? c->head + 1 : 0;
	c->count--;
	return item;
}

/* lock.  A full ring becomes twice as large; false: no memory. */
static SC_NOINLINE int grow(struct scope_chan *c)
{
	size_t room = c->room ? c->room * 2 : 16, size, first = c->room - c->head;
	char *ring;

	if (__builtin_mul_overflow(room, c->item_size, &size) ||
	    !(ring = sc_os.alloc(size ? size : 1)))
		return 0;
	if (c->count) {
		memcpy(ring, c->ring + c->head * c->item_size, first * c->item_size);
		memcpy(ring + first * c->item_size, c->ring, c->head * c->item_size);
	}
	sc_os.free(c->ring);
	c->ring = ring;
	c->room = room;
	c->head = 0;
	return 1;
}

/* ---- steps -------------------------------------------------------------------------- */

SC_INLINE int send_step(struct scope_chan *c, const void *item, int *out_result,
			struct sc_strand **woken)
{
	struct sc_waiter *receiver;

	*out_result = 0;
	if (SC_UNLIKELY(c->closed)) {
		*out_result = -EPIPE;
	} else if ((receiver = sc_queue_take(&c->receivers, woken))) {
		copy(c, (void *)receiver->key, item);
	} else if (c->count >= c->capacity) {
		return 0;
	} else if (SC_UNLIKELY(c->count == c->room) && !grow(c)) {
		*out_result = -ENOMEM;
	} else {
		put(c, item);
	}
	return 1;
}

SC_INLINE int recv_step(struct scope_chan *c, void *item, int *out_result,
			struct sc_strand **woken)
{
	struct sc_waiter *sender;

	*out_result = 0;
	if (c->count) {
		copy(c, item, oldest(c));
		if (SC_UNLIKELY(c->senders.first) &&
		    (sender = sc_queue_take(&c->senders, woken)))
			put(c, (const void *)sender->key);
	} else if ((sender = sc_queue_take(&c->senders, woken))) {
		copy(c, item, (const void *)sender->key);
	} else if (c->closed) {
		*out_result = -EPIPE;
	} else {
		return 0;
	}
	return 1;
}

int sc_chan_send_step(struct scope_chan *c, const void *item, int *out_result,
		      struct sc_strand **woken)
{
	return send_step(c, item, out_result, woken);
}

int sc_chan_recv_step(struct scope_chan *c, void *item, int *out_result, struct sc_strand **woken)
{
	return recv_step(c, item, out_result, woken);
}

/* ---- sending and receiving ---------------------------------------------------------- */

static int take_send(struct sc_await *await)
{
	struct sc_strand *woken = NULL;
	int done = sc_chan_send_step(await->thing, (const void *)await->waiter.key,
				     &await->waiter.result, &woken);

	if (woken)
		sc_batch_pack(&await->woken, woken);
	return done;
}

static int take_recv(struct sc_await *await)
{
	struct sc_strand *woken = NULL;
	int done = sc_chan_recv_step(await->thing, (void *)await->waiter.key,
				     &await->waiter.result, &woken);

	if (woken)
		sc_batch_pack(&await->woken, woken);
	return done;
}

static SC_NOINLINE int wait_to_send(struct scope_chan *c, const void *item, int64_t deadline_ns)
{
	struct sc_await await;

	if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
		return -ETIMEDOUT;
	sc_await_init(&await, c, &c->lock, &c->senders, take_send, (uintptr_t)item);
	await.deadline_ns = deadline_ns;
	return sc_await(&await, SC_IN_SEND);
}

static SC_NOINLINE int wait_to_recv(struct scope_chan *c, void *item, int64_t deadline_ns)
{
	struct sc_await await;

	if (deadline_ns != SC_NEVER && deadline_ns <= sc_now())
		return -ETIMEDOUT;
	sc_await_init(&await, c, &c->lock, &c->receivers, take_recv, (uintptr_t)item);
	await.deadline_ns = deadline_ns;
	return sc_await(&await, SC_IN_RECV);
}

SC_INLINE int try_send(struct scope_chan *c, const void *item, int *out_result)
{
	struct sc_strand *woken = NULL;
	int done;

	sc_enter(&c->lock);
	done = send_step(c, item, out_result, &woken);
	sc_leave(&c->lock);
	if (woken)
		sc_ready(woken);
	return done;
}

SC_INLINE int try_recv(struct scope_chan *c, void *item, int *out_result)
{
	struct sc_strand *woken = NULL;
	int done;

	sc_enter(&c->lock);
	done = recv_step(c, item, out_result, &woken);
	sc_leave(&c->lock);
	if (woken)
		sc_ready(woken);
	return done;
}

SC_INLINE int send_until(struct scope_chan *c, const void *item, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_strand *woken = NULL;
	int rc;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_chan_send");
	if (SC_UNLIKELY(sc_is_due(worker)) && (rc = sc_check(worker)) < 0)
		return rc;
	sc_enter(&c->lock);
	if (SC_LIKELY(send_step(c, item, &rc, &woken))) {
		sc_leave(&c->lock);
		if (woken)
			sc_ready(woken);
		return rc;
	}
	if (deadline_ns == SC_NEVER && sc_may_await_lightly(sc_self()))
		return sc_await_lightly(c, &c->lock, &c->senders, (uintptr_t)item, SC_IN_SEND,
					take_send);
	sc_leave(&c->lock);
	return wait_to_send(c, item, deadline_ns);
}

SC_INLINE int recv_until(struct scope_chan *c, void *out_item, int64_t deadline_ns)
{
	struct sc_worker *worker = sc_self();
	struct sc_strand *woken = NULL;
	int rc;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_chan_recv");
	if (SC_UNLIKELY(sc_is_due(worker)) && (rc = sc_check(worker)) < 0)
		return rc;
	sc_enter(&c->lock);
	if (SC_LIKELY(recv_step(c, out_item, &rc, &woken))) {
		sc_leave(&c->lock);
		if (woken)
			sc_ready(woken);
		return rc;
	}
	if (deadline_ns == SC_NEVER && sc_may_await_lightly(sc_self()))
		return sc_await_lightly(c, &c->lock, &c->receivers, (uintptr_t)out_item,
					SC_IN_RECV, take_recv);
	sc_leave(&c->lock);
	return wait_to_recv(c, out_item, deadline_ns);
}

int scope_chan_send(struct scope_chan *c, const void *item)
{
	return send_until(c, item, SC_NEVER);
}

int scope_chan_send_until(struct scope_chan *c, const void *item, int64_t deadline_ns)
{
	return send_until(c, item, deadline_ns);
}

int scope_chan_recv(struct scope_chan *c, void *out_item)
{
	return recv_until(c, out_item, SC_NEVER);
}

int scope_chan_recv_until(struct scope_chan *c, void *out_item, int64_t deadline_ns)
{
	return recv_until(c, out_item, deadline_ns);
}

int scope_chan_try_send(struct scope_chan *c, const void *item)
{
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_chan_try_send");
	return try_send(c, item, &rc) ? rc : -EAGAIN;
}

int scope_chan_try_recv(struct scope_chan *c, void *out_item)
{
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_chan_try_recv");
	return try_recv(c, out_item, &rc) ? rc : -EAGAIN;
}

/* ---- the channel -------------------------------------------------------------------- */

int scope_chan_new(size_t item_size, size_t capacity, void (*drop)(void *item),
		   struct scope_chan **out_chan)
{
	size_t size = 0;
	struct scope_chan *c;

	if (!out_chan)
		return -EINVAL;
	if (capacity != SCOPE_UNBOUNDED && __builtin_mul_overflow(capacity, item_size, &size))
		return -ENOMEM;
	c = sc_os.alloc(sizeof *c);
	if (!c)
		return -ENOMEM;
	*c = (struct scope_chan){.item_size = item_size, .capacity = capacity, .drop = drop};
	if (capacity && capacity != SCOPE_UNBOUNDED) {
		c->ring = sc_os.alloc(size ? size : 1);
		if (!c->ring) {
			sc_os.free(c);
			return -ENOMEM;
		}
		c->room = capacity;
	}
	*out_chan = c;
	return 0;
}

int scope_chan_close(struct scope_chan *c)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int rc = 0;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_chan_close");
	sc_enter(&c->lock);
	if (c->closed)
		rc = -EBADF;
	c->closed = 1;
	sc_queue_serve_all(&c->senders, -EPIPE, &woken);
	sc_queue_serve_all(&c->receivers, -EPIPE, &woken);
	sc_leave(&c->lock);
	sc_wake(&woken);
	return rc;
}

void scope_chan_free(struct scope_chan *c)
{
	if (!c)
		return;
	SC_ASSERT(!c->senders.first && !c->receivers.first,
		  "scope_chan_free of a channel that tasks wait for: let them end first");
	while (c->count) {
		void *item = oldest(c);

		if (c->drop)
			c->drop(item);
	}
	sc_os.free(c->ring);
	sc_os.free(c);
}
