/* runtime/sync/event.h: the inside of struct scope_event, for event.c and select.c.
 *
 * Memory order
 *   [event.set]  store_rel(set) of who sets -> load_acq(set) of who need not wait
 */
#ifndef SC_SYNC_EVENT_H
#define SC_SYNC_EVENT_H

#include "sync/queue.h"
#include <scope_sync.h>

struct sc_event_inside {
	struct sc_lock lock;
	SC_WORD(uint32_t) set; /* written under lock */
	struct sc_queue queue;
};
_Static_assert(sizeof(struct sc_event_inside) <= sizeof(struct scope_event), "an event fits");

SC_INLINE struct sc_event_inside *sc_event_inside(struct scope_event *event)
{
	return (struct sc_event_inside *)event;
}

SC_INLINE int sc_event_is_set(struct sc_event_inside *event)
{
	return at_load_acq(&event->set) != 0; /* [event.set] */
}

/* The same for a task that goes on then and may free it: who set it has left. */
SC_INLINE int sc_event_pass(struct sc_event_inside *event)
{
	if (!sc_event_is_set(event))
		return 0;
	if (SC_UNLIKELY(!sc_lock_is_free(&event->lock))) {
		sc_enter(&event->lock);
		sc_leave(&event->lock);
	}
	return 1;
}

#endif
