/* tests/model/deque.cc: models of the join deque, runtime/deque/deque.c. */
#include "model.hpp"

#include "deque/deque.c"

static const unsigned most_slots = 6;

/* A deque, who took what, and the calls of an owner as scope_spawn and scope_close make them. */
template <class T, int threads> struct deque_test : model::test<T, threads> {
	struct sc_deque deque;
	struct sc_bottom bottom;
	struct sc_slot slots[most_slots];
	unsigned got[most_slots + 1];

	void start(uint32_t capacity)
	{
		memset(got, 0, sizeof got);
		sc_deque_init(&deque, &bottom, slots, capacity);
	}

	/* Tasks are numbered from 1. */
	bool push(uintptr_t id)
	{
		struct sc_slot *top = bottom.top;

		if (top >= bottom.lim)
			return false;
		top->arg = (void *)id;
		top->scope = (void *)(id * 16);
		at_signal_fence();
		at_store_rlx(&bottom.top, top + 1);
		return true;
	}

	void count(const struct sc_slot *slot)
	{
		uintptr_t id = (uintptr_t)(void *)slot->arg;

		MODEL_CHECK(id >= 1 && id <= most_slots);
		MODEL_CHECK((uintptr_t)(void *)slot->scope == id * 16);
		MODEL_CHECK(++got[id] == 1);
	}

	bool pop()
	{
		struct sc_slot *top = bottom.top;

		if (top == slots)
			return false;
		top--;
		at_store_rlx(&bottom.top, top);
		at_signal_fence();
		if (top >= bottom.split) {
			count(top);
			return true;
		}
		at_store_rlx(&bottom.top, top + 1);
		return false;
	}

	/* As the loop of a close: until everything was run here or taken. */
	void join()
	{
		while (pop() || sc_deque_reclaim(&deque, &bottom, slots))
			;
	}

	unsigned steal(unsigned most)
	{
		struct sc_slot loot[most_slots];
		unsigned n = sc_deque_take(&deque, loot, most), i;

		for (i = 0; i < n; i++)
			count(&loot[i]);
		return n;
	}

	void check_all(unsigned pushed)
	{
		unsigned i;

		for (i = 1; i <= pushed; i++)
			MODEL_CHECK(got[i] == 1);
	}
};

struct one_thief : deque_test<one_thief, 2> {
	void set_up()
	{
		start(4);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		push(1);
		push(2);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
		join();
	}
	void check()
	{
		check_all(2);
	}
};
static model::full<one_thief> one_thief("deque/owner_and_thief_take_each_slot_once");
