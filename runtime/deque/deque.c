/* runtime/deque/deque.c: expose, reclaim, take; see deque.h for the protocol. */
#include "deque/deque.h"

static uint64_t pack(uint32_t tail, uint32_t split)
{
	return (uint64_t)split << 32 | tail;
}

static uint32_t tail_of(uint64_t word)
{
	return (uint32_t)word;
}

static uint32_t split_of(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

void sc_deque_init(struct sc_deque *deque, struct sc_bottom *bottom, struct sc_slot *slots,
		   uint32_t capacity)
{
	deque->word = 0;
	deque->copied = 0;
	deque->slots = slots;
	deque->capacity = capacity;
	deque->busy = 0;
	deque->asked = 0;
	deque->resets = 0;
	bottom->top = slots;
	bottom->split = slots;
	bottom->lim = slots + capacity;
}

static void raise_split(struct sc_deque *deque, struct sc_bottom *bottom, struct sc_slot *to)
{
	uint32_t index = (uint32_t)(to - deque->slots);
	uint64_t word = at_load_rlx(&deque->word);

	/* Only the tail can change under us. [deque.expose] */
	while (!at_cas_rel(&deque->word, &word, pack(tail_of(word), index)))
		;
	at_store_rlx(&bottom->split, to);
}

static void enter(struct sc_deque *deque)
{
	deque->busy = 1;
	at_signal_fence();
}

static void leave(struct sc_deque *deque, struct sc_bottom *bottom)
{
	at_signal_fence();
	deque->busy = 0;
	at_signal_fence();
	if (SC_UNLIKELY(deque->asked)) {
		deque->asked = 0;
		sc_deque_expose(deque, bottom, UINT32_MAX);
	}
}

void sc_deque_expose(struct sc_deque *deque, struct sc_bottom *bottom, uint32_t count)
{
	uint32_t have;

	enter(deque);
	have = (uint32_t)(bottom->top - bottom->split);
	if (count > have)
		count = have;
	if (count > 0)
		raise_split(deque, bottom, bottom->split + count);
	leave(deque, bottom);
}

int sc_deque_expose_async(struct sc_deque *deque, struct sc_bottom *bottom)
{
	if (deque->busy) {
		deque->asked = 1;
		return 0;
	}
	if (bottom->top <= bottom->split)
		return 0;
	raise_split(deque, bottom, bottom->top);
	return 1;
}

int sc_deque_reclaim(struct sc_deque *deque, struct sc_bottom *bottom, struct sc_slot *floor)
{
	uint32_t lowest = (uint32_t)(floor - deque->slots);
	uint64_t word;
	int got = 0;

	enter(deque);
	word = at_load_rlx(&deque->word);
	while (split_of(word) > tail_of(word) && split_of(word) > lowest) {
		uint32_t split = split_of(word);
		uint32_t keep = tail_of(word) + (split - tail_of(word)) / 2;

		if (keep < lowest)
			keep = lowest;
		/* Nothing to publish and nothing to see: the owner wrote these slots itself. */
		if (at_cas_rlx(&deque->word, &word, pack(tail_of(word), keep))) {
			at_store_rlx(&bottom->split, deque->slots + keep);
			got = 1;
			break;
		}
	}
	leave(deque, bottom);
	return got;
}

void sc_deque_reset(struct sc_deque *deque, struct sc_bottom *bottom)
{
	uint64_t word;

	enter(deque);
	word = at_load_rlx(&deque->word);
	if (tail_of(word) == split_of(word) && bottom->top == deque->slots + split_of(word) &&
	    word != 0 && at_load_acq(&deque->copied) == tail_of(word)) { /* [deque.copied] */
		/* No slot is exposed, so no thief can change the word. */
		at_store_rlx(&deque->copied, 0);
		at_store_rlx(&deque->word, 0);
		at_store_rlx(&bottom->split, deque->slots);
		at_store_rlx(&bottom->top, deque->slots);
		deque->resets++;
	}
	leave(deque, bottom);
}

unsigned sc_deque_take(struct sc_deque *deque, struct sc_slot *out, unsigned most)
{
	uint64_t word = at_load_rlx(&deque->word);
	uint32_t tail;
	unsigned count, i;

	do {
		tail = tail_of(word);
		count = split_of(word) - tail;
		if (count == 0)
			return 0;
		count = (count + 1) / 2;
		if (count > most)
			count = most;
		/* [deque.expose] */
	} while (!at_cas_acq(&deque->word, &word, pack(tail + count, split_of(word))));
	SC_POINT(deque->slots); /* the copy may come late */
	for (i = 0; i < count; i++)
		out[i] = deque->slots[tail + i];
	at_add_rel(&deque->copied, count); /* [deque.copied] */
	return count;
}
