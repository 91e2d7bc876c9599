/* tests/api/test_steal.c: tasks that were stolen together and run as inlined children. */
#include "task_check.h"

#include <scope_observe.h>
#include <string.h>

enum { TASKS = 64, ROUNDS = SIMULATED ? 4 : 200 }; /* all threads are one in the simulation */

/* Set by a child that ran on another worker's thread than its scope's owner. */
static atomic_int elsewhere;
static _Thread_local int owner_thread;

static void note_where(void)
{
	if (!owner_thread)
		atomic_fetch_add(&elsewhere, 1);
}

static void spin(int turns)
{
	for (volatile int i = 0; i < turns; i++)
		;
}

static int work(void *arg)
{
	(void)arg;
	note_where();
	spin(2000);
	atomic_fetch_add(&ran, 1);
	return 0;
}

/* Scopes of TASKS children until some were stolen: at most ROUNDS. */
static void until_stolen(int (*round)(scope_task_fn *fn), scope_task_fn *fn, int want)
{
	int i;

	elsewhere = 0;
	owner_thread = 1;
	for (i = 0; i < ROUNDS && (i == 0 || !elsewhere); i++)
		CHECK_EQ(round(fn), want);
	/* Nothing to prove where there is nobody to steal. */
	owner_thread = 0;
}

static int plain_round(scope_task_fn *fn)
{
	struct scope s;
	int i;

	scope_open(&s);
	for (i = 0; i < TASKS; i++)
		scope_spawn(&s, fn, &s);
	return scope_close(&s);
}

static int each_once(void *arg)
{
	int rounds;

	(void)arg;
	for (rounds = 0; rounds < 50; rounds++) {
		ran = 0;
		CHECK_EQ(plain_round(work), 0);
		CHECK_EQ(ran, TASKS);
	}
	return 0;
}

Test(steal, P3_every_task_stolen_or_not_runs_once)
{
	cr_assert_eq(run(each_once, NULL, 0), 0);
}

static int works_and_sleeps(void *arg)
{
	work(arg);
	return scope_sleep_for(1000);
}

static int park_round(void *arg)
{
	(void)arg;
	until_stolen(plain_round, works_and_sleeps, 0);
	ran = 0;
	CHECK_EQ(plain_round(works_and_sleeps), 0);
	CHECK_EQ(ran, TASKS);
	return 0;
}

Test(steal, P6_one_that_parks_holds_up_none_that_came_with_it)
{
	cr_assert_eq(run(park_round, NULL, 0), 0);
}

/* Waits for a sibling that may lie unstarted below or above it. */
static atomic_int arrived;

static int waits_for_all(void *arg)
{
	work(arg);
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < TASKS) {
		int rc = scope_sleep_for(1000);

		if (rc < 0)
			return rc;
	}
	return 0;
}

static int barrier_round(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 20; i++) {
		arrived = 0;
		CHECK_EQ(plain_round(waits_for_all), 0);
	}
	return 0;
}

Test(steal, P5_siblings_stolen_together_can_wait_for_each_other)
{
	cr_assert_eq(run(barrier_round, NULL, 0), 0);
}

static int twig(void *arg)
{
	(void)arg;
	spin(2000);
	note_where();
	return owner_thread ? 0 : -EIO;
}

static int error_path(void *arg)
{
	int i, rc = 0;

	(void)arg;
	owner_thread = 1;
	for (i = 0; i < ROUNDS && rc == 0; i++)
		rc = plain_round(twig);
	owner_thread = 0;
	if (rc == 0)
		return 0; /* nothing was stolen */
	CHECK_EQ(rc, -EIO);
	CHECK(scope_last_error() != NULL);
	CHECK(path_is(scope_last_error()->path, "/error_path/twig"));
	CHECK_EQ(scope_last_error()->code, -EIO);
	return 0;
}

Test(steal, E4_the_path_of_a_stolen_task_names_tasks_only)
{
	cr_assert_eq(run(error_path, NULL, 0), 0);
}

static int spawns_beside_and_below(void *arg)
{
	struct scope *outer = arg, below;

	note_where();
	spin(2000);
	CHECK_EQ(scope_spawn(outer, count, NULL), 0);
	scope_open(&below);
	CHECK_EQ(scope_spawn(&below, count, NULL), 0);
	CHECK_EQ(scope_spawn(&below, count, NULL), 0);
	return scope_close(&below);
}

static int spawning_round(void *arg)
{
	int i;

	(void)arg;
	until_stolen(plain_round, spawns_beside_and_below, 0);
	for (i = 0; i < 20; i++) {
		ran = 0;
		CHECK_EQ(plain_round(spawns_beside_and_below), 0);
		CHECK_EQ(ran, 3 * TASKS);
	}
	return 0;
}

Test(steal, S3_stolen_tasks_spawn_into_their_scope_and_below)
{
	cr_assert_eq(run(spawning_round, NULL, 0), 0);
}

static int until_cancelled(void *arg)
{
	int rc;

	note_where();
	if (atomic_fetch_add(&ran, 1) + 1 == TASKS / 4)
		scope_cancel(arg);
	while ((rc = scope_checkpoint()) == 0)
		if (atomic_load(&ran) < TASKS / 4)
			return 0;
	return rc;
}

static int cancel_round(void *arg)
{
	int i;

	(void)arg;
	for (i = 0; i < 50; i++) {
		ran = 0;
		/* A cancel of one's own is no error of the scope (C12). */
		CHECK_EQ(plain_round(until_cancelled), 0);
		CHECK_EQ(scope_checkpoint(), 0);
	}
	return 0;
}

Test(steal, C2_a_cancel_reaches_all_that_were_stolen_together)
{
	cr_assert_eq(run(cancel_round, NULL, 0), 0);
}

/* ---- a hit is charged where it is felt, not when the batch has ended (C12) ---- */

/* The first of five is taken at once by the thief that searches; of the other four the thief's
 * signal, while the owner computes, exposes all, and two are taken together: the one that is hit
 * and, to run after it, the one that changes the tree.  Wherever they run the result is one. */
static struct scope *inner, *outer;
static atomic_int hit_ended;

static int feels_the_cancel(void *arg)
{
	(void)arg;
	while (!scope_cancelled())
		;
	atomic_store(&hit_ended, 1);
	return 0;
}

static int shields_after(void *arg)
{
	(void)arg;
	while (!atomic_load(&hit_ended))
		;
	CHECK_EQ(scope_set_shield(inner, true), 0);
	return 0;
}

static int cancels_outside_after(void *arg)
{
	(void)arg;
	/* Asks too: where it runs in the owner's place it is the one that sees the deadline. */
	while (!atomic_load(&hit_ended))
		scope_cancelled();
	scope_cancel(outer);
	return 0;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void spawn_five(scope_task_fn *second)
{
	int64_t start = real_now();

	hit_ended = 0;
	scope_spawn(inner, nothing, NULL);
	scope_spawn(inner, feels_the_cancel, NULL);
	scope_spawn(inner, second, NULL);
	scope_spawn(inner, nothing, NULL);
	scope_spawn(inner, nothing, NULL);
	while (real_now() - start < 20 * SCOPE_MS)
		;
}

static int hit_from_above(void *arg)
{
	struct scope o, s;

	(void)arg;
	scope_open(outer = &o);
	scope_open(inner = &s);
	spawn_five(shields_after);
	scope_cancel(&o);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&o), 0);
	return 0;
}

Test(steal, C12_a_hit_from_above_is_one_whatever_is_shielded_later)
{
	int i;

	for (i = 0; i < 5; i++)
		cr_assert_eq(run_flags(hit_from_above, NULL, 2, 0), 0);
}

static int hit_of_its_own(void *arg)
{
	struct scope o, s;

	(void)arg;
	scope_open(outer = &o);
	scope_open(inner = &s);
	spawn_five(cancels_outside_after);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&o), 0);
	return 0;
}

Test(steal, C12_an_own_hit_is_one_whatever_is_cancelled_later)
{
	int i;

	for (i = 0; i < 5; i++)
		cr_assert_eq(run_flags(hit_of_its_own, NULL, 2, 0), 0);
}

static int hit_of_a_deadline(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 50 * SCOPE_MS};
	struct scope o, s;

	(void)arg;
	scope_open(outer = &o);
	CHECK_EQ(scope_open_with(inner = &s, &options), 0);
	spawn_five(cancels_outside_after);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	CHECK_EQ(scope_close(&o), 0);
	return 0;
}

Test(steal, C12_a_deadline_that_hit_is_told_whatever_is_cancelled_later)
{
	int i;

	for (i = 0; i < 5; i++)
		cr_assert_eq(run_flags(hit_of_a_deadline, NULL, 2, 0), 0);
}
