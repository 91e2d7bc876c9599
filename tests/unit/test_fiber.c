/* tests/unit/test_fiber.c: stacks, their guards and pools, switching between fibers. */
#define _GNU_SOURCE
#include "harness.h"

#include "base/atomic.h"
#include "fiber/fiber.h"
#include "os/os.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { USABLE = 64 * 1024, BATCH = 64, CARD = 2 * SC_CACHE_LINE };

/* What the tests keep next to a fiber. */
struct unit {
	struct sc_fiber fiber;
	struct sc_fiber *resumer; /* who continued it last */
	int runs;
	void (*job)(struct unit *unit);
	char more[400];
};

static uint32_t baton; /* atomic: orders what two fibers do for a race checker */

/* Continues a fiber until it switches back. */
static void run(struct sc_fiber *self, struct unit *unit)
{
	unit->resumer = self;
	at_add_acqrel(&baton, 1);
	sc_fiber_switch(self, &unit->fiber);
	at_add_acqrel(&baton, 1);
}

static void back(struct unit *unit)
{
	struct sc_fiber *to = unit->resumer;

	at_add_acqrel(&baton, 1);
	sc_fiber_switch(&unit->fiber, to);
	at_add_acqrel(&baton, 1);
}

static void entry(void *fiber)
{
	struct unit *unit = fiber;

	at_add_acqrel(&baton, 1);
	for (;;) {
		unit->runs++;
		if (unit->job)
			unit->job(unit);
		back(unit);
	}
}

static struct sc_fiber self;

static void start(size_t usable, unsigned flags)
{
	cr_assert_eq(sc_fiber_init(usable, sizeof(struct unit) - sizeof(struct sc_fiber), CARD,
				   entry, flags),
		     0);
	sc_fiber_adopt(&self);
}

static void end(struct sc_fiber_pool *pool)
{
	sc_fiber_drain(pool);
	cr_assert_eq(sc_fiber_live(), 0);
	sc_fiber_release(&self);
	sc_fiber_fini();
	sc_os = sc_os_system;
}

/* Forks; the exit status of a child that runs `job`, or minus its signal. */
static int in_child(void (*job)(void))
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		job();
		_exit(0);
	}
	cr_assert(pid > 0);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* ---- a single fiber ---- */

Test(fiber, init_refuses_sizes)
{
	cr_assert_eq(sc_fiber_init(16 * 1024 - 1, 0, CARD, entry, 0), -EINVAL);
	cr_assert_eq(sc_fiber_init(((size_t)1 << 30) + 1, 0, CARD, entry, 0), -EINVAL);
}

Test(fiber, a_given_fiber_goes_on_where_it_was)
{
	struct sc_fiber_pool pool = {0};
	struct unit *unit, *again;
	int i;

	start(USABLE, 0);
	for (i = 1; i <= 5; i++) {
		unit = (struct unit *)sc_fiber_take(&pool);
		cr_assert_not_null(unit);
		run(&self, unit);
		cr_assert_eq(unit->runs, i);
		sc_fiber_give(&pool, &unit->fiber);
	}
	again = (struct unit *)sc_fiber_take(&pool);
	cr_assert(again == unit);
	cr_assert_eq(sc_fiber_live(), 1);
	cr_assert_eq(sc_fiber_made(), 1);
	sc_fiber_give(&pool, &again->fiber);
	end(&pool);
}

Test(fiber, cards_lie_side_by_side_and_keep_what_was_left_there)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber[3000], *own;
	int i, j;

	start(USABLE, 0);
	for (i = 0; i < 3000; i++) {
		fiber[i] = sc_fiber_take(&pool);
		cr_assert_not_null(fiber[i]);
		cr_assert_eq((char *)fiber[i]->card - (char *)fiber[0]->card, i * CARD);
		for (j = 0; j < CARD; j++)
			cr_assert_eq(((char *)fiber[i]->card)[j], 0);
		memset(fiber[i]->card, 1 + i % 100, CARD);
	}
	own = sc_fiber_new(USABLE);
	cr_assert_not_null(own);
	for (j = 0; j < CARD; j++)
		cr_assert_eq(((char *)own->card)[j], 0);
	memset(own->card, 1, CARD);
	sc_fiber_free(own);
	for (i = 0; i < 3000; i++) {
		for (j = 0; j < CARD; j++)
			cr_assert_eq(((char *)fiber[i]->card)[j], 1 + i % 100);
		sc_fiber_give(&pool, fiber[i]);
	}
	end(&pool);
}

Test(fiber, stack_is_as_large_as_asked_and_aligned)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber[40];
	int i;

	start(USABLE, 0);
	for (i = 0; i < 40; i++) {
		fiber[i] = sc_fiber_take(&pool);
		cr_assert_not_null(fiber[i]);
		cr_assert(fiber[i]->stack_high - fiber[i]->stack_low >= USABLE);
		cr_assert_eq((uintptr_t)fiber[i] % SC_CACHE_LINE, 0);
		cr_assert_eq(fiber[i]->index, (uint32_t)i);
		/* control block, colour and 1,200 bytes of frames share one page */
		cr_assert_eq(((uintptr_t)fiber[i]->stack_high - 1200) / sc_os_page_size(),
			     ((uintptr_t)fiber[i] + sizeof(struct unit) - 1) / sc_os_page_size());
	}
	/* neighbours lie at different places of their pages, every sixteenth at the same */
	cr_assert((uintptr_t)fiber[0] % 4096 != (uintptr_t)fiber[1] % 4096);
	cr_assert_eq((uintptr_t)fiber[0] % 4096, (uintptr_t)fiber[16] % 4096);
	for (i = 0; i < 40; i++)
		sc_fiber_give(&pool, fiber[i]);
	end(&pool);
}

static void fill_stack(struct unit *unit)
{
	volatile char frame[USABLE - 8192];

	memset((void *)frame, 1, sizeof(frame));
	unit->more[0] = frame[100];
}

Test(fiber, the_stack_can_be_used_to_the_bottom)
{
	struct sc_fiber_pool pool = {0};
	struct unit *unit;

	start(USABLE, 0);
	unit = (struct unit *)sc_fiber_take(&pool);
	unit->job = fill_stack;
	run(&self, unit);
	cr_assert_eq(unit->more[0], 1);
	unit->job = NULL;
	sc_fiber_give(&pool, &unit->fiber);
	end(&pool);
}

static struct sc_aside area;

static void go_aside(struct unit *unit)
{
	struct sc_fiber *to = unit->resumer;

	at_add_acqrel(&baton, 1);
	sc_fiber_switch_aside(&unit->fiber, &area, to);
	at_add_acqrel(&baton, 1);
	unit->more[0]++;
}

Test(fiber, aside_resumes_by_the_ordinary_switch)
{
	struct sc_fiber_pool pool = {0};
	struct unit *unit;

	start(USABLE, 0);
	unit = (struct unit *)sc_fiber_take(&pool);
	unit->job = go_aside;
	unit->more[0] = 0;
	run(&self, unit);
	cr_assert_eq(unit->more[0], 0);
	run(&self, unit);
	cr_assert_eq(unit->more[0], 1);
	unit->job = NULL;
	sc_fiber_give(&pool, &unit->fiber);
	end(&pool);
}

Test(fiber, a_fiber_of_its_own_size)
{
	struct sc_fiber_pool pool = {0};
	struct unit *unit;

	start(USABLE, 0);
	unit = (struct unit *)sc_fiber_new(1 << 20);
	cr_assert_not_null(unit);
	cr_assert(unit->fiber.stack_high - unit->fiber.stack_low >= 1 << 20);
	cr_assert_eq(sc_fiber_live(), 1);
	run(&self, unit);
	cr_assert_eq(unit->runs, 1);
	cr_assert(sc_fiber_of_guard(unit->fiber.stack_low - 1) == &unit->fiber);
	cr_assert_null(sc_fiber_of_guard(unit->fiber.stack_low));
	sc_fiber_free(&unit->fiber);
	end(&pool);
}

/* ---- pools ---- */

Test(fiber, the_pool_recycles_last_in_first_out)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber[100];
	int i;

	start(USABLE, 0);
	for (i = 0; i < 100; i++)
		fiber[i] = sc_fiber_take(&pool);
	cr_assert_eq(sc_fiber_live(), 100);
	for (i = 0; i < 100; i++)
		sc_fiber_give(&pool, fiber[i]);
	cr_assert_eq(sc_fiber_live(), 0);
	for (i = 99; i >= 0; i--)
		cr_assert(sc_fiber_take(&pool) == fiber[i]);
	for (i = 0; i < 100; i++)
		sc_fiber_give(&pool, fiber[i]);
	cr_assert_eq(sc_fiber_made(), 100);
	end(&pool);
}

Test(fiber, batches_move_between_pools)
{
	enum { COUNT = 5 * BATCH + 7 };
	struct sc_fiber_pool one = {0}, two = {0};
	struct sc_fiber *fiber[COUNT];
	int i;

	start(USABLE, 0);
	for (i = 0; i < COUNT; i++)
		fiber[i] = sc_fiber_take(&one);
	for (i = 0; i < COUNT; i++)
		sc_fiber_give(&two, fiber[i]);
	cr_assert_eq(sc_fiber_live(), 0);
	for (i = 0; i < COUNT - 2 * BATCH; i++)
		fiber[i] = sc_fiber_take(&one);
	/* what is in `two` can't be reached, so the rest is new */
	cr_assert(sc_fiber_made() <= COUNT + 2 * BATCH);
	cr_assert_eq(sc_fiber_live(), COUNT - 2 * BATCH);
	for (i = 0; i < COUNT - 2 * BATCH; i++)
		sc_fiber_give(&two, fiber[i]);
	cr_assert(one.count + (one.spare ? BATCH : 0) <= 2 * BATCH);
	cr_assert(two.count + (two.spare ? BATCH : 0) <= 2 * BATCH);
	sc_fiber_drain(&two);
	cr_assert_eq(sc_fiber_live(), 0);
	/* everything is free now: nothing new is needed */
	for (i = 0; i < COUNT; i++)
		fiber[i] = sc_fiber_take(&one);
	cr_assert(sc_fiber_made() <= COUNT + 2 * BATCH);
	for (i = 0; i < COUNT; i++)
		sc_fiber_give(&one, fiber[i]);
	end(&one);
}

enum { HANDED = 300 };
static struct unit *handed[HANDED];

/* Another thread: continues fibers that the first one suspended, and gives them to its pool. */
static void run_handed(void *arg)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber own;
	int i;

	(void)arg;
	at_add_acqrel(&baton, 1);
	sc_fiber_adopt(&own);
	for (i = 0; i < HANDED; i++) {
		run(&own, handed[i]);
		sc_fiber_give(&pool, &handed[i]->fiber);
	}
	sc_fiber_drain(&pool);
	sc_fiber_release(&own);
	at_add_acqrel(&baton, 1);
}

Test(fiber, another_thread_may_resume_and_give)
{
	struct sc_fiber_pool pool = {0};
	struct sc_thread thread;
	int i, round;

	start(USABLE, 0);
	for (round = 0; round < 3; round++) {
		for (i = 0; i < HANDED; i++) {
			handed[i] = (struct unit *)sc_fiber_take(&pool);
			run(&self, handed[i]);
		}
		at_add_acqrel(&baton, 1);
		cr_assert_eq(sc_os.thread_start(&thread, run_handed, NULL), 0);
		sc_os.thread_join(&thread);
		at_add_acqrel(&baton, 1);
		cr_assert_eq(sc_fiber_live(), 0);
	}
	cr_assert(sc_fiber_made() <= HANDED + 2 * BATCH);
	end(&pool);
}

enum { CHURNS = 20000 };

static void churn(void *arg)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber[200];
	unsigned i, seed = (unsigned)(uintptr_t)arg, held = 0;

	for (i = 0; i < CHURNS; i++) {
		seed = seed * 1664525 + 1013904223;
		if (held && (held == 200 || seed >> 31))
			sc_fiber_give(&pool, fiber[--held]);
		else
			fiber[held++] = sc_fiber_take(&pool);
		if (seed >> 8 << 8 == 0)
			sc_fiber_drain(&pool);
	}
	while (held)
		sc_fiber_give(&pool, fiber[--held]);
	sc_fiber_drain(&pool);
}

Test(fiber, threads_take_and_give_at_once)
{
	struct sc_fiber_pool pool = {0};
	struct sc_thread thread[4];
	uintptr_t i;

	start(USABLE, 0);
	for (i = 0; i < 4; i++)
		cr_assert_eq(sc_os.thread_start(&thread[i], churn, (void *)(i + 1)), 0);
	for (i = 0; i < 4; i++)
		sc_os.thread_join(&thread[i]);
	cr_assert_eq(sc_fiber_live(), 0);
	end(&pool);
}

/* ---- guards ---- */

static struct unit *victim;

static void name_victim(const void *address, const void *sp)
{
	if (sc_fiber_overflowed(&victim->fiber, address, sp))
		_exit(42);
}

static int overflow(int depth)
{
	volatile char frame[512];

	frame[0] = (char)depth;
	return depth ? overflow(depth - 1) + frame[0] : 0;
}

static void overflow_job(struct unit *unit)
{
	unit->more[0] = (char)overflow(1 << 20);
}

static void overflow_victim(void)
{
	static char signal_stack[SC_SIGSTACK_SIZE];

	sc_os_sigstack_install(signal_stack);
	sc_os_fault_install(name_victim);
	run(&self, victim);
}

Test(fiber, an_overflow_is_recognised)
{
#ifdef SC_TSAN
	/* In a fork with fibers it no longer sees what orders them. */
	cr_skip("not under ThreadSanitizer");
#endif
	struct sc_fiber_pool pool = {0};
	struct unit *other;

	start(USABLE, 0);
	other = (struct unit *)sc_fiber_take(&pool);
	victim = (struct unit *)sc_fiber_take(&pool);
	victim->job = overflow_job;
	cr_assert_eq(in_child(overflow_victim), 42);
	victim->job = NULL;
	sc_fiber_give(&pool, &other->fiber);
	sc_fiber_give(&pool, &victim->fiber);
	end(&pool);
}

Test(fiber, of_guard_knows_guards_only)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber;
	char *guard;

	start(USABLE, 0);
	fiber = sc_fiber_take(&pool);
	guard = fiber->stack_low - SC_GUARD_SIZE;
	cr_assert(sc_fiber_of_guard(guard) == fiber);
	cr_assert(sc_fiber_of_guard(fiber->stack_low - 1) == fiber);
	cr_assert_null(sc_fiber_of_guard(guard - 1));
	cr_assert_null(sc_fiber_of_guard(fiber->stack_low));
	cr_assert_null(sc_fiber_of_guard(&pool));
	cr_assert_null(sc_fiber_of_guard(NULL));
	sc_fiber_give(&pool, fiber);
	cr_assert(sc_fiber_of_guard(guard) == fiber);
	end(&pool);
	cr_assert_null(sc_fiber_of_guard(guard));
}

Test(fiber, overflows_are_told_from_wild_accesses)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *below, *fiber, *elsewhere;
	char *low;

	start(USABLE, 0);
	below = sc_fiber_take(&pool);
	fiber = sc_fiber_take(&pool);
	elsewhere = sc_fiber_new(USABLE);
	low = fiber->stack_low;
	cr_assert(low - SC_GUARD_SIZE >= below->stack_high);
	/* A frame that is pushed, one that is touched at its lower end, a signal's. */
	cr_expect(sc_fiber_overflowed(fiber, low - 8, low));
	cr_expect(sc_fiber_overflowed(fiber, low - 120 * 1024, low - 120 * 1024));
	cr_expect(sc_fiber_overflowed(fiber, low - 3000, low + 500));
	/* Far below, beyond the guard; and another fiber's, while a switch is under way. */
	cr_expect(sc_fiber_overflowed(fiber, low - (1 << 20), low - (1 << 20) - 100));
	cr_expect(sc_fiber_overflowed(elsewhere, low - 8, low));
	/* A pointer that went astray. */
	cr_expect_not(sc_fiber_overflowed(fiber, NULL, low + 5000));
	cr_expect_not(sc_fiber_overflowed(fiber, NULL, low + 100));
	cr_expect_not(sc_fiber_overflowed(fiber, below->stack_low - 8, low + 5000));
	cr_expect_not(sc_fiber_overflowed(fiber, elsewhere->stack_low - 8, low + 5000));
	cr_expect_not(sc_fiber_overflowed(fiber, low - (1 << 20), low + 5000));
	/* Its own stack may end where the other's guard begins. */
	cr_expect_not(sc_fiber_overflowed(below, low - 8, below->stack_high));
	sc_fiber_free(elsewhere);
	sc_fiber_give(&pool, below);
	sc_fiber_give(&pool, fiber);
	end(&pool);
}

/* ---- what the system refuses ---- */

static int refused, reserved; /* reserved: reservations that were not released */

static void *reserve(size_t size)
{
	void *memory = refused ? NULL : sc_os_system.reserve(size);

	reserved += memory != NULL;
	return memory;
}

static void release(void *memory, size_t size)
{
	reserved--;
	sc_os_system.release(memory, size);
}

static int commit(void *memory, size_t size)
{
	return refused ? -ENOMEM : sc_os_system.commit(memory, size);
}

static int guard(void *memory, size_t size)
{
	return refused ? -ENOMEM : sc_os_system.guard(memory, size);
}

static void count_reservations(void)
{
	refused = 0;
	reserved = 0;
	sc_os.reserve = reserve;
	sc_os.release = release;
}

Test(fiber, without_address_space_init_fails)
{
	count_reservations();
	refused = 1;
	cr_expect_eq(sc_fiber_init(USABLE, 0, CARD, entry, 0), -ENOMEM);
	sc_os = sc_os_system;
}

Test(fiber, without_memory_take_fails_and_recovers)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber;

	count_reservations();
	start(USABLE, 0);
	sc_os.commit = commit;
	refused = 1;
	cr_expect_null(sc_fiber_take(&pool));
	cr_expect_null(sc_fiber_new(USABLE));
	cr_expect_eq(sc_fiber_live(), 0);
	refused = 0;
	fiber = sc_fiber_take(&pool);
	cr_expect_not_null(fiber);
	refused = 1;
	cr_expect_null(sc_fiber_new(USABLE));
	cr_expect_eq(reserved, 1);
	sc_fiber_give(&pool, fiber);
	end(&pool);
	cr_expect_eq(reserved, 0);
}

Test(fiber, without_guards_take_fails_and_recovers)
{
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *fiber;

	count_reservations();
	start(USABLE, 0);
	sc_os.guard = guard;
	refused = 1;
	cr_expect_null(sc_fiber_take(&pool));
	cr_expect_null(sc_fiber_take(&pool));
	cr_expect_null(sc_fiber_new(USABLE));
	cr_expect_eq(sc_fiber_live(), 0);
	refused = 0;
	fiber = sc_fiber_take(&pool);
	cr_assert_not_null(fiber);
	cr_expect_eq(fiber->index, 0);
	cr_expect(fiber->guarded);
	refused = 1;
	cr_expect_null(sc_fiber_take(&pool));
	sc_fiber_give(&pool, fiber);
	end(&pool);
	cr_expect_eq(reserved, 0);
}

Test(fiber, unguarded_stacks_have_to_be_allowed)
{
	struct sc_fiber_pool pool = {0};
	struct unit *unit;

	start(USABLE, SC_FIBER_UNGUARDED);
	sc_os.guard = guard;
	refused = 1;
	unit = (struct unit *)sc_fiber_take(&pool);
	cr_assert_not_null(unit);
	cr_expect(!unit->fiber.guarded);
	run(&self, unit);
	sc_fiber_give(&pool, &unit->fiber);
	end(&pool);
}

static void *reserve_little(size_t size)
{
	return size > 50 * (size_t)USABLE ? NULL : sc_os_system.reserve(size);
}

Test(fiber, more_regions_follow_when_one_is_full)
{
	enum { COUNT = 200 };
	struct sc_fiber_pool pool = {0};
	struct unit *unit[COUNT];
	int i;

	sc_os.reserve = reserve_little;
	start(USABLE, 0);
	for (i = 0; i < COUNT; i++) {
		unit[i] = (struct unit *)sc_fiber_take(&pool);
		cr_assert_not_null(unit[i]);
		run(&self, unit[i]);
	}
	cr_assert(unit[COUNT - 1]->fiber.index < 50);
	for (i = 0; i < COUNT; i++) {
		cr_assert(sc_fiber_of_guard(unit[i]->fiber.stack_low - 1) == &unit[i]->fiber);
		sc_fiber_give(&pool, &unit[i]->fiber);
	}
	end(&pool);
}

/* ---- size ---- */

static size_t resident(void)
{
	unsigned long total = 0, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	cr_assert_not_null(file);
	cr_assert_eq(fscanf(file, "%lu %lu", &total, &pages), 2);
	fclose(file);
	return pages * sc_os_page_size();
}

Test(fiber, a_parked_fiber_keeps_one_page)
{
#ifdef SC_CHECKED
	const int many = 2000;
#else
	const int many = sc_os_address_limit() == SIZE_MAX ? 100000 : 2000;
#endif
	struct sc_fiber_pool pool = {0};
	struct sc_fiber *list = NULL, *fiber;
	size_t before, each;
	int i;

	/* Where guards are mappings there are not enough for so many. */
	start(256 * 1024, SC_FIBER_UNGUARDED);
	before = resident();
	for (i = 0; i < many; i++) {
		fiber = sc_fiber_take(&pool);
		cr_assert_not_null(fiber, "after %d", i);
		run(&self, (struct unit *)fiber);
		fiber->next = list;
		list = fiber;
	}
	each = (resident() - before) / many;
#ifndef SC_CHECKED
	cr_expect(each <= 4300, "%zu bytes each", each);
#endif
	(void)each;
	cr_assert_eq(sc_fiber_live(), many);
	while ((fiber = list)) {
		list = fiber->next;
		sc_fiber_give(&pool, fiber);
	}
	end(&pool);
}
