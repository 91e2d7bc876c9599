/* tests/sim/table.c: the system as the simulated threads see it. */
#include "core.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
	ARENA = 96 << 20,
	CLASSES = 40, /* a class per power of two */
	REGIONS = 64,
	REGION_MOST = 16 << 20, /* what is committed is looked through for each schedule */
	STACKS = 4096, /* in a schedule */
	FILL = 2048, /* most bytes of a block that are filled */
	PAGE = 4096,
	SPARE = 4,
	LOOK_EACH = 10000, /* cleanings until one is checked */
	GUARD_LOOK = 512 /* bytes at the top of a guard that are looked at */
};

/* Memory comes at the same addresses in every schedule with the same calls. */
struct block {
	uint64_t state; /* LIVE or FREE */
	uint32_t class;
	uint32_t pad;
	size_t size;
	struct block *next;
};

static const uint64_t live = UINT64_C(0x4c4956454c495645), dead = UINT64_C(0x4445414444454144);
static char *arena;
static size_t arena_used;
static struct block *free_list[CLASSES];
static size_t heap_bytes, heap_blocks;

/* Address space is kept for the next schedule that asks for the same size. */
struct region {
	char *memory;
	size_t size;
	bool taken;
	bool open;   /* read-write as a whole */
	char *dirty; /* NULL, or the end of what was committed */
};

static struct region region[REGIONS];
static unsigned regions;
static char *guard[STACKS];
static unsigned guards;
static char *stack_top[STACKS];
static unsigned stack_tops;
static uint64_t looks;

/* ---- refusals ------------------------------------------------------------------- */

static struct {
	uint64_t nth; /* 0: none */
	bool later;
} refusal;

void sim_refuse(uint64_t nth, bool later)
{
	refusal.nth = nth;
	refusal.later = later;
}

bool sim_refused(void)
{
	if (!refusal.nth || --refusal.nth)
		return false;
	refusal.nth = refusal.later;
	return true;
}

/* ---- heap ---------------------------------------------------------------------- */

static unsigned class_of(size_t size)
{
	unsigned class = 5;

	while ((size_t)1 << class < size)
		class++;
	return class;
}

static void *os_alloc(size_t size)
{
	struct block *b;
	unsigned class;

	if (sim_refused() || size > ARENA)
		return NULL;
	class = class_of(size + sizeof(struct block));
	b = free_list[class];
	if (b) {
		free_list[class] = b->next;
		if (b->state != dead)
			sim_fail("a freed block was written to");
	} else {
		if (arena_used + ((size_t)1 << class) > ARENA)
			return NULL;
		b = (struct block *)(arena + arena_used);
		arena_used += (size_t)1 << class;
		b->class = class;
	}
	b->state = live;
	b->size = size;
	heap_bytes += size;
	heap_blocks++;
	memset(b + 1, 0xa5, size < FILL ? size : FILL);
	return b + 1;
}

static void os_free(void *memory)
{
	struct block *b = (struct block *)memory - 1;

	if (!memory)
		return;
	if ((char *)b < arena || (char *)b >= arena + arena_used || b->state != live)
		sim_fail("free of %p, which is not allocated", memory);
	memset(memory, 0xdd, b->size < FILL ? b->size : FILL);
	b->state = dead;
	b->next = free_list[b->class];
	free_list[b->class] = b;
	heap_bytes -= b->size;
	heap_blocks--;
}

size_t sim_heap_live(void)
{
	return heap_bytes;
}

/* ---- address space ------------------------------------------------------------- */

static struct region *region_of(const void *memory)
{
	unsigned i;

	for (i = 0; i < regions; i++)
		if ((const char *)memory >= region[i].memory &&
		    (const char *)memory < region[i].memory + region[i].size)
			return &region[i];
	sim_fail("%p was not reserved", memory);
}

/* The runtime makes the first frame of each stack by this. */
void *__real_sc_arch_make(struct sc_context *context, void *top, void (*entry)(void *), void *arg);
void *__wrap_sc_arch_make(struct sc_context *context, void *top, void (*entry)(void *), void *arg);
void *__wrap_sc_arch_make(struct sc_context *context, void *top, void (*entry)(void *), void *arg)
{
	if (sim.running && stack_tops == STACKS)
		sim_fail("more than %d stacks", STACKS);
	if (sim.running)
		stack_top[stack_tops++] = top;
	return __real_sc_arch_make(context, top, entry, arg);
}

static bool is_clean(const char *page)
{
	return page[0] == 0 && memcmp(page, page + 1, PAGE - 1) == 0;
}

/* Clears from `page` on, by `step` bytes, until SPARE clean ones in a row or `end`. */
static void clean_run(char *page, const char *end, ptrdiff_t step)
{
	unsigned spare = 0;

	for (; page != end && spare < SPARE; page += step) {
		if (is_clean(page)) {
			spare++;
			continue;
		}
		memset(page, 0, PAGE);
		spare = 0;
	}
}

/* Whether that was all. */
static void look_at_all(const struct region *r)
{
	static unsigned char resident[REGION_MOST / PAGE];
	size_t pages = (size_t)(r->dirty - r->memory) / PAGE, i;

	if (mincore(r->memory, pages * PAGE, resident))
		sim_fail("mincore");
	for (i = 0; i < pages; i++)
		if ((resident[i] & 1) && !is_clean(r->memory + i * PAGE))
			sim_fail("page %zu of %zu was not found", i, pages);
}

/* Who reserves gets zeroes.  What was written has to be found cheaply: stacks are written
 * downward from their control block, which lies above their top, their cards and all other
 * memory upward from the start of the region. */
static void clean(struct region *r)
{
	unsigned i = 0;

	if (!r->dirty)
		return;
	while (i < stack_tops) {
		char *page = r->memory + (size_t)(stack_top[i] - r->memory) / PAGE * PAGE;

		if (stack_top[i] < r->memory || stack_top[i] >= r->memory + r->size) {
			i++;
			continue;
		}
		if (page + PAGE < r->dirty && !is_clean(page + PAGE))
			memset(page + PAGE, 0, PAGE);
		clean_run(page, r->memory - PAGE, -PAGE);
		stack_top[i] = stack_top[--stack_tops];
	}
	clean_run(r->memory, r->dirty, PAGE);
	if (looks++ % LOOK_EACH == 0)
		look_at_all(r);
	r->dirty = NULL;
}

static void *os_reserve(size_t size)
{
	struct region *r;
	unsigned i;

	if (sim_refused())
		return NULL;
	/* As on a system that is short of address space: nothing here needs more. */
	if (size > REGION_MOST)
		return NULL;
	for (i = 0; i < regions; i++) {
		r = &region[i];
		if (r->taken || r->size != size)
			continue;
		r->taken = true;
		return r->memory;
	}
	if (regions == REGIONS)
		return NULL;
	r = &region[regions];
	r->memory = sc_os_system.reserve(size);
	if (!r->memory)
		return NULL;
	regions++;
	r->size = size;
	r->taken = true;
	return r->memory;
}

static int os_commit(void *memory, size_t size)
{
	struct region *r = region_of(memory);
	char *end = (char *)memory + size;

	if (sim_refused())
		return -ENOMEM;
	if (!r->open) {
		r->open = true;
		if (sc_os_system.commit(r->memory, r->size))
			return -ENOMEM;
	}
	if (end > r->dirty)
		r->dirty = end;
	return 0;
}

static void os_discard(void *memory, size_t size)
{
	sc_os_system.discard(memory, size);
}

/* No real guards, which would stay behind in memory that is used again: a page that has to
 * stay clean. */
static int os_guard(void *memory, size_t size)
{
	if (sim_refused())
		return -ENOMEM;
	if (guards == STACKS)
		sim_fail("more than %d stacks", STACKS);
	guard[guards++] = (char *)memory + size - GUARD_LOOK;
	return 0;
}

static void os_unguard(unsigned count)
{
	(void)count;
}

/* The guards of a region, when it is given back. */
static void check_guards(const struct region *r)
{
	unsigned i = 0, k;

	while (i < guards) {
		if (guard[i] < r->memory || guard[i] >= r->memory + r->size) {
			i++;
			continue;
		}
		for (k = 0; k < GUARD_LOOK; k++)
			if (guard[i][k])
				sim_fail("a stack ran over into its guard");
		guard[i] = guard[--guards];
	}
}

static void os_release(void *memory, size_t size)
{
	struct region *r = region_of(memory);

	if (r->memory != memory || r->size != size || !r->taken)
		sim_fail("release of %p, %zu bytes, which is not a reservation", memory, size);
	check_guards(r);
	clean(r);
	r->taken = false;
}

/* ---- time ------------------------------------------------------------------------ */

static int64_t os_now(void)
{
	if (sim.running) {
		sim_step(&sim.now, __builtin_return_address(0), SIM_STEP);
		sim.now += 20;
	}
	return sim.now;
}

uint64_t sc_sim_ticks(void)
{
	return (uint64_t)(sim.now += 4);
}

static uint64_t os_random(void)
{
	return sim.strategy == SIM_EXHAUSTIVE ? 4 : sim_next_random();
}

/* ---- threads ----------------------------------------------------------------------- */

static int os_thread_start(struct sc_thread *thread, void (*entry)(void *arg), void *arg)
{
	unsigned id;

	if (sim_refused())
		return -EAGAIN;
	id = sim_thread_new(entry, arg);
	thread->handle = id + 1;
	sim_step(&sim.thread[id], __builtin_return_address(0), SIM_STEP);
	return 0;
}

static struct sim_thread *thread_of(struct sc_thread thread)
{
	if (thread.handle == 0 || thread.handle > sim.threads)
		sim_fail("no thread has the handle %#zx", (size_t)thread.handle);
	return &sim.thread[thread.handle - 1];
}

static void os_thread_join(struct sc_thread *thread)
{
	struct sim_thread *t = thread_of(*thread);

	if (t->was_joined)
		sim_fail("thread %u is joined twice", t->id);
	t->was_joined = true;
	sim.current->state = SIM_JOINING;
	sim.current->joined = t->id;
	sim_step(t, __builtin_return_address(0), SIM_BLOCK);
}

static struct sc_thread os_thread_self(void)
{
	struct sc_thread self = {sim.current->id + 1};

	return self;
}

static void os_thread_signal(struct sc_thread thread)
{
	struct sim_thread *t = thread_of(thread);

	if (t->was_joined && t->state == SIM_DONE)
		sim_fail("a signal to thread %u, which was joined", t->id);
	t->signal_pending = true;
	if (t->state == SIM_WAITING)
		t->state = SIM_READY;
	sim_step(t, __builtin_return_address(0), SIM_STEP);
}

/* ---- waiting ----------------------------------------------------------------------- */

static void os_wait(const uint32_t *word, uint32_t expected, int64_t deadline)
{
	struct sim_thread *me = sim.current;

	sim_step(word, __builtin_return_address(0), SIM_STEP);
	if (*word != expected || deadline <= sim.now)
		return;
	if (sim.spurious && sim_next_random() % 32 == 0)
		return;
	me->state = SIM_WAITING;
	me->word = word;
	me->deadline = deadline;
	sim_step(word, __builtin_return_address(0), SIM_BLOCK);
}

static void os_wake(const uint32_t *word, int count)
{
	unsigned first, i;

	sim_step(word, __builtin_return_address(0), SIM_STEP);
	first = (unsigned)sim_random(sim.threads);
	for (i = 0; i < sim.threads && count > 0; i++) {
		struct sim_thread *t = &sim.thread[(first + i) % sim.threads];

		if (t->state == SIM_WAITING && t->word == word) {
			t->state = SIM_READY;
			count--;
		}
	}
}

static void os_relax(unsigned turn)
{
	(void)turn;
	sim.now += 2000; /* much, so that who searches for a while does so in few steps */
	sim_step(NULL, __builtin_return_address(0), SIM_YIELD);
}

/* ---- from schedule to schedule ------------------------------------------------------- */

void sim_table_reset(void)
{
	unsigned i;

	if (!arena)
		arena = malloc(ARENA);
	arena_used = 0;
	heap_bytes = 0;
	heap_blocks = 0;
	guards = 0;
	sim_refuse(0, false);
	memset(free_list, 0, sizeof(free_list));
	/* What a schedule that failed left. */
	for (i = 0; i < regions; i++)
		if (region[i].taken)
			clean(&region[i]);
	for (i = 0; i < regions; i++)
		region[i].taken = false;
	stack_tops = 0;
}

const char *sim_table_leak(void)
{
	static char text[80];
	unsigned i;

	for (i = 1; i < sim.threads; i++)
		if (!sim.thread[i].was_joined)
			return "a thread was not joined";
	snprintf(text, sizeof(text), "%zu blocks, %zu bytes of heap are left", heap_blocks,
		 heap_bytes);
	if (heap_blocks)
		return text;
	for (i = 0; i < regions; i++)
		if (region[i].taken)
			return "a reservation is left";
	return NULL;
}

const struct sc_os sim_os_table = {
	.alloc = os_alloc,
	.free = os_free,
	.reserve = os_reserve,
	.commit = os_commit,
	.discard = os_discard,
	.release = os_release,
	.guard = os_guard,
	.unguard = os_unguard,
	.now = os_now,
	.thread_start = os_thread_start,
	.thread_join = os_thread_join,
	.thread_self = os_thread_self,
	.thread_signal = os_thread_signal,
	.wait = os_wait,
	.wake = os_wake,
	.relax = os_relax,
	.random = os_random,
};
