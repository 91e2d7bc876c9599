/* runtime/deque/ready.h: queues of what may run now: one ring per worker, one inbox for all.
 *
 * Ring: bounded to 1,024; the owner pushes at the tail; the owner and thieves pop at the head.
 * Inbox: unbounded, intrusive, under a lock: overflow of rings, wakes from threads that are
 * no workers, and whole batches.
 *
 * Memory order
 *   [ring.publish]  owner store_rel(tail) in push -> thief load_acq(tail) in steal: who sees
 *                   the tail past i sees items[i]
 *   [ring.claim]    thief cas_rel(head) -> owner load_acq(head) in push: the owner reuses a
 *                   cell only after its item was read.  A thief whose head is old fails.
 */
#ifndef SC_DEQUE_READY_H
#define SC_DEQUE_READY_H

#include "base/atomic.h"
#include "base/base.h"
#include "base/lock.h"

enum sc_item_kind { SC_ITEM_STRAND, SC_ITEM_TASK };

/* First member of whatever can be queued. */
struct sc_item {
	SC_PLAIN(struct sc_item *) next; /* whoever holds the item */
	uint32_t kind;                   /* const: enum sc_item_kind */
	uint32_t packed; /* strands that travel in this one's pack; see sc_batch_pack */
};

/* A chain of items linked by next. */
struct sc_batch {
	SC_PLAIN(struct sc_item *) first;
	SC_PLAIN(struct sc_item *) last;
	SC_PLAIN(size_t) count;
};

SC_INLINE void sc_batch_add(struct sc_batch *batch, struct sc_item *item)
{
	item->next = NULL;
	if (batch->first)
		batch->last->next = item;
	else
		batch->first = item;
	batch->last = item;
	batch->count++;
}

/* Large enough that a few hundred tasks that yield in turn stay out of the inbox. */
enum { SC_RING_SIZE = SC_BOUND(1024, 2) };

struct sc_ring {
	SC_WORD(uint32_t) tail; /* owner writes */
	uint32_t solo;          /* const after start: there are no thieves */
	SC_WORD(uint32_t) head SC_ALIGNED(SC_CACHE_LINE); /* who pops */
	/* Relaxed: a cell may be read in vain. */
	SC_WORD(struct sc_item *) items[SC_RING_SIZE];
};

struct sc_inbox {
	struct sc_lock lock;
	SC_WORD(uint64_t) count; /* items inside; a hint without the lock */
	struct sc_batch list;    /* lock: lock */
};

/* Owner: false if full. */
SC_INLINE int sc_ring_push(struct sc_ring *ring, struct sc_item *item)
{
	uint32_t tail = at_load_rlx(&ring->tail);

	if (SC_UNLIKELY(tail - at_load_acq(&ring->head) >= SC_RING_SIZE)) /* [ring.claim] */
		return 0;
	at_store_rlx(&ring->items[tail % SC_RING_SIZE], item);
	at_store_rel(&ring->tail, tail + 1); /* [ring.publish] */
	return 1;
}

/* Owner: the oldest item or NULL. */
SC_INLINE struct sc_item *sc_ring_pop(struct sc_ring *ring)
{
	uint32_t head = at_load_rlx(&ring->head);
	uint32_t tail = at_load_rlx(&ring->tail);

	if (ring->solo && head != tail) {
		at_store_rlx(&ring->head, head + 1);
		return at_load_rlx(&ring->items[head % SC_RING_SIZE]);
	}
	while (head != tail) {
		struct sc_item *item = at_load_rlx(&ring->items[head % SC_RING_SIZE]);

		if (at_cas_rlx(&ring->head, &head, head + 1))
			return item;
	}
	return NULL;
}

/* Another worker: takes half of the items, at most `most`; how many. */
unsigned sc_ring_steal(struct sc_ring *victim, struct sc_item **out, unsigned most);

SC_INLINE uint32_t sc_ring_count(struct sc_ring *ring)
{
	uint32_t head = at_load_rlx(&ring->head);
	uint32_t count = at_load_rlx(&ring->tail) - head;
	return count > SC_RING_SIZE ? 0 : count;
}

void sc_inbox_put(struct sc_inbox *inbox, struct sc_batch *batch);
/* The oldest items, at most `most`, as long as less than `room` came with those before. */
struct sc_batch sc_inbox_get(struct sc_inbox *inbox, size_t most, size_t room);

SC_INLINE uint64_t sc_inbox_count(struct sc_inbox *inbox)
{
	return at_load_rlx(&inbox->count);
}

#endif
