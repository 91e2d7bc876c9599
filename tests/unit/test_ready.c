/* tests/unit/test_ready.c: the ring of ready items and the inbox: order, bounds, a hammer. */
#include "harness.h"

#include "deque/ready.h"
#include "fiber/sanitizer.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

TestSuite(ready, .timeout = 60);

enum { SIZE = SC_RING_SIZE };

static struct sc_ring ring;
static struct sc_item item[2 * SIZE];

static void start(uint32_t index, int solo)
{
	memset(&ring, 0, sizeof(ring));
	ring.head = ring.tail = index;
	ring.solo = (uint32_t)solo;
}

/* Near the end of 32 bits, so that the indices wrap. */
static const uint32_t starts[] = {0, SIZE - 3, UINT32_MAX - 5, UINT32_MAX - SIZE};

/* What another worker reads when the owner has taken and put more than a ring of items between
 * its two looks: the old head and the new tail. */
Test(ready, a_reader_that_was_overtaken_sees_nothing)
{
	struct sc_item *got[SIZE];

	start(0, 0);
	ring.tail = SIZE + 1;
	cr_assert_eq(sc_ring_count(&ring), 0);
	cr_assert_eq(sc_ring_steal(&ring, got, SIZE), 0);
	cr_assert_eq(ring.head, 0);
}

Test(ready, ring_is_a_queue_of_256)
{
	unsigned s, solo, i;

	for (s = 0; s < 4; s++) {
		for (solo = 0; solo < 2; solo++) {
			start(starts[s], (int)solo);
			cr_assert_null(sc_ring_pop(&ring));
			for (i = 0; i < SIZE; i++) {
				cr_assert_eq(sc_ring_count(&ring), i);
				cr_assert(sc_ring_push(&ring, &item[i]));
			}
			cr_assert(!sc_ring_push(&ring, &item[SIZE]));
			cr_assert_eq(sc_ring_count(&ring), SIZE);
			for (i = 0; i < 2 * SIZE; i++) {
				cr_assert_eq(sc_ring_pop(&ring), &item[i]);
				if (i < SIZE)
					cr_assert(sc_ring_push(&ring, &item[SIZE + i]));
			}
			cr_assert_null(sc_ring_pop(&ring));
			cr_assert_eq(sc_ring_count(&ring), 0);
		}
	}
}

Test(ready, thieves_take_the_older_half)
{
	struct sc_item *out[SIZE];
	unsigned s, i, got;

	for (s = 0; s < 4; s++) {
		start(starts[s], 0);
		cr_assert_eq(sc_ring_steal(&ring, out, SIZE), 0);
		for (i = 0; i < 101; i++)
			cr_assert(sc_ring_push(&ring, &item[i]));
		got = sc_ring_steal(&ring, out, SIZE);
		cr_assert_eq(got, 51);
		for (i = 0; i < got; i++)
			cr_assert_eq(out[i], &item[i]);
		cr_assert_eq(sc_ring_steal(&ring, out, 7), 7);
		cr_assert_eq(out[0], &item[51]);
		cr_assert_eq(sc_ring_pop(&ring), &item[58]);
		while (sc_ring_count(&ring) > 1)
			cr_assert(sc_ring_steal(&ring, out, SIZE) > 0);
		cr_assert_eq(sc_ring_steal(&ring, out, SIZE), 1);
		cr_assert_eq(out[0], &item[100]);
		cr_assert_null(sc_ring_pop(&ring));
	}
}

static void put(struct sc_inbox *inbox, unsigned from, unsigned to)
{
	struct sc_batch batch = {NULL, NULL, 0};

	for (; from < to; from++)
		sc_batch_add(&batch, &item[from]);
	sc_inbox_put(inbox, &batch);
}

static void check_batch(struct sc_batch batch, unsigned from, unsigned to)
{
	struct sc_item *at = batch.first;

	cr_assert_eq(batch.count, to - from);
	for (; from < to; from++, at = at->next) {
		cr_assert_eq(at, &item[from]);
		if (from + 1 == to)
			cr_assert(at == batch.last && !at->next);
	}
}

Test(ready, inbox_gives_in_order_what_was_put)
{
	struct sc_inbox inbox = {0};

	check_batch(sc_inbox_get(&inbox, 10, SIZE_MAX), 0, 0);
	put(&inbox, 0, 0);
	cr_assert_eq(sc_inbox_count(&inbox), 0);
	put(&inbox, 0, 5);
	put(&inbox, 5, 6);
	cr_assert_eq(sc_inbox_count(&inbox), 6);
	check_batch(sc_inbox_get(&inbox, 1, SIZE_MAX), 0, 1);
	check_batch(sc_inbox_get(&inbox, 4, SIZE_MAX), 1, 5);
	put(&inbox, 6, 9);
	check_batch(sc_inbox_get(&inbox, 4, SIZE_MAX), 5, 9);
	cr_assert_eq(sc_inbox_count(&inbox), 0);
	check_batch(sc_inbox_get(&inbox, 4, SIZE_MAX), 0, 0);
	/* Empty again: the list's ends were put right. */
	put(&inbox, 3, 5);
	check_batch(sc_inbox_get(&inbox, 100, SIZE_MAX), 3, 5);
}

/* ---- many threads ----------------------------------------------------------------------- */

#ifdef SC_CHECKED
enum { ROUNDS = 200 };
#else
enum { ROUNDS = 5000 };
#endif
enum { THIEVES = 2 };

static struct sc_inbox inbox;
static uint32_t begun, stop;      /* atomic: thieves that are there; they shall end */
static uint32_t taken[2 * SIZE];  /* atomic: how often each item was got in this round */
static uint32_t stolen, finished; /* atomic: by thieves; by all in this round */

static void got(struct sc_item *one)
{
	at_add_rlx(&taken[one - item], 1);
	at_add_rel(&finished, 1);
}

static void *thief(void *arg)
{
	unsigned most = (unsigned)(uintptr_t)arg, count, i;
	struct sc_item *out[SIZE / 2], *at, *next;
	struct sc_batch batch;

	at_add_rlx(&begun, 1);
	while (!at_load_acq(&stop)) {
		count = sc_ring_steal(&ring, out, most);
		at_add_rlx(&stolen, count);
		for (i = 0; i < count; i++)
			got(out[i]);
		batch = sc_inbox_get(&inbox, most, SIZE_MAX);
		for (at = batch.first; at; at = next) {
			next = at->next;
			got(at);
		}
		if (!count && !batch.first)
			sched_yield();
	}
	return NULL;
}

/* Every item once into the ring or the inbox; what does not fit is put later. */
static void owner_round(unsigned round)
{
	struct sc_item *one;
	unsigned i;

	for (i = 0; i < 2 * SIZE; i++) {
		if ((i * 7 + round) % 5 == 0) {
			put(&inbox, i, i + 1);
		} else {
			while (!sc_ring_push(&ring, &item[i]))
				if ((one = sc_ring_pop(&ring)))
					got(one);
		}
		if ((i * 3 + round) % 4 == 0 && (one = sc_ring_pop(&ring)))
			got(one);
	}
	/* Now and then the thieves get the rest. */
	while (round % 8 && (one = sc_ring_pop(&ring)))
		got(one);
	while (at_load_acq(&finished) != 2 * SIZE)
		sched_yield();
}

Test(ready, owner_and_two_thieves_get_each_item_once)
{
	pthread_t thread[THIEVES];
	unsigned round, i;

	start(UINT32_MAX - 1000, 0);
	memset(&inbox, 0, sizeof(inbox));
	begun = stop = stolen = 0;
	for (i = 0; i < THIEVES; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, thief,
					    (void *)(uintptr_t)(i ? SIZE / 2 : 3)),
			     0);
	while (at_load_rlx(&begun) != THIEVES)
		sched_yield();
	for (round = 0; round < ROUNDS; round++) {
		at_store_rlx(&finished, 0);
		owner_round(round);
		for (i = 0; i < 2 * SIZE; i++) {
			if (at_load_rlx(&taken[i]) != 1)
				cr_assert_fail("item %u was got %u times in round %u", i, taken[i],
					       round);
			at_store_rlx(&taken[i], 0);
		}
	}
	at_store_rel(&stop, 1);
	for (i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	cr_assert(stolen > 0, "the thieves were never there");
}
