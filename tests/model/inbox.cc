/* tests/model/inbox.cc: models of the inbox, runtime/deque/ready.c, and of the lock that
 * guards it, runtime/base/lock.h. */
#include "model.hpp"

#include "deque/ready.c"

static void relax(unsigned turn)
{
	(void)turn;
	model::yield();
}

void (*sc_relax)(unsigned turn) = relax;

/* ---- the lock ---- */

template <class T, int threads> struct lock_test : model::test<T, threads> {
	struct sc_lock lock;
	SC_PLAIN(uint32_t) guarded;

	void set_up()
	{
		lock.word = 0;
		guarded = 0;
	}
	void add_one()
	{
		sc_lock_take(&lock);
		guarded += 1;
		sc_lock_drop(&lock);
	}
};

struct two_holders : lock_test<two_holders, 2> {
	void thread(unsigned)
	{
		add_one();
		add_one();
	}
	void check()
	{
		MODEL_CHECK(guarded == 4);
	}
};
static model::full<two_holders> two_holders("lock/two_holders_follow_each_other");

struct three_holders : lock_test<three_holders, 3> {
	void thread(unsigned)
	{
		add_one();
	}
	void check()
	{
		MODEL_CHECK(guarded == 3);
	}
};
static model::full<three_holders> three_holders("lock/three_holders_follow_each_other");

/* ---- the inbox ---- */

static const unsigned most_items = 4;

struct strand {
	struct sc_item item;
	SC_PLAIN(uint32_t) data;
};

template <class T, int threads> struct inbox_test : model::test<T, threads> {
	struct sc_inbox inbox;
	struct strand strands[most_items + 1];
	unsigned got[most_items + 1], order[most_items], taken;

	void set_up()
	{
		memset(got, 0, sizeof got);
		taken = 0;
		inbox.lock.word = 0;
		inbox.count = 0;
		inbox.list.first = NULL;
		inbox.list.last = NULL;
		inbox.list.count = 0;
	}

	void put(unsigned from, unsigned to)
	{
		struct sc_batch batch = {NULL, NULL, 0};

		for (; from <= to; from++) {
			strands[from].data = from;
			sc_batch_add(&batch, &strands[from].item);
		}
		sc_inbox_put(&inbox, &batch);
	}

	size_t get(size_t most)
	{
		struct sc_batch batch = sc_inbox_get(&inbox, most, SIZE_MAX);
		struct sc_item *item = batch.first;
		size_t n = 0;

		for (; item; item = item->next, n++) {
			struct strand *strand = SC_CONTAINER(item, struct strand, item);
			unsigned id = (unsigned)(strand - strands);

			MODEL_CHECK(id >= 1 && id <= most_items);
			MODEL_CHECK(strand->data == id);
			strand->data = 0;
			MODEL_CHECK(++got[id] == 1);
			order[taken++] = id;
			MODEL_CHECK(item->next || item == batch.last);
		}
		MODEL_CHECK(n == batch.count && n <= most);
		return n;
	}

	void check_all(unsigned put)
	{
		unsigned i;

		get(most_items);
		MODEL_CHECK(sc_inbox_count(&inbox) == 0);
		for (i = 1; i <= put; i++)
			MODEL_CHECK(got[i] == 1);
	}
};

struct put_and_get : inbox_test<put_and_get, 2> {
	void thread(unsigned index)
	{
		if (index) {
			get(1);
			get(2);
			return;
		}
		put(1, 1);
		put(2, 3);
	}
	void check()
	{
		unsigned i;

		check_all(3);
		for (i = 0; i < 3; i++)
			MODEL_CHECK(order[i] == i + 1);
	}
};
static model::bound<put_and_get> put_and_get("inbox/items_come_out_once_and_in_order", 3);

struct two_putters : inbox_test<two_putters, 3> {
	void thread(unsigned index)
	{
		if (index == 2)
			get(2);
		else
			put(2 * index + 1, 2 * index + 2);
	}
	void check()
	{
		check_all(4);
	}
};
static model::random<two_putters> two_putters("inbox/batches_of_two_threads_come_out_once",
					      100000);

struct two_getters : inbox_test<two_getters, 3> {
	void set_up()
	{
		inbox_test<two_getters, 3>::set_up();
		put(1, 2);
	}
	void thread(unsigned index)
	{
		if (index)
			get(1);
		else
			put(3, 4);
	}
	void check()
	{
		check_all(4);
	}
};
static model::random<two_getters> two_getters("inbox/two_threads_get_different_items", 100000);
