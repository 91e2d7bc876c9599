/* tests/api/test_sync.c: locks between tasks: order, hand-over, cancel: rules X1, X2, X6. */
#include "task_check.h"

#include <scope_sync.h>

TestSuite(sync, .timeout = 60);

enum { WAITERS = 4, ROUNDS = SIMULATED ? 3 : CHECKED ? 200 : 5000 };

/* ---- the waits, one after the other ------------------------------------------------- */

enum wait {
	MUTEX,
	COND,
	WRITE,
	READ,
	SEMAPHORE,
	EVENT,
	EVENT_UNTIL,
	BARRIER,
	ONCE,
	WAITS
};

static struct things {
	struct scope_mutex mutex, held, guard;
	struct scope_cond cond;
	struct scope_rwlock rwlock;
	struct scope_semaphore semaphore;
	struct scope_event event;
	struct scope_barrier barrier;
	struct scope_once once;
	int result[WAITS];
} things;

static int wait_for(enum wait wait)
{
	int rc;

	switch (wait) {
	case MUTEX:
		return scope_mutex_lock(&things.mutex);
	case COND:
		/* Not locked, it fails before it could wait. */
		rc = scope_mutex_try_lock(&things.guard);
		if (rc == -ENOTCONN)
			return scope_cond_wait(&things.cond, &things.guard);
		CHECK_EQ(rc, 0);
		rc = scope_cond_wait(&things.cond, &things.guard);
		CHECK_EQ(scope_mutex_unlock(&things.guard), 0); /* held, whatever it returned */
		return rc;
	case WRITE:
		return scope_rwlock_lock(&things.rwlock);
	case READ:
		return scope_rwlock_lock_shared(&things.rwlock);
	case SEMAPHORE:
		return scope_semaphore_acquire(&things.semaphore);
	case EVENT:
		return scope_event_wait(&things.event);
	case EVENT_UNTIL:
		return scope_event_wait_until(&things.event, SCOPE_NEVER);
	case BARRIER:
		return scope_barrier_wait(&things.barrier);
	default:
		return scope_once_run(&things.once, never_called, NULL);
	}
}

static int sleeps_for_good(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

/* Has all of them stand in the way of who comes, until it is cancelled. */
static int holder(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_rwlock_lock(&things.rwlock), 0);
	CHECK_EQ(scope_once_run(&things.once, sleeps_for_good, NULL), -ECANCELED);
	CHECK_EQ(scope_rwlock_unlock(&things.rwlock), 0);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
	return 0;
}

static void block_all(struct scope *s)
{
	things = (struct things){.result = {0}};
	scope_barrier_init(&things.barrier, 2);
	scope_open(s);
	CHECK_EQ(scope_spawn(s, holder, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
}

static void unblock(struct scope *s)
{
	scope_cancel(s);
	CHECK_EQ(scope_close(s), 0);
}

/* The waits are numbered by the addresses of their results. */
static int waits(void *arg)
{
	int *result = arg;

	*result = wait_for((enum wait)(result - things.result));
	return 0;
}

static int waits_softly(void *arg)
{
	CHECK_EQ(scope_soft_begin(), 0);
	waits(arg);
	return scope_soft_end();
}

static void spawn_waits(struct scope *s, scope_task_fn *fn)
{
	int i;

	scope_open(s);
	for (i = 0; i < WAITS; i++) {
		/* One guard serves for all that wait at the condition. */
		things.result[i] = 1;
		CHECK_EQ(scope_spawn(s, fn, &things.result[i]), 0);
	}
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	for (i = 0; i < WAITS; i++)
		CHECK_EQ(things.result[i], 1); /* all are parked */
}

static void check_results(int want)
{
	int i;

	for (i = 0; i < WAITS; i++)
		CHECK_EQ(things.result[i], want);
}

/* Nobody was given anything: what was blocked is free, with nobody in a queue. */
static void check_free(void)
{
	CHECK_EQ(scope_mutex_try_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
	CHECK_EQ(scope_rwlock_try_lock(&things.rwlock), 0);
	CHECK_EQ(scope_rwlock_unlock(&things.rwlock), 0);
	CHECK_EQ(scope_semaphore_release(&things.semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&things.semaphore), 0);
	CHECK_EQ(scope_once_run(&things.once, count, NULL), 0);
}

static int cancels_all(void *arg)
{
	struct scope holding, s;

	(void)arg;
	block_all(&holding);
	spawn_waits(&s, waits);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	check_results(-ECANCELED);
	unblock(&holding);
	check_free();
	return 0;
}

Test(sync, C3_parked_in_a_wait_that_is_cancelled_ecanceled)
{
	must_run(cancels_all, NULL);
}

static int calls_in_cancelled_place(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	things = (struct things){.result = {0}};
	scope_semaphore_init(&things.semaphore, 1);
	scope_event_set(&things.event);
	CHECK_EQ(scope_mutex_lock(&things.guard), 0);
	scope_open(&s);
	scope_cancel(&s);
	for (i = 0; i < WAITS; i++)
		CHECK_EQ(i == COND ? scope_cond_wait(&things.cond, &things.guard)
				   : wait_for((enum wait)i), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_mutex_unlock(&things.guard), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&things.semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&things.semaphore), -EAGAIN);
	check_free();
	return 0;
}

Test(sync, C2_free_things_are_left_alone_in_a_cancelled_place_ecanceled)
{
	must_run(calls_in_cancelled_place, NULL);
}

static int stops_all(void *arg)
{
	struct scope holding, s;

	(void)arg;
	block_all(&holding);
	spawn_waits(&s, waits_softly);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	check_results(-ESHUTDOWN);
	unblock(&holding);
	check_free();
	return 0;
}

Test(sync, G2_in_a_soft_region_eshutdown)
{
	must_run(stops_all, NULL);
}

Test(sync, S2_outside_a_run_enotconn)
{
	int i;

	things = (struct things){.result = {0}};
	for (i = 0; i < WAITS; i++)
		cr_assert_eq(wait_for((enum wait)i), -ENOTCONN);
	cr_assert_eq(scope_mutex_try_lock(&things.mutex), -ENOTCONN);
	cr_assert_eq(scope_mutex_unlock(&things.mutex), -ENOTCONN);
	cr_assert_eq(scope_rwlock_try_lock(&things.rwlock), -ENOTCONN);
	cr_assert_eq(scope_rwlock_try_lock_shared(&things.rwlock), -ENOTCONN);
	cr_assert_eq(scope_rwlock_unlock(&things.rwlock), -ENOTCONN);
	cr_assert_eq(scope_rwlock_unlock_shared(&things.rwlock), -ENOTCONN);
	cr_assert_eq(scope_semaphore_try_acquire(&things.semaphore), -ENOTCONN);
	cr_assert_eq(scope_semaphore_release(&things.semaphore), -ENOTCONN);
	scope_event_set(&things.event);
	cr_assert(!scope_event_is_set(&things.event), "it did nothing");
	scope_event_clear(&things.event);
	scope_cond_signal(&things.cond);
	scope_cond_broadcast(&things.cond);
}

/* ---- order and hand-over ------------------------------------------------------------ */

static struct line {
	struct scope_mutex mutex;
	struct scope_semaphore semaphore;
	int order[WAITERS], came;
} line;

static int locks_in_turn(void *arg)
{
	int number = (int)(intptr_t)arg;

	CHECK_EQ(scope_sleep_for((number + 1) * SCOPE_MS), 0);
	CHECK_EQ(scope_mutex_lock(&line.mutex), 0);
	line.order[line.came++] = number;
	return scope_mutex_unlock(&line.mutex);
}

static int acquires_in_turn(void *arg)
{
	int number = (int)(intptr_t)arg;

	CHECK_EQ(scope_sleep_for((number + 1) * SCOPE_MS), 0);
	CHECK_EQ(scope_semaphore_acquire(&line.semaphore), 0);
	CHECK_EQ(scope_mutex_lock(&line.mutex), 0);
	line.order[line.came++] = number;
	CHECK_EQ(scope_mutex_unlock(&line.mutex), 0);
	return scope_semaphore_release(&line.semaphore);
}

static void spawn_line(struct scope *s, scope_task_fn *fn)
{
	intptr_t i;

	line = (struct line){.came = 0};
	scope_open(s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(s, fn, (void *)i), 0);
}

static void check_line(struct scope *s)
{
	int i;

	CHECK_EQ(scope_close(s), 0);
	CHECK_EQ(line.came, WAITERS);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(line.order[i], i);
}

static int lines_up(void *arg)
{
	struct scope s;

	(void)arg;
	spawn_line(&s, locks_in_turn);
	CHECK_EQ(scope_mutex_lock(&line.mutex), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_mutex_try_lock(&line.mutex), -EDEADLK);
	CHECK_EQ(scope_mutex_unlock(&line.mutex), 0);
	/* It is another's by now, even if that one has not run yet. */
	CHECK(scope_mutex_unlock(&line.mutex) == -EPERM);
	check_line(&s);

	spawn_line(&s, acquires_in_turn);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_semaphore_release(&line.semaphore), 0);
	check_line(&s);
	CHECK_EQ(scope_semaphore_try_acquire(&line.semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&line.semaphore), -EAGAIN);
	return 0;
}

Test(sync, X1_waiters_are_served_in_the_order_of_coming)
{
	must_run(lines_up, NULL);
}

static int acquires_then_checks(void *arg)
{
	int *seen = arg;

	seen[0] = scope_semaphore_acquire(&things.semaphore);
	seen[1] = scope_checkpoint();
	return 0;
}

/* With one worker the chosen one can't run in between. */
static int choose_then_cancel(void *arg)
{
	int seen[2] = {1, 1};
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, acquires_then_checks, seen), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_semaphore_release(&things.semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&things.semaphore), -EAGAIN);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(seen[0], 0);
	CHECK_EQ(seen[1], -ECANCELED);
	return 0;
}

Test(sync, X2_who_was_chosen_keeps_the_permit_in_spite_of_a_cancel)
{
	cr_assert_eq(run(choose_then_cancel, NULL, 1), 0);
}

static int cancel_then_choose(void *arg)
{
	int first[2] = {1, 1}, second[2] = {1, 1};
	struct scope outer, s;

	(void)arg;
	things = (struct things){.result = {0}};
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, acquires_then_checks, first), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn_with(&outer, acquires_then_checks, second, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	/* The first has not left the queue yet, perhaps. */
	CHECK_EQ(scope_semaphore_release(&things.semaphore), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(first[0], -ECANCELED);
	CHECK_EQ(second[0], 0);
	return 0;
}

Test(sync, X2_who_was_cancelled_first_is_passed_over)
{
	must_run(cancel_then_choose, NULL);
}

/* ---- mutex -------------------------------------------------------------------------- */

static struct tally {
	struct scope_mutex mutex;
	long count;
	atomic_long done;
	int inside;
} tally;

static int adds(void *arg)
{
	int i;

	for (i = 0; i < ROUNDS; i++) {
		int rc = scope_mutex_lock(&tally.mutex);

		if (rc == -ECANCELED)
			return rc;
		CHECK_EQ(rc, 0);
		CHECK_EQ(tally.inside++, 0);
		tally.count++;
		atomic_fetch_add(&tally.done, 1);
		if (arg && i % 3 == 0)
			scope_yield();
		CHECK_EQ(--tally.inside, 0);
		CHECK_EQ(scope_mutex_unlock(&tally.mutex), 0);
	}
	return 0;
}

static int count_under_mutex(void *arg)
{
	struct scope s;
	int i;

	tally = (struct tally){.count = 0};
	scope_open(&s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(&s, adds, arg), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(tally.count, (long)WAITERS * ROUNDS);
	return 0;
}

Test(sync, X6_one_task_at_a_time_holds_a_mutex)
{
	must_run(count_under_mutex, NULL);
	must_run(count_under_mutex, "yields while it holds it");
}

static int cancels_some(void *arg)
{
	struct scope s[WAITERS];
	int i, round;

	(void)arg;
	for (round = 0; round < (SIMULATED ? 1 : 20); round++) {
		tally = (struct tally){.count = 0};
		for (i = 0; i < WAITERS; i++) {
			scope_open(&s[i]);
			CHECK_EQ(scope_spawn_with(&s[i], adds, "yields", &concurrent), 0);
			CHECK_EQ(scope_spawn_with(&s[i], adds, "yields", &concurrent), 0);
		}
		for (i = 0; i < WAITERS; i += 2) {
			scope_yield();
			scope_cancel(&s[i]);
		}
		for (i = WAITERS - 1; i >= 0; i--) {
			int rc = scope_close(&s[i]);

			CHECK(rc == 0 || (i > 0 && rc == -ECANCELED));
		}
		CHECK_EQ(tally.count, atomic_load(&tally.done));
		CHECK_EQ(scope_mutex_try_lock(&tally.mutex), 0);
		CHECK_EQ(scope_mutex_unlock(&tally.mutex), 0);
	}
	return 0;
}

Test(sync, X6_a_mutex_outlives_the_cancel_of_those_who_wait_for_it)
{
	must_run(cancels_some, NULL);
}

static int misuses(void *arg)
{
	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_mutex_unlock(&things.mutex), -EPERM);
	CHECK_EQ(scope_cond_wait(&things.cond, &things.mutex), -EPERM);
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_lock(&things.held), 0); /* not given back in the order of taking */
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_unlock(&things.held), 0);
	CHECK_EQ(scope_rwlock_unlock(&things.rwlock), -EPERM);
	CHECK_EQ(scope_rwlock_unlock_shared(&things.rwlock), -EPERM);
	return 0;
}

Test(sync, X6_unlocked_by_who_does_not_hold_it_eperm)
{
	must_run(misuses, NULL);
}

static int tries_others(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_mutex_unlock(&things.mutex), -EPERM);
	CHECK_EQ(scope_mutex_try_lock(&things.mutex), -EBUSY);
	CHECK_EQ(scope_cond_wait(&things.cond, &things.mutex), -EPERM);
	CHECK_EQ(scope_rwlock_unlock(&things.rwlock), -EPERM);
	CHECK_EQ(scope_rwlock_try_lock(&things.rwlock), -EBUSY);
	CHECK_EQ(scope_rwlock_try_lock_shared(&things.rwlock), -EBUSY);
	return 0;
}

static int lets_others_try(void *arg)
{
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_rwlock_lock(&things.rwlock), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, tries_others, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_rwlock_unlock(&things.rwlock), 0);
	return scope_mutex_unlock(&things.mutex);
}

Test(sync, X6_a_child_on_its_parents_stack_is_another_task_eperm)
{
	must_run(lets_others_try, NULL);
}

Test(sync, X6_held_by_another_ebusy)
{
	must_run(lets_others_try, NULL);
}

static int relocks(void *arg)
{
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_lock(&things.mutex), -EDEADLK);
	CHECK_EQ(scope_mutex_try_lock(&things.mutex), -EDEADLK);
	scope_open(&s); /* the same task, further in */
	CHECK_EQ(scope_mutex_lock(&things.mutex), -EDEADLK);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
	CHECK_EQ(scope_rwlock_lock(&things.rwlock), 0);
	CHECK_EQ(scope_rwlock_lock(&things.rwlock), -EDEADLK);
	CHECK_EQ(scope_rwlock_lock_shared(&things.rwlock), -EDEADLK);
	return scope_rwlock_unlock(&things.rwlock);
}

Test(sync, X6_locked_again_edeadlk)
{
	must_run(relocks, NULL);
}

/* ---- a task that ends with a mutex -------------------------------------------------- */

static int locks_and_ends(void *arg)
{
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_lock(&things.held), 0);
	if (arg)
		CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_mutex_unlock(&things.held), 0);
	return 0;
}

static int wants_it(void *arg)
{
	int *result = arg;

	*result = scope_mutex_lock(&things.mutex);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), -EPERM);
	return 0;
}

static void check_forsaken(struct scope *s, const int *result)
{
	CHECK_EQ(scope_close(s), -EPROTO);
	CHECK_EQ(scope_last_error()->site_kind, SCOPE_SITE_LOCK);
	CHECK_EQ(result[0], -EOWNERDEAD);
	CHECK_EQ(result[1], -EOWNERDEAD);
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
}

static int dies_on_its_own_stack(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	int result[2] = {1, 1};
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, locks_and_ends, "sleeps"), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, wants_it, &result[0]), 0);
	CHECK_EQ(scope_spawn(&s, wants_it, &result[1]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	check_forsaken(&s, result);
	return 0;
}

Test(sync, X6_the_holder_ends_eownerdead)
{
	must_run(dies_on_its_own_stack, NULL);
}

/* Nobody waits: the task fails all the same, and the mutex is free. */
static int dies_alone(void *arg)
{
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, locks_and_ends, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	return scope_mutex_try_lock(&things.mutex) || scope_mutex_unlock(&things.mutex);
}

Test(sync, X6_a_task_that_ends_with_a_mutex_fails)
{
	must_run(dies_alone, NULL);
}

/* What the parent holds is no sibling's. */
static int parent_goes_on(void *arg)
{
	struct scope s;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_mutex_lock(&things.guard), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, locks_and_ends, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(scope_mutex_try_lock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_unlock(&things.mutex), 0);
	CHECK_EQ(scope_mutex_try_lock(&things.guard), -EDEADLK);
	return scope_mutex_unlock(&things.guard);
}

Test(sync, X6_the_parent_of_one_that_ended_keeps_what_it_holds)
{
	must_run(parent_goes_on, NULL);
}

static int siblings_lock(void *arg)
{
	(void)arg;
	/* Or that of the one before, who ran on this stack by the same name. */
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	return 0;
}

static int dies_inlined(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	struct scope s;
	int i;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn(&s, siblings_lock, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	return scope_mutex_try_lock(&things.mutex) || scope_mutex_unlock(&things.mutex);
}

Test(sync, X6_one_inlined_sibling_after_the_other_ends_with_it)
{
	cr_assert_eq(run(dies_inlined, NULL, 1), 0);
}

static int unlocks_what_a_sibling_held(void *arg)
{
	(void)arg;
	return scope_mutex_unlock(&things.mutex) == -EPERM ? 0 : -EBADMSG;
}

static int sleeps_long(void *arg)
{
	(void)arg;
	return scope_sleep_for(SCOPE_SEC);
}

static int locks_a_little_later(void *arg)
{
	int64_t *when = arg;

	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	*when = scope_now();
	return scope_mutex_unlock(&things.mutex);
}

static int waits_for_the_event(void *arg)
{
	(void)arg;
	return scope_event_wait(&things.event);
}

static int locks_and_sets(void *arg)
{
	CHECK_EQ(locks_a_little_later(arg), 0);
	scope_event_set(&things.event);
	return 0;
}

/* A task ends inlined with the mutex held, another one wants it, and others run on top. */
struct burial {
	scope_task_fn *wants, *children[3]; /* the last one runs first */
	int yields;
};

static int is_buried(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	const struct burial *burial = arg;
	int64_t start = scope_now(), when = 0;
	struct scope outer, s;
	int i;

	things = (struct things){.result = {0}};
	scope_open(&outer);
	CHECK_EQ(scope_spawn_with(&outer, burial->wants, &when, &concurrent), 0);
	if (burial->yields)
		CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	for (i = 0; i < 3 && burial->children[i]; i++)
		CHECK_EQ(scope_spawn(&s, burial->children[i], NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(when, start + SCOPE_MS);
	return 0;
}

/* What it held is taken back at the latest when one of the others parks. */
Test(sync, X6_what_a_buried_sibling_held_is_nobodys)
{
	struct burial burial = {
		.wants = locks_a_little_later,
		.children = {sleeps_long, unlocks_what_a_sibling_held, siblings_lock}};

	cr_assert_eq(run(is_buried, &burial, 1), 0);
}

/* Nor must who parks wait for the one that wants it. */
Test(sync, X6_who_waits_over_a_buried_sibling_gives_back_what_that_held)
{
	struct burial burial = {
		.wants = locks_and_sets,
		.children = {waits_for_the_event, siblings_lock},
		.yields = 1}; /* else the first to run would give way to it */

	cr_assert_eq(run_flags(is_buried, &burial, 1, SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK),
		     0);
}

/* ---- under a shield ------------------------------------------------------------------ */

static int posts_thrice(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_semaphore_release(&things.semaphore), 0);
		CHECK_EQ(scope_yield(), 0);
	}
	return 0;
}

/* Each wait but the first parks with nothing to put aside, and another task is ready. */
static int waits_under_a_shield(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope outer, s;
	int i;

	(void)arg;
	things = (struct things){.result = {0}};
	scope_open(&outer);
	scope_cancel(&outer);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, posts_thrice, NULL, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, posts_thrice, NULL, &concurrent), 0);
	for (i = 0; i < 6; i++)
		CHECK_EQ(scope_semaphore_acquire(&things.semaphore), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(sync, C8_waits_under_a_shield_forget_no_cancel_outside)
{
	must_run(waits_under_a_shield, NULL);
}

/* ---- condition ---------------------------------------------------------------------- */

static struct desk {
	struct scope_mutex mutex;
	struct scope_cond cond;
	int papers, taken, waiting;
} desk;

static int takes_a_paper(void *arg)
{
	int rc;

	(void)arg;
	CHECK_EQ(scope_mutex_lock(&desk.mutex), 0);
	desk.waiting++;
	while (desk.papers == 0) {
		rc = scope_cond_wait(&desk.cond, &desk.mutex);
		CHECK_EQ(rc, 0);
	}
	desk.papers--;
	desk.taken++;
	return scope_mutex_unlock(&desk.mutex);
}

static void put_papers(int papers, int all)
{
	CHECK_EQ(scope_mutex_lock(&desk.mutex), 0);
	desk.papers += papers;
	if (all)
		scope_cond_broadcast(&desk.cond);
	else
		scope_cond_signal(&desk.cond);
	CHECK_EQ(scope_mutex_unlock(&desk.mutex), 0);
}

static int hands_out(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	desk = (struct desk){.papers = 0};
	scope_cond_signal(&desk.cond); /* nobody waits: lost */
	scope_open(&s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(&s, takes_a_paper, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(desk.waiting, WAITERS);
	put_papers(1, 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(desk.taken, 1);
	put_papers(WAITERS - 1, 1);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(desk.taken, WAITERS);
	return 0;
}

Test(sync, X6_a_condition_continues_one_or_all)
{
	must_run(hands_out, NULL);
}

static int waits_at_the_condition(void *arg)
{
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	*(int *)arg = scope_cond_wait(&things.cond, &things.mutex);
	return scope_mutex_unlock(&things.mutex); /* held, whatever it returned */
}

/* The signal is given under a mutex whose holder ends. */
static int signals_and_dies(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_mutex_lock(&things.mutex), 0);
	scope_cond_signal(&things.cond);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return 0;
}

static int condition_without_owner(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	struct scope s;
	int result = 1;

	(void)arg;
	things = (struct things){.result = {0}};
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, waits_at_the_condition, &result), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, signals_and_dies, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(result, -EOWNERDEAD);
	return 0;
}

Test(sync, X6_a_condition_whose_mutex_lost_its_holder_eownerdead)
{
	must_run(condition_without_owner, NULL);
}

/* ---- read-write lock ---------------------------------------------------------------- */

static struct book {
	struct scope_rwlock rwlock;
	atomic_int readers, most_readers;
	int writers, order[3], came;
} book;

static int reads(void *arg)
{
	int readers;

	CHECK_EQ(scope_rwlock_lock_shared(&book.rwlock), 0);
	CHECK_EQ(book.writers, 0);
	readers = atomic_fetch_add(&book.readers, 1) + 1;
	if (readers > atomic_load(&book.most_readers))
		atomic_store(&book.most_readers, readers);
	CHECK_EQ(scope_sleep_for(arg ? SCOPE_SEC : SCOPE_MS), 0);
	CHECK_EQ(book.writers, 0);
	atomic_fetch_sub(&book.readers, 1);
	return scope_rwlock_unlock_shared(&book.rwlock);
}

static int writes(void *arg)
{
	int rc = scope_rwlock_lock(&book.rwlock);

	(void)arg;
	if (rc == -ECANCELED)
		return rc;
	CHECK_EQ(rc, 0);
	CHECK_EQ(atomic_load(&book.readers), 0);
	CHECK_EQ(book.writers++, 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(--book.writers, 0);
	return scope_rwlock_unlock(&book.rwlock);
}

static int reads_and_writes(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	book = (struct book){.writers = 0};
	scope_open(&s);
	for (i = 0; i < 6; i++) {
		CHECK_EQ(scope_spawn(&s, i % 3 ? reads : writes, NULL), 0);
		if (i % 2)
			CHECK_EQ(scope_sleep_for(SCOPE_MS / 2), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK(atomic_load(&book.most_readers) >= 2);
	CHECK_EQ(scope_rwlock_try_lock_shared(&book.rwlock), 0);
	CHECK_EQ(scope_rwlock_try_lock_shared(&book.rwlock), 0);
	CHECK_EQ(scope_rwlock_try_lock(&book.rwlock), -EBUSY);
	CHECK_EQ(scope_rwlock_unlock_shared(&book.rwlock), 0);
	CHECK_EQ(scope_rwlock_unlock_shared(&book.rwlock), 0);
	CHECK_EQ(scope_rwlock_try_lock(&book.rwlock), 0);
	return scope_rwlock_unlock(&book.rwlock);
}

Test(sync, many_readers_or_one_writer)
{
	must_run(reads_and_writes, NULL);
}

/* A reader waits behind a writer that waits; when the writer is cancelled it goes in. */
static int writer_gives_up(void *arg)
{
	struct scope outer, s;

	(void)arg;
	book = (struct book){.writers = 0};
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, reads, "for a second"), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, writes, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_rwlock_try_lock_shared(&book.rwlock), -EBUSY);
	CHECK_EQ(scope_spawn_with(&outer, reads, NULL, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(atomic_load(&book.readers), 1);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS / 2), 0);
	CHECK_EQ(atomic_load(&book.readers), 2);
	return scope_close(&outer);
}

Test(sync, X2_a_writer_that_gives_up_lets_the_readers_behind_it_in)
{
	must_run(writer_gives_up, NULL);
}

/* ---- semaphore, event, barrier, once ------------------------------------------------ */

static int overflows(void *arg)
{
	struct scope_semaphore semaphore;

	(void)arg;
	scope_semaphore_init(&semaphore, 2);
	CHECK_EQ(scope_semaphore_acquire(&semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&semaphore), 0);
	CHECK_EQ(scope_semaphore_try_acquire(&semaphore), -EAGAIN);
	scope_semaphore_init(&semaphore, UINT32_MAX);
	CHECK_EQ(scope_semaphore_release(&semaphore), -EOVERFLOW);
	return 0;
}

Test(sync, no_permit_is_left_eagain)
{
	must_run(overflows, NULL);
}

Test(sync, a_semaphore_is_full_eoverflow)
{
	must_run(overflows, NULL);
}

static int waits_for_event(void *arg)
{
	CHECK_EQ(scope_event_wait(arg), 0);
	return count(NULL);
}

static int sets_event(void *arg)
{
	struct scope_event event = {{0}};
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	CHECK(!scope_event_is_set(&event));
	CHECK_EQ(scope_event_wait_until(&event, 0), -ETIMEDOUT);
	CHECK_EQ(scope_event_wait_until(&event, scope_now() + SCOPE_MS), -ETIMEDOUT);
	scope_open(&s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(&s, waits_for_event, &event), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(ran, 0);
	scope_event_set(&event);
	CHECK(scope_event_is_set(&event));
	CHECK_EQ(scope_event_wait(&event), 0);
	CHECK_EQ(scope_event_wait_until(&event, 0), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, WAITERS);
	scope_event_clear(&event);
	CHECK_EQ(scope_event_wait_until(&event, 0), -ETIMEDOUT);
	return 0;
}

Test(sync, an_event_that_does_not_come_etimedout)
{
	must_run(sets_event, NULL);
}

static struct {
	struct scope_barrier barrier;
	atomic_int came, last;
} gate;

static int passes(void *arg)
{
	int round, rc;

	(void)arg;
	for (round = 1; round <= 3; round++) {
		atomic_fetch_add(&gate.came, 1);
		rc = scope_barrier_wait(&gate.barrier);
		CHECK(rc == 0 || rc == 1);
		atomic_fetch_add(&gate.last, rc);
		CHECK(atomic_load(&gate.came) >= WAITERS * round);
	}
	return 0;
}

static int rounds(void *arg)
{
	struct scope_barrier single = {{0}};
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_barrier_wait(&single), 1);
	atomic_store(&gate.came, 0);
	atomic_store(&gate.last, 0);
	scope_barrier_init(&gate.barrier, WAITERS);
	scope_open(&s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(&s, passes, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(atomic_load(&gate.last), 3);
	return 0;
}

Test(sync, a_barrier_lets_all_go_on_together)
{
	must_run(rounds, NULL);
}

static int comes_once(void *arg)
{
	*(int *)arg = scope_barrier_wait(&gate.barrier);
	return 0;
}

/* Who left does not count: it takes two more. */
static int one_leaves(void *arg)
{
	int left = 2, came[2] = {2, 2};
	struct scope s;

	(void)arg;
	scope_barrier_init(&gate.barrier, 2);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, comes_once, &left), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(left, -ECANCELED);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, comes_once, &came[0]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(came[0], 2);
	CHECK_EQ(scope_spawn(&s, comes_once, &came[1]), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(came[0] + came[1], 1);
	return 0;
}

Test(sync, C6_a_cancelled_task_does_not_count_at_a_barrier)
{
	must_run(one_leaves, NULL);
}

static struct {
	struct scope_once once;
	atomic_int calls, fail;
} init;

static int initialises(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_once_run(&init.once, never_called, NULL), -EDEADLK);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return atomic_fetch_add(&init.calls, 1) < atomic_load(&init.fail) ? -EIO : 0;
}

static int needs_it(void *arg)
{
	int rc = scope_once_run(&init.once, initialises, NULL);

	(void)arg;
	CHECK(rc == 0 || rc == -EIO);
	if (rc == 0)
		count(NULL);
	return 0;
}

static int initialised(void *arg)
{
	int fail = (int)(intptr_t)arg, i;
	struct scope s;

	ran = 0;
	atomic_store(&init.calls, 0);
	atomic_store(&init.fail, fail);
	init.once = (struct scope_once){{0}};
	scope_open(&s);
	for (i = 0; i < WAITERS; i++)
		CHECK_EQ(scope_spawn(&s, needs_it, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(atomic_load(&init.calls), fail + 1);
	CHECK_EQ(ran, WAITERS - fail);
	CHECK_EQ(scope_once_run(&init.once, never_called, NULL), 0);
	return 0;
}

Test(sync, once_is_called_until_it_succeeds_edeadlk)
{
	must_run(initialised, (void *)(intptr_t)0);
	must_run(initialised, (void *)(intptr_t)2);
}
