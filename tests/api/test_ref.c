/* tests/api/test_ref.c: references, spawners, and work from other threads: rules S5, S8, B4. */
#include "task_check.h"

#include <pthread.h>
#include <scope_ref.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(ref, .timeout = 60);

static int sleep_for_ever(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	atomic_fetch_add(&ran, 1);
	return -ECANCELED;
}

/* ---- S5 --------------------------------------------------------------------------------- */

static int spawns(void *arg)
{
	struct scope_ref ref;
	struct scope s, inner;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	CHECK_EQ(scope_ref_spawn(&ref, count, NULL), 0);
	scope_open(&inner);
	CHECK_EQ(scope_ref_spawn(&ref, count, NULL), 0);
	CHECK_EQ(scope_post(&ref, count, NULL), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 3);
	return 0;
}

Test(ref, S5_spawns_into_its_scope)
{
	must_run(spawns, NULL);
}

static int stale(void *arg)
{
	struct scope_ref first, second, none = {{0}};
	struct scope_spawner spawner, never;
	struct scope *s = malloc(sizeof *s);

	(void)arg;
	CHECK(s != NULL);
	scope_open(s);
	CHECK_EQ(scope_ref_get(s, &first), 0);
	CHECK_EQ(scope_spawner_of(s, &spawner), 0);
	CHECK_EQ(scope_close(s), 0);
	CHECK_EQ(scope_ref_get(s, &second), -ESTALE);
	CHECK_EQ(scope_spawner_of(s, &never), -ESTALE);
	/* Another scope in the same memory, with the entry of the first. */
	scope_open(s);
	CHECK_EQ(scope_ref_get(s, &second), 0);
	CHECK_EQ(scope_ref_spawn(&first, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_post(&first, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_ref_cancel(&first), -ESTALE);
	CHECK_EQ(scope_ref_spawn(&second, count, NULL), 0);
	CHECK_EQ(scope_close(s), 0);
	free(s);
	CHECK_EQ(scope_ref_spawn(&first, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_ref_spawn(&second, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_ref_spawn(&none, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_ref_cancel(&second), -ESTALE);
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, NULL), -ESTALE);
	CHECK_EQ(scope_spawner_spawn(&never, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_spawner_spawn_with(&never, never_called, NULL, NULL), -ESTALE);
	return 0;
}

Test(ref, S5_after_close_and_when_the_memory_is_gone_estale)
{
	must_run(stale, NULL);
}

static int keep_ref(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, arg), 0);
	return scope_close(&s);
}

static int old_ref(void *arg)
{
	CHECK_EQ(scope_ref_spawn(arg, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_ref_cancel(arg), -ESTALE);
	return 0;
}

Test(ref, S5_of_an_earlier_run_estale)
{
	struct scope_ref ref;

	must_run(keep_ref, &ref);
	cr_assert_eq(scope_post(&ref, never_called, NULL), -ESTALE);
	cr_assert_eq(scope_call(&ref, never_called, NULL), -ESTALE);
	cr_assert_eq(scope_ref_cancel(&ref), -ESTALE);
	must_run(old_ref, &ref);
}

static int cancels(void *arg)
{
	struct scope_ref ref;
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	CHECK_EQ(scope_spawner_of(&s, &spawner), 0);
	CHECK_EQ(scope_ref_spawn(&ref, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_ref_cancel(&ref), 0);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_ref_spawn(&ref, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_post(&ref, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, &concurrent), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(ref, S6_S8_cancels_its_scope_ecanceled)
{
	must_run(cancels, NULL);
}

/* In an object, moved meanwhile, closed with its parent. */
static int of_object(void *arg)
{
	struct scope outer, inner, object;
	struct scope_ref ref;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	CHECK_EQ(scope_ref_get(&object, &ref), 0);
	CHECK_EQ(scope_ref_spawn(&ref, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_ref_spawn(&ref, sleep_for_ever, NULL), 0);
	CHECK_EQ(ran, 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 2);
	CHECK_EQ(scope_ref_spawn(&ref, never_called, NULL), -ESTALE);
	return 0;
}

Test(ref, S5_of_a_scope_in_an_object)
{
	must_run(of_object, NULL);
}

/* A task of the closing scope may be another's only reason to be accepted. */
static struct scope_ref late;

static int spawns_late(void *arg)
{
	scope_sleep_for(SCOPE_MS);
	CHECK_EQ(scope_ref_spawn(&late, count, arg), 0);
	return 0;
}

static int closing(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &late), 0);
	CHECK_EQ(scope_spawn(&s, spawns_late, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(ref, S4_S5_into_a_closing_scope)
{
	must_run(closing, NULL);
}

Test(ref, S2_outside_a_run_enotconn)
{
	struct scope_ref ref = {{0}};
	struct scope_spawner spawner = {{0}};
	struct scope s;

	cr_assert_eq(scope_ref_get(&s, &ref), -ENOTCONN);
	cr_assert_eq(scope_ref_spawn(&ref, never_called, NULL), -ENOTCONN);
	cr_assert_eq(scope_spawner_of(&s, &spawner), -ENOTCONN);
	cr_assert_eq(scope_spawner_spawn(&spawner, never_called, NULL), -ENOTCONN);
	cr_assert_eq(scope_spawner_spawn_with(&spawner, never_called, NULL, NULL), -ENOTCONN);
}

/* ---- S8 --------------------------------------------------------------------------------- */

static int callee(const struct scope_spawner *spawner)
{
	static const struct scope_spawn_options options = {.name = "helper", .copy_size = 4};
	int value = 0;

	CHECK_EQ(scope_spawner_spawn(spawner, count, NULL), 0);
	CHECK_EQ(scope_spawner_spawn_with(spawner, fail_with, &value, &options), 0);
	CHECK_EQ(scope_spawner_spawn_with(spawner, count, NULL, NULL), 0);
	return 0;
}

static int hands_over(void *arg)
{
	struct scope_spawner spawner;
	struct scope s, inner;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawner_of(&s, &spawner), 0);
	callee(&spawner);
	scope_open(&inner);
	callee(&spawner);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 4);
	return 0;
}

Test(ref, S8_a_spawner_adds_work)
{
	must_run(hands_over, NULL);
}

static int bad_options(void *arg)
{
	struct scope_spawn_options options = {.flags = 1u << 31};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawner_of(&s, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, &options), -EINVAL);
	return scope_close(&s);
}

Test(ref, S8_with_bad_options_einval)
{
	must_run(bad_options, NULL);
}

/* ---- B4 --------------------------------------------------------------------------------- */

enum { POSTS = CHECKED ? 500 : 20000, THREADS = 3 };

struct poster {
	struct scope_ref ref;
	int accepted;
	atomic_int calls;
};

static int add_one(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return 0;
}

static int give_seven(void *arg)
{
	(void)arg;
	scope_yield();
	return 7;
}

static void *post_until_stale(void *arg)
{
	struct poster *poster = arg;
	int i, rc;

	for (i = 0; (rc = scope_post(&poster->ref, add_one, &ran)) == 0; i++) {
		poster->accepted++;
		if (i % 64 == 0) {
			rc = scope_call(&poster->ref, give_seven, NULL);
			CHECK(rc == 7 || rc == -ESTALE);
			atomic_fetch_add(&poster->calls, rc == 7);
		}
	}
	CHECK_EQ(rc, -ESTALE);
	return NULL;
}

static int closes_meanwhile(void *arg)
{
	struct poster *poster = arg;
	pthread_t thread[THREADS];
	struct scope s;
	int i, accepted = 0;

	ran = 0;
	scope_open(&s);
	for (i = 0; i < THREADS; i++) {
		CHECK_EQ(scope_ref_get(&s, &poster[i].ref), 0);
		CHECK_EQ(pthread_create(&thread[i], NULL, post_until_stale, &poster[i]), 0);
	}
	for (i = 0; ran < POSTS || i < THREADS; i += poster[i % THREADS].calls > 0 && i < THREADS)
		scope_sleep_for(SCOPE_MS / 10);
	CHECK_EQ(scope_close(&s), 0);
	/* A close may be put off for long: whoever is accepted is joined. */
	i = ran;
	for (; accepted == 0 || i != ran;)
		accepted = i = ran;
	accepted = 0;
	for (i = 0; i < THREADS; i++) {
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
		accepted += poster[i].accepted;
		CHECK(poster[i].calls > 0);
	}
	CHECK_EQ(ran, accepted);
	return 0;
}

Test(ref, B4_posts_are_run_or_refused)
{
	struct poster poster[THREADS];

	memset(poster, 0, sizeof poster);
	cr_assert_eq(run_config(closes_meanwhile, poster, (struct scope_config){0}), 0);
}

/* The run ends while they go on. */
static int ends_meanwhile(void *arg)
{
	struct poster *poster = arg;
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &poster->ref), 0);
	return scope_close(&s);
}

static atomic_bool enough;

static void *post_always(void *arg)
{
	struct poster *poster = arg;

	while (!enough) {
		struct scope_ref ref = poster->ref;

		CHECK_EQ(scope_post(&ref, never_called, NULL), -ESTALE);
	}
	return NULL;
}

Test(ref, B4_posts_race_the_end_of_the_run)
{
	struct poster poster;
	pthread_t thread;
	int i;

	memset(&poster, 0, sizeof poster);
	enough = false;
	must_run(ends_meanwhile, &poster);
	cr_assert_eq(pthread_create(&thread, NULL, post_always, &poster), 0);
	for (i = 0; i < 50; i++) {
		struct poster other;

		must_run(ends_meanwhile, &other);
	}
	enough = true;
	pthread_join(thread, NULL);
}

static void *cancels_outside(void *arg)
{
	struct poster *poster = arg;

	CHECK_EQ(scope_call(&poster->ref, give_seven, NULL), 7);
	CHECK_EQ(scope_ref_cancel(&poster->ref), 0);
	CHECK_EQ(scope_post(&poster->ref, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_call(&poster->ref, never_called, NULL), -ECANCELED);
	return NULL;
}

/* Z3: all is parked and nothing will come from inside. */
static int waits_for_outside(void *arg)
{
	struct poster *poster = arg;
	struct scope_options shield = {.shield = true};
	struct scope s, shielded;
	pthread_t thread;

	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &poster->ref), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, NULL), 0);
	CHECK_EQ(pthread_create(&thread, NULL, cancels_outside, poster), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_open_with(&shielded, &shield), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(scope_close(&shielded), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(ref, B4_Z3_a_live_ref_is_no_deadlock_ecanceled)
{
	struct poster poster;

	must_run(waits_for_outside, &poster);
}

static int waits_in_vain(void *arg)
{
	struct scope_spawner spawner;
	struct scope_ref ref;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&s);
	/* A spawner is for tasks. */
	CHECK_EQ(scope_spawner_of(&s, &spawner), 0);
	scope_sleep_until(SCOPE_NEVER);
	return scope_close(&s);
}

Test(ref, Z3_without_a_live_ref_it_is_one_edeadlk)
{
	cr_assert_eq(run_flags(waits_in_vain, NULL, 0,
			       SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK), -EDEADLK);
}

static int calls_itself(void *arg)
{
	struct scope_ref ref;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	CHECK_EQ(scope_call(&ref, never_called, NULL), -EDEADLK);
	return scope_close(&s);
}

Test(ref, B4_call_from_a_task_edeadlk)
{
	must_run(calls_itself, NULL);
}

static void *posts_into_full(void *arg)
{
	struct poster *poster = arg;

	CHECK_EQ(scope_post(&poster->ref, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_call(&poster->ref, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_ref_cancel(&poster->ref), 0);
	return NULL;
}

static struct scope_spawner of_full;

/* A member does not wait for itself. */
static int spawns_into_full(void *arg)
{
	struct poster *poster = arg;
	pthread_t thread;

	CHECK_EQ(scope_ref_spawn(&poster->ref, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_spawner_spawn(&of_full, never_called, NULL), -EAGAIN);
	CHECK_EQ(scope_spawner_spawn_with(&of_full, never_called, NULL, NULL), -EAGAIN);
	CHECK_EQ(pthread_create(&thread, NULL, posts_into_full, poster), 0);
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	return 0;
}

static int full(void *arg)
{
	struct scope_options options = {.max_tasks = 1};
	struct poster *poster = arg;
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_ref_get(&s, &poster->ref), 0);
	CHECK_EQ(scope_spawner_of(&s, &of_full), 0);
	CHECK_EQ(scope_spawn(&s, spawns_into_full, poster), 0);
	return scope_close(&s);
}

Test(ref, S15_into_a_full_scope_eagain)
{
	struct poster poster;

	must_run(full, &poster);
}

static int forks(void *arg)
{
	struct scope_ref ref;
	struct scope s;
	int status = -1;
	pid_t child;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	child = fork();
	if (child == 0)
		_exit(scope_post(&ref, never_called, NULL) == -ESTALE &&
				      scope_call(&ref, never_called, NULL) == -ESTALE &&
				      scope_ref_cancel(&ref) == -ESTALE
			      ? 0
			      : 1);
	CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
	return scope_close(&s);
}

Test(ref, S2_in_a_forked_child_estale)
{
	must_run(forks, NULL);
}
