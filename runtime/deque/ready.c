/* runtime/deque/ready.c: the ready ring and the inbox; see ready.h. */
#include "deque/ready.h"

unsigned sc_ring_steal(struct sc_ring *victim, struct sc_item **out, unsigned most)
{
	uint32_t head = at_load_rlx(&victim->head);

	for (;;) {
		uint32_t tail = at_load_acq(&victim->tail); /* [ring.publish] */
		uint32_t count = tail - head;
		unsigned i;

		if (count == 0 || count > SC_RING_SIZE)
			return 0;
		count = (count + 1) / 2;
		if (count > most)
			count = most;
		for (i = 0; i < count; i++)
			out[i] = at_load_rlx(&victim->items[(head + i) % SC_RING_SIZE]);
		if (at_cas_rel(&victim->head, &head, head + count)) /* [ring.claim] */
			return count;
	}
}

void sc_inbox_put(struct sc_inbox *inbox, struct sc_batch *batch)
{
	if (!batch->first)
		return;
	sc_lock_take(&inbox->lock);
	if (inbox->list.first)
		inbox->list.last->next = batch->first;
	else
		inbox->list.first = batch->first;
	inbox->list.last = batch->last;
	inbox->list.count += batch->count;
	at_store_rlx(&inbox->count, inbox->list.count);
	sc_lock_drop(&inbox->lock);
}

struct sc_batch sc_inbox_get(struct sc_inbox *inbox, size_t most, size_t room)
{
	struct sc_batch got = {NULL, NULL, 0};
	size_t taken = 0;

	if (sc_inbox_count(inbox) == 0)
		return got;
	sc_lock_take(&inbox->lock);
	got.first = inbox->list.first;
	while (inbox->list.first && got.count < most && taken < room) {
		got.last = inbox->list.first;
		inbox->list.first = got.last->next;
		got.count++;
		taken += 1 + got.last->packed;
	}
	if (got.last)
		got.last->next = NULL;
	if (!inbox->list.first)
		inbox->list.last = NULL;
	inbox->list.count -= got.count;
	at_store_rlx(&inbox->count, inbox->list.count);
	sc_lock_drop(&inbox->lock);
	return got;
}
