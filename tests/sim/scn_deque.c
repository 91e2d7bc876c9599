/* tests/sim/scn_deque.c: the queues alone: every item comes out once, whoever takes it. */
#include "deque/deque.h"
#include "deque/ready.h"
#include "scn.h"

#include <string.h>

enum { ITEMS = 24, SLOTS = 8, THIEVES = 2 };

static struct sc_deque deque;
static struct sc_bottom bottom;
static struct sc_slot slots[SLOTS];
static unsigned got[ITEMS];
static uint32_t finished;

static void count_item(const struct sc_slot *slot)
{
	uintptr_t id = (uintptr_t)slot->arg;

	sim_check(id < ITEMS && slot->scope == slot->arg, "slot %zu is torn", (size_t)id);
	sim_check(++got[id] == 1, "item %zu comes out twice", (size_t)id);
}

static void steal_items(void *arg)
{
	struct sc_slot loot[4];
	unsigned n, i;

	(void)arg;
	while (!at_load_acq(&finished)) {
		n = sc_deque_take(&deque, loot, 1 + (unsigned)sim_random(4));
		for (i = 0; i < n; i++)
			count_item(&loot[i]);
		if (!n)
			sc_os.relax(0);
	}
}

static void push_item(uintptr_t id)
{
	struct sc_slot slot = {NULL, NULL, (void *)id, (void *)id};

	*bottom.top = slot;
	at_signal_fence();
	at_store_rlx(&bottom.top, bottom.top + 1);
}

/* The youngest item: from the private part, else after taking some of the exposed back. */
static bool pop_item(void)
{
	if (bottom.top == bottom.split && !sc_deque_reclaim(&deque, &bottom, slots))
		return false;
	if (bottom.top == bottom.split)
		return false;
	at_store_rlx(&bottom.top, bottom.top - 1);
	count_item(bottom.top);
	return true;
}

/* Waits until the thieves have copied what they claimed, so that there is room again. */
static void make_room(void)
{
	while (bottom.top == slots + SLOTS) {
		if (sim_random(2)) {
			pop_item();
			continue;
		}
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
		while (sc_deque_exposed(&deque))
			sc_os.relax(0);
		sc_deque_reset(&deque, &bottom);
		sc_os.relax(0);
	}
}

static void deque_scenario(void *arg)
{
	struct sc_thread thief[THIEVES];
	uintptr_t id;
	int i;

	(void)arg;
	memset(got, 0, sizeof(got));
	finished = 0;
	sc_deque_init(&deque, &bottom, slots, SLOTS);
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_start(&thief[i], steal_items, NULL);
	for (id = 0; id < ITEMS; id++) {
		if (sim_random(4) == 0)
			sc_deque_reset(&deque, &bottom);
		make_room();
		push_item(id);
		if (sim_random(3) == 0)
			sc_deque_expose(&deque, &bottom, 1 + (uint32_t)sim_random(3));
		while (sim_random(3) == 0 && pop_item())
			;
	}
	while (pop_item())
		;
	/* What a thief has claimed it also counts before it looks for the end. */
	at_store_rel(&finished, 1);
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_join(&thief[i]);
	for (id = 0; id < ITEMS; id++)
		sim_check(got[id] == 1, "item %zu came out %u times", (size_t)id, got[id]);
}

Test(sim, deque_gives_every_slot_once)
{
	sim_explore("deque_gives_every_slot_once", deque_scenario, NULL);
}

/* ---- the ring and the inbox ---- */

static struct sc_ring ring;
static struct sc_inbox inbox;
static struct sc_item item[ITEMS];

static void count_ring_item(struct sc_item *taken)
{
	size_t id = (size_t)(taken - item);

	sim_check(id < ITEMS, "no such item");
	sim_check(++got[id] == 1, "item %zu comes out twice", id);
}

static void steal_ring(void *arg)
{
	struct sc_item *loot[4];
	unsigned n, i;

	(void)arg;
	while (!at_load_acq(&finished)) {
		n = sc_ring_steal(&ring, loot, 1 + (unsigned)sim_random(4));
		for (i = 0; i < n; i++)
			count_ring_item(loot[i]);
		if (!n)
			sc_os.relax(0);
	}
}

static void ring_scenario(void *arg)
{
	struct sc_thread thief[THIEVES];
	struct sc_item *mine;
	unsigned i;

	(void)arg;
	memset(got, 0, sizeof(got));
	memset(&ring, 0, sizeof(ring));
	/* Near the end of the numbers, so that they wrap. */
	ring.head = ring.tail = UINT32_MAX - (uint32_t)sim_random(ITEMS);
	finished = 0;
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_start(&thief[i], steal_ring, NULL);
	for (i = 0; i < ITEMS; i++) {
		sim_check(sc_ring_push(&ring, &item[i]), "the ring is full");
		while (sim_random(3) == 0 && (mine = sc_ring_pop(&ring)))
			count_ring_item(mine);
	}
	while ((mine = sc_ring_pop(&ring)))
		count_ring_item(mine);
	at_store_rel(&finished, 1);
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_join(&thief[i]);
	for (i = 0; i < ITEMS; i++)
		sim_check(got[i] == 1, "item %u came out %u times", i, got[i]);
}

Test(sim, ring_gives_every_item_once)
{
	sim_explore("ring_gives_every_item_once", ring_scenario, NULL);
}

static void put_inbox(void *arg)
{
	unsigned from = (unsigned)(uintptr_t)arg, i;

	for (i = from; i < ITEMS; i += THIEVES) {
		struct sc_batch batch = {NULL, NULL, 0};

		sc_batch_add(&batch, &item[i]);
		if (i + THIEVES < ITEMS && sim_random(2))
			sc_batch_add(&batch, &item[i += THIEVES]);
		sc_inbox_put(&inbox, &batch);
	}
}

static void get_inbox(void *arg)
{
	(void)arg;
	while (!at_load_acq(&finished)) {
		struct sc_batch batch = sc_inbox_get(&inbox, 1 + sim_random(5), SIZE_MAX);

		if (!batch.first)
			sc_os.relax(0);
		while (batch.first) {
			count_ring_item(batch.first);
			batch.first = batch.first->next;
		}
	}
}

static void inbox_scenario(void *arg)
{
	struct sc_thread put[THIEVES], get;
	struct sc_batch batch;
	uintptr_t i;

	(void)arg;
	memset(got, 0, sizeof(got));
	memset(&inbox, 0, sizeof(inbox));
	finished = 0;
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_start(&put[i], put_inbox, (void *)i);
	sc_os.thread_start(&get, get_inbox, NULL);
	for (i = 0; i < THIEVES; i++)
		sc_os.thread_join(&put[i]);
	at_store_rel(&finished, 1);
	sc_os.thread_join(&get);
	batch = sc_inbox_get(&inbox, ITEMS, SIZE_MAX);
	for (; batch.first; batch.first = batch.first->next)
		count_ring_item(batch.first);
	sim_check(sc_inbox_count(&inbox) == 0, "the inbox counts wrong");
	for (i = 0; i < ITEMS; i++)
		sim_check(got[i] == 1, "item %zu came out %u times", (size_t)i, got[i]);
}

Test(sim, inbox_gives_every_item_once)
{
	sim_explore("inbox_gives_every_item_once", inbox_scenario, NULL);
}
