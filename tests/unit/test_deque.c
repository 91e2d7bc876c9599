/* tests/unit/test_deque.c: the join deque: push, pop, expose, reclaim, take, reset, a hammer. */
#include "harness.h"

#include "deque/deque.h"
#include "fiber/sanitizer.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

TestSuite(deque, .timeout = 60);

enum { CAPACITY = 64 };

static struct sc_slot slots[CAPACITY];
static struct sc_deque deque;
static struct sc_bottom bottom;

static void start(void)
{
	memset(slots, 0, sizeof(slots));
	sc_deque_init(&deque, &bottom, slots, CAPACITY);
}

/* The owner's fast path, as in scope_spawn. */
static int push(uintptr_t number)
{
	struct sc_slot *top = bottom.top;

	if (top >= bottom.lim)
		return 0;
	top->arg = (void *)number;
	at_signal_fence();
	at_store_rlx(&bottom.top, top + 1);
	return 1;
}

/* ... and as in scope_close: 0 if there is nothing private on top. */
static uintptr_t pop(void)
{
	struct sc_slot *top = bottom.top - 1;

	at_store_rlx(&bottom.top, top);
	at_signal_fence();
	if (top >= bottom.split)
		return (uintptr_t)top->arg;
	at_store_rlx(&bottom.top, top + 1);
	return 0;
}

static void push_range(uintptr_t from, uintptr_t to)
{
	for (; from <= to; from++)
		cr_assert(push(from));
}

/* Order 0 <= tail <= split <= top <= capacity, and both views of split agree. */
static void check_order(void)
{
	uint64_t word = deque.word;
	uint32_t tail = (uint32_t)word, split = (uint32_t)(word >> 32);

	cr_assert(tail <= split);
	cr_assert(slots + split == bottom.split);
	cr_assert(bottom.split <= bottom.top);
	cr_assert(bottom.top <= slots + CAPACITY);
	cr_assert_eq(sc_deque_exposed(&deque), split - tail);
	cr_assert(!deque.busy && !deque.asked);
}

Test(deque, owner_pops_what_it_pushed_last)
{
	uintptr_t i;

	start();
	push_range(1, CAPACITY);
	cr_assert(!push(99), "full");
	check_order();
	for (i = CAPACITY; i >= 1; i--)
		cr_assert_eq(pop(), i);
	cr_assert_eq(bottom.top, slots);
	check_order();
}

Test(deque, private_slots_are_not_taken)
{
	struct sc_slot out[8];

	start();
	push_range(1, 5);
	cr_assert_eq(sc_deque_exposed(&deque), 0);
	cr_assert_eq(sc_deque_take(&deque, out, 8), 0);
	cr_assert_eq(pop(), 5);
}

Test(deque, expose_makes_the_oldest_stealable)
{
	struct sc_slot out[8];

	start();
	push_range(1, 6);
	sc_deque_expose(&deque, &bottom, 2);
	check_order();
	cr_assert_eq(sc_deque_exposed(&deque), 2);
	cr_assert_eq(sc_deque_take(&deque, out, 1), 1);
	cr_assert_eq((uintptr_t)out[0].arg, 1);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	check_order();
	cr_assert_eq(sc_deque_exposed(&deque), 5);
	cr_assert_eq(pop(), 0, "exposed slots are not popped");
	sc_deque_expose(&deque, &bottom, 1);
	check_order();
}

Test(deque, thieves_take_half_and_at_most_what_they_ask)
{
	struct sc_slot out[CAPACITY];
	unsigned got, i;

	start();
	push_range(1, 40);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	got = sc_deque_take(&deque, out, 32);
	cr_assert_eq(got, 20);
	for (i = 0; i < got; i++)
		cr_assert_eq((uintptr_t)out[i].arg, i + 1);
	got = sc_deque_take(&deque, out, 3);
	cr_assert_eq(got, 3);
	cr_assert_eq((uintptr_t)out[2].arg, 23);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 9);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 4);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 2);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 1);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 1);
	cr_assert_eq((uintptr_t)out[0].arg, 40);
	cr_assert_eq(sc_deque_take(&deque, out, 32), 0);
	check_order();
}

Test(deque, reclaim_gives_back_half_but_nothing_below_the_floor)
{
	start();
	push_range(1, 8);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	cr_assert(sc_deque_reclaim(&deque, &bottom, slots));
	check_order();
	cr_assert_eq(sc_deque_exposed(&deque), 4);
	cr_assert_eq(pop(), 8);
	cr_assert_eq(pop(), 7);
	cr_assert_eq(pop(), 6);
	cr_assert_eq(pop(), 5);
	cr_assert_eq(pop(), 0);
	cr_assert(!sc_deque_reclaim(&deque, &bottom, slots + 4), "all of it lies below");
	cr_assert(sc_deque_reclaim(&deque, &bottom, slots + 3));
	cr_assert_eq(pop(), 4);
	cr_assert_eq(pop(), 0);
	check_order();
}

Test(deque, reclaim_of_the_last_slot_and_of_none)
{
	struct sc_slot out[2];

	start();
	push_range(1, 1);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	cr_assert(sc_deque_reclaim(&deque, &bottom, slots));
	cr_assert_eq(pop(), 1);
	push_range(2, 2);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	cr_assert_eq(sc_deque_take(&deque, out, 2), 1);
	cr_assert(!sc_deque_reclaim(&deque, &bottom, slots));
	check_order();
}

Test(deque, reset_starts_again_only_when_all_was_taken_and_copied)
{
	struct sc_slot out[2];

	start();
	push_range(1, 2);
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots + 2, "private slots keep it");
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots + 2, "exposed slots keep it");
	cr_assert_eq(sc_deque_take(&deque, out, 1), 1);
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots + 2);
	cr_assert_eq(sc_deque_take(&deque, out, 1), 1);
	/* A thief that has claimed a slot may still be reading it. */
	deque.copied--;
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots + 2, "uncopied slots keep it");
	deque.copied++;
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots);
	check_order();
	push_range(3, 3);
	sc_deque_expose(&deque, &bottom, UINT32_MAX);
	cr_assert_eq(sc_deque_take(&deque, out, 1), 1);
	cr_assert_eq((uintptr_t)out[0].arg, 3);
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots);
}

Test(deque, a_popped_deque_resets_below_what_was_taken)
{
	struct sc_slot out[2];

	start();
	push_range(1, 4);
	sc_deque_expose(&deque, &bottom, 1);
	cr_assert_eq(sc_deque_take(&deque, out, 1), 1);
	while (pop())
		;
	cr_assert_eq(bottom.top, slots + 1);
	sc_deque_reset(&deque, &bottom);
	cr_assert_eq(bottom.top, slots);
	check_order();
}

Test(deque, the_handler_exposes_all_or_leaves_a_note)
{
	start();
	push_range(1, 3);
	sc_deque_expose_async(&deque, &bottom);
	check_order();
	cr_assert_eq(sc_deque_exposed(&deque), 3);
	sc_deque_expose_async(&deque, &bottom);
	check_order();
	/* In the middle of another operation it stays out, and that operation makes up. */
	push_range(4, 6);
	deque.busy = 1;
	sc_deque_expose_async(&deque, &bottom);
	cr_assert_eq(sc_deque_exposed(&deque), 3);
	cr_assert(deque.asked);
	deque.busy = 0;
	sc_deque_expose(&deque, &bottom, 1);
	cr_assert_eq(sc_deque_exposed(&deque), 6);
	check_order();
}

/* The handler comes between the two steps of a pop: the slot is not the owner's any more. */
Test(deque, the_handler_in_the_middle_of_a_pop)
{
	struct sc_slot *top;

	start();
	push_range(1, 3);
	top = bottom.top - 1;
	at_store_rlx(&bottom.top, top);
	sc_deque_expose_async(&deque, &bottom);
	cr_assert(top >= bottom.split, "the handler leaves what is being popped");
	cr_assert_eq((uintptr_t)top->arg, 3);
	cr_assert_eq(sc_deque_exposed(&deque), 2);
	check_order();
}

/* ---- many threads ----------------------------------------------------------------------- */

#ifdef SC_CHECKED
enum { ITEMS = 40000 };
#else
enum { ITEMS = 2000000 };
#endif
enum { THIEVES = 2, HAMMER_SLOTS = 512 };

static struct {
	struct sc_slot slots[HAMMER_SLOTS];
	struct sc_deque deque;
	struct sc_bottom bottom;
	uint32_t ready;           /* atomic: thieves that have begun */
	uint32_t stop;            /* atomic */
	uint8_t taken[ITEMS + 1]; /* atomic: how often each number was got */
	uint32_t stolen;          /* atomic */
	uint32_t broken;          /* atomic: a slot was not what its owner wrote */
} hammer;

static void got(const struct sc_slot *slot)
{
	uintptr_t number = (uintptr_t)slot->arg;

	if (number < 1 || number > ITEMS || (uintptr_t)slot->scope != ~number ||
	    (uintptr_t)slot->site != number * 3)
		at_store_rlx(&hammer.broken, 1);
	else
		at_add_rlx(&hammer.taken[number], 1);
}

static void *thief(void *arg)
{
	struct sc_slot out[32];
	unsigned most = (unsigned)(uintptr_t)arg, count, i, misses = 0;

	at_add_rlx(&hammer.ready, 1);
	while (!at_load_acq(&hammer.stop)) {
		count = sc_deque_take(&hammer.deque, out, most);
		for (i = 0; i < count; i++)
			got(&out[i]);
		at_add_rlx(&hammer.stolen, count);
		if (count == 0 && ++misses % 256 == 0)
			sched_yield();
	}
	return NULL;
}

static int hammer_push(uintptr_t number)
{
	struct sc_slot *top = hammer.bottom.top;

	if (top >= hammer.slots + HAMMER_SLOTS)
		return 0;
	*top = (struct sc_slot){
		.arg = (void *)number, .scope = (void *)~number, .site = (void *)(number * 3)};
	at_signal_fence();
	at_store_rlx(&hammer.bottom.top, top + 1);
	return 1;
}

/* Takes one slot back, from the private part or from what is exposed; 0 if all is gone. */
static int hammer_pop(void)
{
	struct sc_bottom *b = &hammer.bottom;
	struct sc_slot *top = b->top - 1;

	if (top < hammer.slots)
		return 0;
	if (top < b->split && !sc_deque_reclaim(&hammer.deque, b, hammer.slots))
		return 0;
	at_store_rlx(&b->top, top);
	at_signal_fence();
	got(top);
	return 1;
}

static uint32_t next_random(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 16;
}

static void own(void)
{
	struct sc_bottom *b = &hammer.bottom;
	uint32_t random = 1, n;
	uintptr_t number = 1;

	while (number <= ITEMS) {
		for (n = next_random(&random) % 40; n > 0 && number <= ITEMS; n--) {
			if (hammer_push(number))
				number++;
			else
				break;
		}
		n = next_random(&random) % 8;
		if (n < 5)
			sc_deque_expose(&hammer.deque, b, n * n);
		else if (n == 5)
			sc_deque_expose_async(&hammer.deque, b);
		for (n = next_random(&random) % 32; n > 0 && hammer_pop(); n--)
			;
		/* Now and then the thieves get the rest. */
		if (next_random(&random) % 64 == 0) {
			sc_deque_expose(&hammer.deque, b, UINT32_MAX);
			while (sc_deque_exposed(&hammer.deque))
				sched_yield();
		}
		/* What is left is out of reach: it starts again when the thieves are done. */
		if (b->top == b->split)
			sc_deque_reset(&hammer.deque, b);
	}
	while (hammer_pop())
		;
}

Test(deque, owner_and_two_thieves_take_each_item_once)
{
	pthread_t thread[THIEVES];
	uintptr_t i;

	memset(&hammer, 0, sizeof(hammer));
	sc_deque_init(&hammer.deque, &hammer.bottom, hammer.slots, HAMMER_SLOTS);
	for (i = 0; i < THIEVES; i++)
		cr_assert_eq(pthread_create(&thread[i], NULL, thief,
					    (void *)(uintptr_t)(i ? 32 : 2)),
			     0);
	while (at_load_rlx(&hammer.ready) != THIEVES)
		sched_yield();
	own();
	while (sc_deque_exposed(&hammer.deque))
		sched_yield();
	at_store_rel(&hammer.stop, 1);
	for (i = 0; i < THIEVES; i++)
		pthread_join(thread[i], NULL);
	cr_assert(!hammer.broken, "a slot changed under its taker");
	for (i = 1; i <= ITEMS; i++)
		if (hammer.taken[i] != 1)
			cr_assert_fail("item %zu was taken %d times", (size_t)i, hammer.taken[i]);
	cr_assert(hammer.stolen > 0, "the thieves were never there");
}
