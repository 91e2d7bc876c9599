/* runtime/fiber/fiber.c: pools of fibers, the shared free list, a thread's own fiber.
 *
 * Free fibers move between a pool and the shared list in batches of 64 that are linked as
 * a whole, so nobody walks them: the control blocks of cold fibers stay out of the cache.
 */
#include "fiber/fiber.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "fiber/stack.h"
#include "os/os.h"

#include <string.h>

#ifdef SC_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { BATCH = SC_BOUND(64, 2) };

static struct {
	struct sc_lock lock;
	SC_PLAIN(struct sc_fiber *) full;  /* lock: batches, linked by `batch` */
	SC_PLAIN(struct sc_fiber *) loose; /* lock: what drained pools held beside full batches */
	SC_PLAIN(uint64_t) free;           /* lock: fibers in both */
	SC_PLAIN(uint64_t) own;            /* lock: fibers with an own mapping */
	SC_PLAIN(struct sc_fiber_pool *) pools; /* lock: all that hold or may hold fibers */
} shared;

/* ---- batches: shared.lock is held ---- */

static void push_full(struct sc_fiber *batch)
{
	batch->batch = shared.full;
	shared.full = batch;
	shared.free += BATCH;
}

/* Moves a batch into the empty pool, a smaller one if that is all there is. */
static void pop_batch(struct sc_fiber_pool *pool)
{
	SC_PLAIN(struct sc_fiber *) *end = &shared.loose;
	struct sc_fiber *batch = shared.full;
	unsigned count = 0;

	if (batch) {
		shared.full = batch->batch;
		count = BATCH;
	} else {
		batch = shared.loose;
		for (; *end && count < BATCH; count++)
			end = &(*end)->next;
		if (count) {
			struct sc_fiber *rest = *end;

			*end = NULL;
			shared.loose = rest;
		}
	}
	shared.free -= count;
	pool->head = batch;
	at_store_rlx(&pool->count, count);
}

static void make_known(struct sc_fiber_pool *pool)
{
	if (pool->known)
		return;
	pool->known = 1;
	pool->next = shared.pools;
	shared.pools = pool;
}

/* ---- take and give ---- */

/* Fills the empty head of the pool, as far as there are free fibers. */
static SC_NOINLINE void refill(struct sc_fiber_pool *pool)
{
	if (pool->spare) {
		pool->head = pool->spare;
		at_store_rlx(&pool->spare, NULL);
		at_store_rlx(&pool->count, BATCH);
		return;
	}
	sc_lock_take(&shared.lock);
	make_known(pool);
	pop_batch(pool);
	sc_lock_drop(&shared.lock);
}

/* Empties the full head of the pool, and makes the pool known. */
static SC_NOINLINE void make_room(struct sc_fiber_pool *pool)
{
	sc_lock_take(&shared.lock);
	make_known(pool);
	if (pool->count == BATCH) {
		if (pool->spare)
			push_full(pool->spare);
		at_store_rlx(&pool->spare, pool->head);
		at_store_rlx(&pool->count, 0);
		pool->head = NULL;
	}
	sc_lock_drop(&shared.lock);
}

struct sc_fiber *sc_fiber_take(struct sc_fiber_pool *pool)
{
	struct sc_fiber *fiber;

	if (SC_UNLIKELY(!pool->head)) {
		refill(pool);
		if (!pool->head)
			return sc_stack_make();
	}
	fiber = pool->head;
	pool->head = fiber->next;
	at_store_rlx(&pool->count, pool->count - 1);
	return fiber;
}

void sc_fiber_give(struct sc_fiber_pool *pool, struct sc_fiber *fiber)
{
	if (SC_UNLIKELY(pool->count == BATCH || !pool->known))
		make_room(pool);
	fiber->next = pool->head;
	pool->head = fiber;
	at_store_rlx(&pool->count, pool->count + 1);
}

void sc_fiber_drain(struct sc_fiber_pool *pool)
{
	SC_PLAIN(struct sc_fiber_pool *) *link = &shared.pools;
	SC_PLAIN(struct sc_fiber *) *end = &pool->head;

	sc_lock_take(&shared.lock);
	if (pool->spare)
		push_full(pool->spare);
	while (*end)
		end = &(*end)->next;
	*end = shared.loose;
	shared.loose = pool->head;
	shared.free += pool->count;
	while (*link && *link != pool)
		link = &(*link)->next;
	if (*link)
		*link = pool->next;
	*pool = (struct sc_fiber_pool){0};
	sc_lock_drop(&shared.lock);
}

/* ---- stacks of their own size ---- */

struct sc_fiber *sc_fiber_new(size_t usable)
{
	struct sc_fiber *fiber = sc_stack_new(usable);

	if (fiber) {
		sc_lock_take(&shared.lock);
		shared.own++;
		sc_lock_drop(&shared.lock);
	}
	return fiber;
}

void sc_fiber_free(struct sc_fiber *fiber)
{
	sc_lock_take(&shared.lock);
	shared.own--;
	sc_lock_drop(&shared.lock);
	sc_stack_free(fiber);
}

/* ---- threads ---- */

void sc_fiber_adopt(struct sc_fiber *fiber)
{
	memset(fiber, 0, sizeof(*fiber));
	fiber->index = UINT32_MAX;
	/* Without bounds only AddressSanitizer's reports suffer. */
	sc_os_stack_bounds(&fiber->stack_low, &fiber->stack_high);
#ifdef SC_TSAN
	fiber->sanitizer = __tsan_get_current_fiber();
#endif
}

void sc_fiber_release(struct sc_fiber *fiber)
{
	memset(fiber, 0, sizeof(*fiber));
}

/* ---- all of them ---- */

int sc_fiber_init(size_t usable, size_t extra, size_t card, void (*entry)(void *fiber),
		  unsigned flags)
{
	return sc_stack_init(usable, extra, card, entry, flags);
}

void sc_fiber_fini(void)
{
	uint64_t live = sc_fiber_live();

	SC_ASSERT(live == 0, "%llu stacks are in use at the end", (unsigned long long)live);
	SC_ASSERT(!shared.pools, "a pool of stacks was not drained");
	shared.full = NULL;
	shared.loose = NULL;
	shared.free = 0;
	sc_stack_fini();
}

/* ---- faults: in a signal handler ---- */

struct sc_fiber *sc_fiber_of_guard(const void *address)
{
	return sc_stack_of_guard(address);
}

/* What a frame's code and the kernel, which puts a signal's frame there, write below sp. */
enum { REACH = 16 << 10 };

int sc_fiber_overflowed(const struct sc_fiber *running, const void *address, const void *sp)
{
	const struct sc_fiber *fiber = sc_stack_of_guard(address);
	uintptr_t at = (uintptr_t)address, low = (uintptr_t)running->stack_low, end = (uintptr_t)sp;

	/* Another's guard, with sp elsewhere, was hit by a wild pointer. */
	if (fiber && end >= (uintptr_t)fiber->stack_low - SC_GUARD_SIZE &&
	    end < (uintptr_t)fiber->stack_high)
		return 1;
	return end < low && at < low && at + REACH > end;
}

void sc_fiber_each(void (*each)(void *arg, struct sc_fiber *fiber), void *arg)
{
	sc_stack_each(each, arg);
}

uint64_t sc_fiber_live(void)
{
	struct sc_fiber_pool *pool;
	uint64_t live;

	sc_lock_take(&shared.lock);
	live = sc_stack_made() + shared.own - shared.free;
	for (pool = shared.pools; pool; pool = pool->next) {
		live -= at_load_rlx(&pool->count);
		if (at_load_rlx(&pool->spare))
			live -= BATCH;
	}
	sc_lock_drop(&shared.lock);
	return live;
}

uint64_t sc_fiber_made(void)
{
	return sc_stack_made();
}
