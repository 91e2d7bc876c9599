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

	/* 0 <= tail <= split <= top <= capacity, and both views of split agree. */
	void check_order()
	{
		uint64_t word = deque.word;

		MODEL_CHECK(tail_of(word) <= split_of(word));
		MODEL_CHECK(bottom.split == slots + split_of(word));
		MODEL_CHECK(bottom.split <= bottom.top);
		MODEL_CHECK(bottom.top <= slots + deque.capacity);
		MODEL_CHECK(deque.copied == tail_of(word));
	}

	void check_all(unsigned pushed)
	{
		unsigned i;

		for (i = 1; i <= pushed; i++)
			MODEL_CHECK(got[i] == 1);
	}
};

/* ---- owner against thieves ---- */

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
		check_order();
	}
};
static model::full<one_thief> one_thief("deque/owner_and_thief_take_each_slot_once");

struct two_thieves : deque_test<two_thieves, 3> {
	void set_up()
	{
		start(4);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(2);
			return;
		}
		push(1);
		push(2);
		push(3);
		sc_deque_expose(&deque, &bottom, 2);
		pop();
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
		join();
	}
	void check()
	{
		check_all(3);
		check_order();
	}
};
static model::random<two_thieves> two_thieves("deque/owner_and_two_thieves_take_each_slot_once",
					      150000);

/* The owner wants it back while a thief claims it. */
struct last_slot : deque_test<last_slot, 2> {
	void set_up()
	{
		start(2);
		push(1);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
	}
	void thread(unsigned index)
	{
		if (index)
			steal(1);
		else
			join();
	}
	void check()
	{
		check_all(1);
		check_order();
	}
};
static model::full<last_slot> last_slot("deque/last_slot_goes_to_owner_or_thief");

struct last_slot_for_thieves : deque_test<last_slot_for_thieves, 3> {
	void set_up()
	{
		start(2);
		push(1);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
	}
	void thread(unsigned index)
	{
		if (index || !pop())
			steal(1);
	}
	void check()
	{
		check_all(1);
	}
};
static model::full<last_slot_for_thieves>
	last_slot_for_thieves("deque/last_slot_goes_to_one_of_three_takers");

/* Thieves leave what the close of an inner scope may not touch: slots below its floor. */
struct floor_kept : deque_test<floor_kept, 2> {
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
		push(3);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
		while (bottom.split > slots + 1 && sc_deque_reclaim(&deque, &bottom, slots + 1))
			while (bottom.top > slots + 1 && pop())
				;
		MODEL_CHECK(bottom.split >= slots + 1);
		join();
	}
	void check()
	{
		check_all(3);
	}
};
static model::full<floor_kept> floor_kept("deque/reclaim_stays_above_its_floor");

/* ---- slots used again ---- */

/* The owner fills all slots twice: the second time over slots that thieves may be copying. */
struct reuse : deque_test<reuse, 2> {
	void set_up()
	{
		start(2);
	}
	void thread(unsigned index)
	{
		unsigned id;

		if (index) {
			steal(1);
			steal(2);
			return;
		}
		for (id = 1; id <= 4; id++) {
			while (!push(id)) {
				join();
				sc_deque_reset(&deque, &bottom);
				model::yield();
			}
			sc_deque_expose(&deque, &bottom, UINT32_MAX);
		}
		join();
	}
	void check()
	{
		check_all(4);
		check_order();
	}
};
static model::random<reuse> reuse("deque/slots_are_reused_after_they_were_copied", 100000);

struct reset_by_owner : deque_test<reset_by_owner, 2> {
	void set_up()
	{
		start(1);
		push(1);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		sc_deque_reset(&deque, &bottom);
		if (push(2))
			MODEL_CHECK(bottom.top == slots + 1);
		join();
	}
	void check()
	{
		MODEL_CHECK(got[1] == 1);
		check_order();
	}
};
static model::full<reset_by_owner> reset_by_owner("deque/reset_waits_for_the_copy");

/* A thief that looked before the reset claims what is exposed after it. */
struct word_comes_back : deque_test<word_comes_back, 3> {
	void set_up()
	{
		start(1);
		push(1);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		sc_deque_reset(&deque, &bottom);
		if (push(2))
			sc_deque_expose(&deque, &bottom, UINT32_MAX);
		else
			got[2]++;
		join();
	}
	void check()
	{
		check_all(2);
	}
};
static model::random<word_comes_back>
	word_comes_back("deque/a_claim_takes_the_slots_of_now_after_a_reset", 150000);

/* ---- the signal handler, at any access of its thread ---- */

template <class T> struct handled_test : deque_test<T, 2> {
	static void expose(void *arg)
	{
		handled_test *test = (handled_test *)arg;

		sc_deque_expose_async(&test->deque, &test->bottom);
	}
	void check_handled(unsigned pushed)
	{
		this->check_all(pushed);
		this->check_order();
		MODEL_CHECK(!this->deque.busy);
		MODEL_CHECK(!this->deque.asked);
	}
};

struct handler_exposes : handled_test<handler_exposes> {
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
		model::arm_interrupt(expose, this, 1);
		push(1);
		push(2);
		join();
		model::disarm_interrupt();
		join();
	}
	void check()
	{
		check_handled(2);
	}
};
static model::full<handler_exposes>
	handler_exposes("deque/handler_exposes_while_the_owner_pushes_and_pops");

struct handler_meets_owner : handled_test<handler_meets_owner> {
	void set_up()
	{
		start(3);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(2);
			return;
		}
		model::arm_interrupt(expose, this, 2);
		push(1);
		push(2);
		sc_deque_expose(&deque, &bottom, 1);
		push(3);
		join();
		sc_deque_reset(&deque, &bottom);
		model::disarm_interrupt();
		join();
	}
	void check()
	{
		check_handled(3);
	}
};
static model::random<handler_meets_owner>
	handler_meets_owner("deque/handler_waits_while_the_owner_moves_split", 150000);

/* The owner resets and uses slot 0 again; the handler may expose in between. */
struct handler_meets_reset : handled_test<handler_meets_reset> {
	void set_up()
	{
		start(1);
		push(1);
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
	}
	void thread(unsigned index)
	{
		if (index) {
			steal(1);
			return;
		}
		model::arm_interrupt(expose, this, 1);
		join();
		sc_deque_reset(&deque, &bottom);
		if (!push(2))
			got[2]++;
		model::disarm_interrupt();
		join();
	}
	void check()
	{
		check_handled(2);
	}
};
static model::full<handler_meets_reset> handler_meets_reset("deque/handler_meets_reset");

/* ---- what is only peeked at ---- */

/* Others read word and bottom without an order: it may be old, never nonsense. */
struct peeking : deque_test<peeking, 2> {
	void set_up()
	{
		start(3);
	}
	void thread(unsigned index)
	{
		if (index) {
			struct sc_slot *top = at_load_rlx(&bottom.top);

			MODEL_CHECK(top >= slots && top <= slots + 3);
			MODEL_CHECK(sc_deque_exposed(&deque) <= 3);
			at_store_rlx(&bottom.lim, NULL);
			return;
		}
		if (!push(1))
			got[1]++;
		sc_deque_expose(&deque, &bottom, UINT32_MAX);
		if (!push(2))
			got[2]++;
		join();
	}
	void check()
	{
		check_all(2);
	}
};
static model::full<peeking> peeking("deque/a_call_for_attention_stops_pushes_only");
