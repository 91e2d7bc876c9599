/* runtime/sync/chan.h: the inside of a channel, for chan.c and select.c.
 *
 * Who sends gives its item to the receiver that has waited longest, else to the buffer; who
 * receives takes the oldest item of the buffer, and then moves that of the sender that has waited
 * longest into it, or, without a buffer, takes it from that sender.  So
 *   - receivers wait only while there is no item, senders only while the buffer is full
 *   - items leave in the order in which they came, whether by the buffer or not
 * A waiter's key points to the item that it sends, or to where it wants to have one: in the frame
 * of a parked task.
 */
#ifndef SC_SYNC_CHAN_H
#define SC_SYNC_CHAN_H

#include "sync/queue.h"
#include <scope_chan.h>

struct scope_chan {
	struct sc_lock lock;
	uint32_t closed;           /* lock */
	size_t item_size;          /* const, as what follows */
	size_t capacity;
	void (*drop)(void *item);
	char *ring;                /* lock, as what follows; const unless unbounded */
	size_t room;               /* items that fit into the ring; a power of 2 if unbounded */
	size_t head;               /* the oldest item */
	size_t count;
	struct sc_queue senders;
	struct sc_queue receivers;
};

/* lock.  Whether the item was sent, *out_result 0, or the call has failed otherwise; else the
 * caller has to wait.  *woken, if it was set, is to be passed to sc_ready without the lock. */
int sc_chan_send_step(struct scope_chan *c, const void *item, int *out_result,
		      struct sc_strand **woken);
/* lock.  The same of receiving into `item`. */
int sc_chan_recv_step(struct scope_chan *c, void *item, int *out_result, struct sc_strand **woken);

#endif
