/* tests/model/ready.cc: models of the ready ring, runtime/deque/ready.h; two cells here. */
#include "model.hpp"

#include "deque/ready.c"

void (*sc_relax)(unsigned turn);

static const unsigned most_items = 5;

/* What a strand is to a queue: an item, and data that its next holder reads. */
struct strand {
	struct sc_item item;
	SC_PLAIN(uint32_t) data;
};

template <class T, int threads> struct ring_test : model::test<T, threads> {
	struct sc_ring ring;
	struct strand strands[most_items + 1];
	unsigned got[most_items + 1];

	void start(uint32_t number)
	{
		memset(got, 0, sizeof got);
		ring.head = number;
		ring.tail = number;
		ring.solo = 0;
	}

	/* Items are numbered from 1. */
	bool push(unsigned id)
	{
		strands[id].data = id;
		return sc_ring_push(&ring, &strands[id].item);
	}

	void count(struct sc_item *item)
	{
		struct strand *strand = SC_CONTAINER(item, struct strand, item);
		unsigned id = (unsigned)(strand - strands);

		MODEL_CHECK(id >= 1 && id <= most_items);
		MODEL_CHECK(strand->data == id);
		strand->data = 0;
		MODEL_CHECK(++got[id] == 1);
	}

	bool pop()
	{
		struct sc_item *item = sc_ring_pop(&ring);

		if (item)
			count(item);
		return item;
	}

	void pop_all()
	{
		while (pop())
			;
	}

	unsigned steal(unsigned most)
	{
		struct sc_item *loot[SC_RING_SIZE];
		unsigned n = sc_ring_steal(&ring, loot, most), i;

		MODEL_CHECK(n <= most);
		for (i = 0; i < n; i++)
			count(loot[i]);
		return n;
	}

	void check_all(unsigned pushed)
	{
		unsigned i;

		for (i = 1; i <= pushed; i++)
			MODEL_CHECK(got[i] == 1);
		MODEL_CHECK(sc_ring_count(&ring) == 0);
	}
};

struct one_thief : ring_test<one_thief, 2> {
	void set_up()
	{
		start(0);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		push(1);
		push(2);
		pop_all();
	}
	void check()
	{
		check_all(2);
	}
};
static model::full<one_thief> one_thief("ready/owner_and_thief_pop_each_item_once");

/* Three items pass through two cells, whose numbers wrap on the way. */
struct wrap : ring_test<wrap, 2> {
	void set_up()
	{
		start(UINT32_MAX);
	}
	void thread(unsigned index)
	{
		unsigned id;

		if (index) {
			steal(2);
			return;
		}
		for (id = 1; id <= 3; id++)
			while (!push(id))
				pop();
		pop_all();
	}
	void check()
	{
		check_all(3);
	}
};
static model::random<wrap> wrap("ready/numbers_wrap_while_cells_are_reused", 150000);

struct two_thieves : ring_test<two_thieves, 3> {
	void set_up()
	{
		start(0);
	}
	void thread(unsigned index)
	{
		unsigned id;

		if (index) {
			steal(1);
			steal(1);
			return;
		}
		for (id = 1; id <= 4; id++)
			while (!push(id))
				pop();
		pop_all();
	}
	void check()
	{
		check_all(4);
	}
};
static model::random<two_thieves> two_thieves("ready/owner_and_two_thieves_pop_each_item_once",
					      150000);

struct last_item : ring_test<last_item, 3> {
	void set_up()
	{
		start(0);
		push(1);
	}
	void thread(unsigned index)
	{
		if (index)
			steal(1);
		else
			pop();
	}
	void check()
	{
		check_all(1);
	}
};
static model::bound<last_item> last_item("ready/last_item_goes_to_one_of_three_takers", 4);

/* A full ring refuses; what was refused is still the caller's. */
struct full_ring : ring_test<full_ring, 2> {
	bool refused;

	void set_up()
	{
		start(0);
		push(1);
		push(2);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		refused = !push(3);
		if (refused)
			count(&strands[3].item);
		pop_all();
	}
	void check()
	{
		check_all(3);
	}
};
static model::full<full_ring> full_ring("ready/a_full_ring_keeps_its_items");
