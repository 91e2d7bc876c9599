/* tests/model/fiber.cc: models of where stacks come from: the pools and the shared free list,
 * runtime/fiber/fiber.c; regions and guards, runtime/fiber/stack.c.
 *
 * A batch is two stacks here, and a region holds two.
 */
#include "model.hpp"

#include "fiber/fiber.c"
#include "fiber/stack.c"

/* ---- the system: address space is a static array, a guard may be refused ---- */

static char arena[4 << 20] SC_ALIGNED(1 << 16);
static size_t arena_used;
static int guards_refused; /* the next so many */

static void *reserve(size_t size)
{
	char *memory = arena + arena_used;

	size = round_up(size, 1 << 16);
	if (arena_used + size > sizeof arena)
		return NULL;
	arena_used += size;
	return memory;
}

/* Where the mapping lies that was reserved after `before` regions. */
static size_t cards()
{
	return round_up(REGION_SLOTS * stacks.card, stacks.page);
}

static char *region_at(unsigned before)
{
	return arena + before * round_up(cards() + REGION_SLOTS * stacks.stride, 1 << 16);
}

static int commit(void *, size_t)
{
	return 0;
}

static void release(void *, size_t) {}

static int guard(void *, size_t)
{
	if (!guards_refused)
		return 0;
	guards_refused--;
	return -ENOMEM;
}

static void unguard(unsigned) {}

static void relax(unsigned)
{
	model::yield();
}

void (*sc_relax)(unsigned turn) = relax;
struct sc_os sc_os;

size_t sc_os_page_size(void)
{
	return 4096;
}

size_t sc_os_address_limit(void)
{
	return SIZE_MAX;
}

int sc_os_stack_bounds(char **, char **)
{
	return 0;
}

struct sc_root_link *sc_arch_make(struct sc_context *, void *, void (*)(void *), void *)
{
	return NULL;
}

static void entry(void *) {}

/* ---- workers with pools ---- */

/* What its user keeps at the top of a stack. */
struct user {
	struct sc_fiber fiber;
	SC_PLAIN(uint32_t) data;
};

static const unsigned most_held = 4;

template <class T, int threads> struct pool_test : model::test<T, threads> {
	struct sc_fiber_pool pools[threads];
	struct sc_fiber *held[threads][most_held];
	unsigned count[threads];

	void set_up()
	{
		unsigned i;

		memset(&stacks, 0, sizeof stacks);
		memset(&shared, 0, sizeof shared);
		memset(pools, 0, sizeof pools);
		memset(count, 0, sizeof count);
		arena_used = 0;
		guards_refused = 0;
		sc_os.reserve = reserve;
		sc_os.commit = commit;
		sc_os.release = release;
		sc_os.guard = guard;
		sc_os.unguard = unguard;
		MODEL_CHECK(!sc_fiber_init(16 << 10, sizeof(struct user) - sizeof(struct sc_fiber),
					   SC_CACHE_LINE, entry, 0));
		for (i = 0; i < threads; i++)
			pools[i].head = NULL;
	}

	/* Whoever has a stack writes to it. */
	bool take(unsigned me)
	{
		struct sc_fiber *fiber = sc_fiber_take(&pools[me]);

		if (!fiber)
			return false;
		((struct user *)fiber)->data = me;
		held[me][count[me]++] = fiber;
		return true;
	}

	void give(unsigned me)
	{
		struct sc_fiber *fiber = held[me][--count[me]];

		MODEL_CHECK(((struct user *)fiber)->data == me);
		sc_fiber_give(&pools[me], fiber);
	}

	void take_and_give(unsigned me, unsigned number)
	{
		unsigned i;

		for (i = 0; i < number; i++)
			take(me);
		while (count[me])
			give(me);
	}

	/* At the end of a run: each stack is in one place. */
	void check()
	{
		unsigned i;

		for (i = 0; i < threads; i++)
			sc_fiber_drain(&pools[i]);
		MODEL_CHECK(sc_fiber_live() == 0);
		sc_fiber_fini();
	}
};

/* Batches that one worker gives back reach the other through the shared list. */
struct two_pools : pool_test<two_pools, 2> {
	void thread(unsigned index)
	{
		take_and_give(index, 4);
		take_and_give(index, 1 + index);
		sc_fiber_drain(&pools[index]);
	}
};
static model::random<two_pools> two_pools("fiber/a_stack_has_one_user_at_a_time", 60000);

struct passed_on : pool_test<passed_on, 2> {
	void thread(unsigned index)
	{
		if (!index) {
			take_and_give(0, 2);
			sc_fiber_drain(&pools[0]);
		} else {
			take_and_give(1, 1);
			sc_fiber_drain(&pools[1]);
		}
	}
	void check()
	{
		MODEL_CHECK(sc_fiber_made() >= 2 && sc_fiber_made() <= 3);
		pool_test<passed_on, 2>::check();
	}
};
static model::bound<passed_on> passed_on("fiber/a_drained_pool_serves_the_other", 3);

/* Somebody counts while stacks move between pools. */
struct counted : pool_test<counted, 2> {
	void thread(unsigned index)
	{
		if (index) {
			sc_fiber_live();
			MODEL_CHECK(sc_fiber_made() <= 3);
			return;
		}
		take_and_give(0, 3);
		sc_fiber_drain(&pools[0]);
	}
};
static model::bound<counted> counted("fiber/counting_disturbs_nobody", 3);

/* ---- regions ---- */

struct new_slots : pool_test<new_slots, 2> {
	void thread(unsigned index)
	{
		take(index);
		take(index);
	}
	void check()
	{
		unsigned i, j;

		for (i = 0; i < 4; i++)
			for (j = 0; j < i; j++)
				MODEL_CHECK(held[i / 2][i % 2] != held[j / 2][j % 2]);
		for (i = 0; i < 4; i++)
			give(i / 2);
		pool_test<new_slots, 2>::check();
	}
};
static model::bound<new_slots> new_slots("stack/two_threads_make_four_stacks_in_two_regions", 3);

/* A stack without its guard waits in the list for the next try. */
struct refused : pool_test<refused, 2> {
	void set_up()
	{
		pool_test<refused, 2>::set_up();
		guards_refused = 1;
	}
	void thread(unsigned index)
	{
		if (!take(index))
			take(index);
	}
	void check()
	{
		MODEL_CHECK(count[0] == 1 && count[1] == 1);
		give(0);
		give(1);
		pool_test<refused, 2>::check();
	}
};
static model::bound<refused> refused("stack/a_stack_without_guard_is_tried_again", 4);

/* ---- a fault handler looks for the stack of an address, without the lock ---- */

struct looked_up : pool_test<looked_up, 2> {
	void thread(unsigned index)
	{
		unsigned i;

		if (!index) {
			for (i = 0; i < 3; i++)
				take(0);
			return;
		}
		for (i = 0; i < 3; i++) {
			char *address = region_at(i / 2) + cards() + i % 2 * stacks.stride;
			struct sc_fiber *fiber = sc_stack_of_guard(address + 8);

			MODEL_CHECK(!fiber || ((char *)fiber > address &&
					       (char *)fiber < address + stacks.stride));
			MODEL_CHECK(!sc_stack_of_guard(address + stacks.guard));
		}
	}
	void check()
	{
		while (count[0])
			give(0);
		pool_test<looked_up, 2>::check();
	}
};
static model::random<looked_up> looked_up("stack/a_fault_handler_sees_whole_regions", 60000);

struct own_stack : pool_test<own_stack, 2> {
	void thread(unsigned index)
	{
		struct sc_fiber *fiber;

		if (!index) {
			fiber = sc_fiber_new(16 << 10);
			MODEL_CHECK(fiber);
			held[0][0] = fiber;
			return;
		}
		fiber = sc_stack_of_guard(region_at(1) + 8);
		MODEL_CHECK(!fiber || fiber->index == UINT32_MAX);
	}
	void check()
	{
		MODEL_CHECK(sc_stack_of_guard(region_at(1) + 8) == held[0][0]);
		sc_fiber_free(held[0][0]);
		MODEL_CHECK(!sc_stack_of_guard(region_at(1) + 8));
		pool_test<own_stack, 2>::check();
	}
};
static model::bound<own_stack> own_stack("stack/a_fault_handler_knows_a_stack_of_its_own_size", 4);
