/* runtime/fiber/stack.c: stacks in big reserved regions, and their guards.
 *
 * A region is an array of cards and an array of slots; a slot is, from low to high addresses,
 * the guard, the usable bytes, the control block, up to 15 cache lines of colour.  Both are
 * committed in chunks and in order, so that a region is four mappings, however many stacks it
 * holds.  A slot is
 * guarded when it is first used and stays so: its stack is reused, never unmapped.  Guards
 * that are simply never committed would cost nothing and two mappings a stack: the kernel's
 * default limit would end them at 32,750.
 *
 * The colour moves the tops of neighbours to different cache sets.  Control block, colour
 * and the frames of a parked task fit into one page: the only one that is resident.
 */
#include "fiber/stack.h"

#include "base/atomic.h"
#include "base/lock.h"
#include "os/os.h"

#include <errno.h>
#ifdef SC_ASAN
#include <sanitizer/common_interface_defs.h>
#endif

enum {
	COLOURS = 16,
	REGIONS = 64,
	OWN_SLOTS = 16,
#ifdef SC_CHECKED
	REGION_SLOTS = 4096,
#else
	/* A million parked tasks and what runs beside them. */
	REGION_SLOTS = SC_BOUND((1 << 20) + 4096, 2),
#endif
};

#ifdef SC_CHECKED
static const size_t chunk_size = 4u << 20;
#else
static const size_t chunk_size = 64u << 20;
#endif
static const size_t card_chunk_size = 256u << 10;
static const size_t usable_least = 16u << 10, usable_most = 1u << 30;

/* One of the two arrays. */
struct area {
	SC_PLAIN(char *) base;      /* const once the region is counted */
	SC_PLAIN(size_t) size;      /* likewise */
	SC_PLAIN(size_t) committed; /* lock: bytes */
};

struct region {
	struct area cards;          /* its base is that of the mapping */
	struct area stacks;
	SC_PLAIN(size_t) slots;     /* const once counted */
	SC_WORD(uint32_t) used;     /* written under lock: slots handed out */
};

static struct {
	/* const after init */
	size_t page;
	size_t guard;   /* bytes below each stack that fault */
	size_t control; /* bytes of struct sc_fiber and what lies behind it */
	size_t card;
	size_t stride;
	size_t tail;    /* bytes at the end of a slot for control block and colour */
	unsigned flags;
	void (*entry)(void *fiber);

	struct sc_lock lock;
	SC_PLAIN(struct sc_fiber *) bare; /* lock: made, but no guard could be had */
	struct region region[REGIONS];
	SC_WORD(unsigned) region_count; /* written under lock */
	SC_WORD(uint64_t) made;
	SC_WORD(unsigned) guards;       /* guarded slots */
	SC_WORD(struct sc_fiber *) own[OWN_SLOTS]; /* written under lock: own mappings */
} stacks;

static size_t round_up(size_t size, size_t unit)
{
	return (size + unit - 1) / unit * unit;
}

/* ---- regions ---- */

/* Reserves as many slots as there is room for; lock is held.  A limited address space is
 * the program's too: a region takes at most a quarter of it. */
static int add_region(void)
{
	unsigned count = stacks.region_count;
	size_t limit = sc_os_address_limit() / 4 / stacks.stride;
	size_t slots = REGION_SLOTS;
	struct region *region;
	char *base = NULL;
	size_t cards;

	if (count == REGIONS)
		return -ENOMEM;
	if (slots > limit)
		slots = limit ? limit : 1;
	for (; slots; slots /= 2) {
		cards = round_up(slots * stacks.card, stacks.page);
		base = sc_os.reserve(cards + slots * stacks.stride);
		if (base)
			break;
	}
	if (!base)
		return -ENOMEM;
	region = &stacks.region[count];
	*region = (struct region){.cards = {.base = base, .size = cards},
				  .stacks = {.base = base + cards, .size = slots * stacks.stride},
				  .slots = slots};
	at_store_rel(&stacks.region_count, count + 1); /* [stack.region] */
	return 0;
}

/* Makes the first `size` bytes of the area usable; lock is held.  Under strict overcommit a
 * whole chunk may be too much where a single stack is not. */
static int commit_up_to(struct area *area, size_t size, size_t chunk)
{
	size_t target = area->committed + chunk;
	int error;

	if (size <= area->committed)
		return 0;
	if (target > area->size)
		target = area->size;
	if (target < size)
		target = size;
	error = sc_os.commit(area->base + area->committed, target - area->committed);
	if (error && target > size) {
		target = size;
		error = sc_os.commit(area->base + area->committed, target - area->committed);
	}
	if (!error)
		area->committed = target;
	return error;
}

static struct sc_fiber *fiber_in(const struct region *region, size_t index)
{
	char *end = region->stacks.base + (index + 1) * stacks.stride;

	return (struct sc_fiber *)(end - index % COLOURS * SC_CACHE_LINE - stacks.control);
}

/* The next slot that was never used; lock is held. */
static struct region *claim_slot(size_t *index)
{
	struct region *region = &stacks.region[stacks.region_count - 1];

	if (region->used == region->slots) {
		if (add_region())
			return NULL;
		region++;
	}
	*index = region->used;
	if (commit_up_to(&region->cards, round_up((*index + 1) * stacks.card, stacks.page),
			 card_chunk_size) ||
	    commit_up_to(&region->stacks, (*index + 1) * stacks.stride, chunk_size))
		return NULL;
	at_store_rlx(&region->used, region->used + 1);
	return region;
}

/* ---- fibers ---- */

#ifdef SC_ASAN
/* AddressSanitizer must know the new stack before any frame of its own is checked. */
__attribute__((no_sanitize_address)) static void enter(void *fiber)
{
	__sanitizer_finish_switch_fiber(NULL, NULL, NULL);
	stacks.entry(fiber);
}
#define ENTRY enter
#else
#define ENTRY stacks.entry
#endif

static void set_up(struct sc_fiber *fiber, void *card, char *low, uint32_t index)
{
	fiber->card = card;
	fiber->stack_low = low;
	fiber->stack_high = (char *)fiber;
	fiber->index = index;
	fiber->root = sc_arch_make(&fiber->context, fiber->stack_high, ENTRY, fiber);
}

/* 0 if the stack may be used. */
static int set_guard(struct sc_fiber *fiber)
{
	int error = sc_os.guard(fiber->stack_low - stacks.guard, stacks.guard);

	fiber->guarded = !error;
	return stacks.flags & SC_FIBER_UNGUARDED ? 0 : error;
}

struct sc_fiber *sc_stack_make(void)
{
	struct region *region = NULL;
	struct sc_fiber *fiber;
	size_t index;

	sc_lock_take(&stacks.lock);
	fiber = stacks.bare;
	if (fiber)
		stacks.bare = fiber->next;
	else
		region = claim_slot(&index);
	sc_lock_drop(&stacks.lock);
	if (region) {
		fiber = fiber_in(region, index);
		set_up(fiber, region->cards.base + index * stacks.card,
		       region->stacks.base + index * stacks.stride + stacks.guard, (uint32_t)index);
	}
	if (!fiber)
		return NULL;
	if (set_guard(fiber)) {
		sc_lock_take(&stacks.lock);
		fiber->next = stacks.bare;
		stacks.bare = fiber;
		sc_lock_drop(&stacks.lock);
		return NULL;
	}
	sc_sanitizer_made(fiber, stacks.control);
	at_add_rlx(&stacks.guards, fiber->guarded);
	at_add_rlx(&stacks.made, 1);
	return fiber;
}

uint64_t sc_stack_made(void)
{
	return at_load_rlx(&stacks.made);
}

struct sc_fiber *sc_stack_new(size_t usable)
{
	size_t tail = round_up(stacks.control + stacks.card, stacks.page);
	size_t size = stacks.guard + round_up(usable, stacks.page) + tail, i;
	char *base = sc_os.reserve(size);
	struct sc_fiber *fiber;

	if (!base)
		return NULL;
	if (sc_os.commit(base, size))
		goto fail_base;
	fiber = (struct sc_fiber *)(base + size - stacks.card - stacks.control);
	set_up(fiber, base + size - stacks.card, base + stacks.guard, UINT32_MAX);
	if (set_guard(fiber))
		goto fail_base;
	sc_sanitizer_made(fiber, stacks.control);
	sc_lock_take(&stacks.lock);
	for (i = 0; i < OWN_SLOTS; i++) {
		if (!stacks.own[i]) {
			at_store_rel(&stacks.own[i], fiber); /* [stack.own] */
			break;
		}
	}
	sc_lock_drop(&stacks.lock);
	return fiber;

fail_base:
	sc_os.release(base, size);
	return NULL;
}

void sc_stack_free(struct sc_fiber *fiber)
{
	char *base = fiber->stack_low - stacks.guard;
	size_t size = (size_t)((char *)fiber->card + stacks.card - base), i;

	sc_lock_take(&stacks.lock);
	for (i = 0; i < OWN_SLOTS; i++)
		if (stacks.own[i] == fiber)
			at_store_rlx(&stacks.own[i], NULL);
	sc_lock_drop(&stacks.lock);
	sc_sanitizer_gone(fiber, stacks.control);
	if (fiber->guarded)
		sc_os.unguard(1);
	sc_os.release(base, size);
}

/* ---- start and end ---- */

int sc_stack_init(size_t usable, size_t extra, size_t card, void (*entry)(void *fiber),
		  unsigned flags)
{
	int error;

	if (usable < usable_least || usable > usable_most)
		return -EINVAL;
	stacks.page = sc_os_page_size();
	stacks.guard = round_up(SC_GUARD_SIZE, stacks.page);
	stacks.control = round_up(sizeof(struct sc_fiber) + extra, SC_CACHE_LINE);
	stacks.card = card;
	stacks.tail = round_up(stacks.control + (COLOURS - 1) * SC_CACHE_LINE, stacks.page);
	stacks.stride = stacks.guard + round_up(usable, stacks.page) + stacks.tail;
	stacks.flags = flags;
	stacks.entry = entry;
	sc_lock_take(&stacks.lock);
	error = add_region();
	sc_lock_drop(&stacks.lock);
	return error;
}

/* Slots without a guard were never told to the checkers. */
static void forget_bare(void)
{
	struct sc_fiber *fiber;

	for (fiber = stacks.bare; fiber; fiber = fiber->next)
		fiber->stack_low = NULL;
	stacks.bare = NULL;
}

void sc_stack_fini(void)
{
	unsigned i;

	forget_bare();
	for (i = 0; i < stacks.region_count; i++) {
		struct region *region = &stacks.region[i];
#ifdef SC_CHECKED
		size_t slot;

		for (slot = 0; slot < region->used; slot++)
			if (fiber_in(region, slot)->stack_low)
				sc_sanitizer_gone(fiber_in(region, slot), stacks.control);
#endif
		sc_os.release(region->cards.base, region->cards.size + region->stacks.size);
	}
	sc_os.unguard(stacks.guards);
	stacks.guards = 0;
	stacks.made = 0;
	at_store_rlx(&stacks.region_count, 0);
}

/* ---- faults ---- */

/* In a signal handler: no lock.  Regions and own mappings that vanish meanwhile would mean
 * that the run ends while one of its stacks overflows. */
struct sc_fiber *sc_stack_of_guard(const void *address)
{
	unsigned count = at_load_acq(&stacks.region_count), i; /* [stack.region] */

	for (i = 0; i < count; i++) {
		struct region *region = &stacks.region[i];
		const char *base = region->stacks.base;
		size_t offset = (size_t)((uintptr_t)address - (uintptr_t)base);
		size_t index = offset / stacks.stride;

		if (index < at_load_rlx(&region->used) && offset % stacks.stride < stacks.guard)
			return fiber_in(region, index);
	}
	for (i = 0; i < OWN_SLOTS; i++) {
		struct sc_fiber *fiber = at_load_acq(&stacks.own[i]); /* [stack.own] */

		if (fiber && (uintptr_t)fiber->stack_low - 1 - (uintptr_t)address < stacks.guard)
			return fiber;
	}
	return NULL;
}

/* ---- reports ---- */

void sc_stack_each(void (*each)(void *arg, struct sc_fiber *fiber), void *arg)
{
	unsigned count = at_load_rlx(&stacks.region_count), i;
	size_t slot;

	for (i = 0; i < OWN_SLOTS; i++) {
		struct sc_fiber *fiber = at_load_rlx(&stacks.own[i]);

		if (fiber)
			each(arg, fiber);
	}
	for (i = 0; i < count; i++)
		for (slot = 0; slot < at_load_rlx(&stacks.region[i].used); slot++)
			each(arg, fiber_in(&stacks.region[i], slot));
}
