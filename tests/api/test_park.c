/* tests/api/test_park.c: tasks that are continued by whoever knows their parker. */
#include "task_check.h"

#include <pthread.h>
#include <scope_ref.h>

TestSuite(park, .timeout = 60);

static int unparks(void *arg)
{
	scope_unpark(arg);
	return count(NULL);
}

static int in_turn(void *arg)
{
	struct scope_parker parker = {{0}};
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&s);
	for (i = 0; i < 20; i++) {
		CHECK_EQ(scope_spawn_with(&s, unparks, &parker, &concurrent), 0);
		CHECK_EQ(scope_park(&parker), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 20);
	return 0;
}

Test(park, unpark_continues_the_task)
{
	must_run(in_turn, NULL);
}

static int permit(void *arg)
{
	struct scope_parker parker = {{0}};

	(void)arg;
	CHECK_EQ(scope_park_until(&parker, 0), -ETIMEDOUT);
	scope_unpark(&parker);
	scope_unpark(&parker);
	CHECK_EQ(scope_park(&parker), 0);
	/* Only one is kept. */
	CHECK_EQ(scope_park_until(&parker, 0), -ETIMEDOUT);
	scope_unpark(&parker);
	CHECK_EQ(scope_park_until(&parker, 0), 0);
	return 0;
}

Test(park, a_permit_that_comes_first_is_kept)
{
	must_run(permit, NULL);
}

static int times_out(void *arg)
{
	struct scope_parker parker = {{0}};
	int64_t start = scope_now();

	(void)arg;
	CHECK_EQ(scope_park_until(&parker, start + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(scope_park_until(&parker, start), -ETIMEDOUT);
	scope_unpark(&parker);
	CHECK_EQ(scope_park_until(&parker, start + SCOPE_SEC), 0);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	return 0;
}

Test(park, T4_until_a_deadline_etimedout)
{
	must_run(times_out, NULL);
}

static int cancelled(void *arg)
{
	struct scope_parker parker = {{0}};
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_park(&parker), -ECANCELED);
	scope_unpark(&parker);
	CHECK_EQ(scope_park(&parker), -ECANCELED);
	CHECK_EQ(scope_park_until(&parker, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* No permit was taken. */
	CHECK_EQ(scope_park(&parker), 0);
	return 0;
}

Test(park, C2_C3_in_a_cancelled_place_ecanceled)
{
	must_run(cancelled, NULL);
}

static int parks_softly(void *arg)
{
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_park(arg), -ESHUTDOWN);
	CHECK_EQ(scope_park_until(arg, SCOPE_NEVER), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	/* Outside the region the permit of the unpark that came too late. */
	CHECK_EQ(scope_park(arg), 0);
	return 0;
}

static int stopped(void *arg)
{
	struct scope_parker parker = {{0}};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, parks_softly, &parker, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_unpark(&parker);
	return scope_close(&s);
}

Test(park, G2_in_a_soft_region_eshutdown)
{
	must_run(stopped, NULL);
}

static int parks_too(void *arg)
{
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0); /* virtual: the other is parked */
	CHECK_EQ(scope_park(arg), -EBUSY);
	CHECK_EQ(scope_park_until(arg, SCOPE_NEVER), -EBUSY);
	scope_unpark(arg);
	return 0;
}

static int two(void *arg)
{
	struct scope_parker parker = {{0}};
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, parks_too, &parker), 0);
	CHECK_EQ(scope_park(&parker), 0);
	return scope_close(&s);
}

Test(park, by_a_second_task_ebusy)
{
	cr_assert_eq(run(two, NULL, 1), 0);
}

Test(park, S2_outside_a_run_enotconn)
{
	struct scope_parker parker = {{0}};

	scope_unpark(&parker);
	cr_assert_eq(scope_park(&parker), -ENOTCONN);
	cr_assert_eq(scope_park_until(&parker, 0), -ENOTCONN);
}

/* ---- threads ------------------------------------------------------------------------------ */

enum { ROUNDS = CHECKED ? 200 : 20000 };

struct ball {
	struct scope_parker parker;
	pthread_mutex_t lock;
	pthread_cond_t thrown;
	int in_air;
};

static void *play(void *arg)
{
	struct ball *ball = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&ball->lock);
		while (!ball->in_air)
			pthread_cond_wait(&ball->thrown, &ball->lock);
		ball->in_air = 0;
		pthread_mutex_unlock(&ball->lock);
		scope_unpark(&ball->parker);
	}
	return NULL;
}

static int catch(void *arg)
{
	struct ball *ball = arg;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		pthread_mutex_lock(&ball->lock);
		ball->in_air = 1;
		pthread_cond_signal(&ball->thrown);
		pthread_mutex_unlock(&ball->lock);
		CHECK_EQ(scope_park(&ball->parker), 0);
	}
	return 0;
}

Test(park, any_thread_unparks)
{
	struct ball ball = {.lock = PTHREAD_MUTEX_INITIALIZER, .thrown = PTHREAD_COND_INITIALIZER};
	struct scope_config config = {0};
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, play, &ball), 0);
	cr_assert_eq(run_config(catch, &ball, config), 0);
	cr_assert_eq(pthread_join(thread, NULL), 0);
}
