/* tests/api/test_object.c: scopes that live in objects: rules H0 to H4. */
#include "task_check.h"

#include <scope_observe.h>
#include <string.h>

TestSuite(object, .timeout = 60);

static int sleep_for_ever(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	atomic_fetch_add(&ran, 1);
	return -ECANCELED;
}

static int sleep_a_second(void *arg)
{
	(void)arg;
	if (scope_sleep_for(SCOPE_SEC) == 0)
		atomic_fetch_add(&ran, 1);
	return 0;
}

static int yield_some(void *arg)
{
	int i;

	for (i = 0; i < 5; i++)
		scope_yield();
	return count(arg);
}

/* ---- H0 --------------------------------------------------------------------------------- */

static int place_is_kept(void *arg)
{
	struct scope outer, object, inner;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	scope_open(&inner);
	CHECK_EQ(scope_spawn(&object, count, NULL), 0);
	scope_cancel(&object);
	/* The caller's place is no place in it. */
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK(!scope_cancelled());
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_spawn(&inner, count, NULL), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(ran, 2);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H0_opening_leaves_the_place_as_it_is)
{
	must_run(place_is_kept, NULL);
}

static int closed_in_any_order(void *arg)
{
	struct scope outer, object[3], block;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_open_in(&object[i], &outer), 0);
		CHECK_EQ(scope_spawn(&object[i], yield_some, NULL), 0);
	}
	scope_open(&block);
	CHECK_EQ(scope_close(&object[1]), 0);
	CHECK_EQ(scope_close(&object[0]), 0);
	CHECK_EQ(ran >= 2, 1);
	CHECK_EQ(scope_close(&block), 0);
	CHECK_EQ(scope_close(&object[2]), 0);
	CHECK_EQ(ran, 3);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_close(&object[i]), -ESTALE);
	return scope_close(&outer);
}

Test(object, H0_S10_order_of_closing_is_free)
{
	must_run(closed_in_any_order, NULL);
}

static char *stack_of_parent;

static int note_distance(void *arg)
{
	char here;
	long distance = &here > stack_of_parent ? &here - stack_of_parent : stack_of_parent - &here;

	*(long *)arg = distance;
	return 0;
}

static int never_inlined(void *arg)
{
	struct scope outer, object;
	long distance[20];
	char here;
	int i;

	(void)arg;
	stack_of_parent = &here;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	for (i = 0; i < 20; i++)
		CHECK_EQ(scope_spawn(&object, note_distance, &distance[i]), 0);
	CHECK_EQ(scope_close(&object), 0);
	for (i = 0; i < 20; i++)
		CHECK(distance[i] > 10000);
	return scope_close(&outer);
}

Test(object, H0_P1_tasks_have_stacks_of_their_own)
{
	must_run(never_inlined, NULL);
}

static int spawn_more(void *arg)
{
	struct scope *object = arg;
	int value = 7;

	CHECK_EQ(scope_spawn(object, count, NULL), 0);
	CHECK_EQ(scope_spawn_copy(object, count, &value, sizeof value), 0);
	CHECK_EQ(scope_spawn_n(object, count, NULL, 0, 10), 0);
	CHECK_EQ(scope_spawn_with(object, count, NULL, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(object, count, NULL, &pinned), 0);
	return 0;
}

static int spawned_by_anybody(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	spawn_more(&object);
	CHECK_EQ(scope_spawn(&object, spawn_more, &object), 0);
	CHECK_EQ(scope_spawn(&outer, spawn_more, &object), 0);
	CHECK_EQ(scope_wait_until(&outer, SCOPE_NEVER), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 3 * 14);
	return scope_close(&outer);
}

Test(object, H0_S3_owner_member_and_others_spawn)
{
	must_run(spawned_by_anybody, NULL);
}

/* ---- S12 -------------------------------------------------------------------------------- */

static int waits(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_wait_until(&object, 0), 0);
	CHECK_EQ(scope_spawn(&object, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_wait_until(&object, 0), -ETIMEDOUT);
	CHECK_EQ(scope_wait_until(&object, scope_now() + SCOPE_MS), -ETIMEDOUT);
	CHECK_EQ(scope_wait_until(&object, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_spawn(&object, sleep_a_second, NULL), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_wait_until(&object, SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_close(&object), -ECANCELED);
	CHECK_EQ(scope_wait_until(&object, 0), -ESTALE);
	CHECK_EQ(ran, 1);
	return scope_close(&outer);
}

Test(object, S12_owner_waits_without_closing)
{
	must_run(waits, NULL);
}

/* ---- H1 --------------------------------------------------------------------------------- */

static int parent_cancels_and_joins(void *arg)
{
	struct scope outer, object[3];
	int i;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_open_in(&object[i], &outer), 0);
		CHECK_EQ(scope_spawn(&object[i], sleep_for_ever, NULL), 0);
		CHECK_EQ(scope_spawn(&object[i], sleep_for_ever, NULL), 0);
	}
	CHECK_EQ(scope_spawn(&outer, yield_some, NULL), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 7);
	for (i = 0; i < 3; i++) {
		CHECK(scope_cancel_called(&object[i]));
		CHECK_EQ(scope_close(&object[i]), -ESTALE);
	}
	return 0;
}

Test(object, H1_parent_cancels_and_joins)
{
	must_run(parent_cancels_and_joins, NULL);
}

static int ordinary_first(void *arg)
{
	struct scope outer, object;
	int64_t start = scope_now();

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_spawn(&outer, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_spawn(&outer, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(scope_now(), start + SCOPE_SEC);
	CHECK(ran >= 2);
	return 0;
}

Test(object, H1_other_tasks_of_the_parent_end_first)
{
	must_run(ordinary_first, NULL);
}

static int shielded_too(void *arg)
{
	struct scope outer, object;
	struct scope_options options = {.shield = true, .name = "shielded"};

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in_with(&object, &outer, &options), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_spawn(&object, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_close(&outer), 0);
	/* The sleep was cut short. */
	CHECK_EQ(ran, 1);
	return 0;
}

Test(object, H1_C8_a_shield_does_not_hide_the_close_of_the_parent)
{
	must_run(shielded_too, NULL);
}

static int cancel_reaches_it(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_spawn(&object, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&object), -ECANCELED);
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H1_cancel_of_the_parent_reaches_it)
{
	must_run(cancel_reaches_it, NULL);
}

static int deadlines(void *arg)
{
	struct scope outer, object;
	struct scope_options late = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope_options soon = {.deadline_ns = scope_now() + SCOPE_US};

	(void)arg;
	ran = 0;
	/* Its own, which its close tells. */
	scope_open(&outer);
	CHECK_EQ(scope_open_in_with(&object, &outer, &soon), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_close(&object), -ETIMEDOUT);
	CHECK(scope_timed_out(&object));
	CHECK_EQ(scope_now(), soon.deadline_ns);
	CHECK_EQ(scope_close(&outer), 0);
	/* The parent's. */
	CHECK_EQ(scope_open_with(&outer, &late), 0);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_close(&object), -ECANCELED);
	CHECK_EQ(scope_now(), late.deadline_ns);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	CHECK_EQ(ran, 2);
	/* One that is set later, by its task too. */
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_set_deadline(&object, scope_now() + SCOPE_SEC), 0);
	CHECK_EQ(scope_set_deadline(&object, scope_now() + SCOPE_MS), 0);
	CHECK_EQ(scope_close(&object), -ETIMEDOUT);
	CHECK_EQ(scope_set_deadline(&object, SCOPE_NEVER), -ESTALE);
	return scope_close(&outer);
}

Test(object, H1_T1_deadlines_of_both_act)
{
	must_run(deadlines, NULL);
}

/* A timeout that nobody was told of is an error of the parent. */
static int timeout_with_parent(void *arg)
{
	struct scope outer, object;
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS, .name = "late"};
	const struct scope_error *error;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in_with(&object, &outer, &options), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_spawn(&outer, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_close(&outer), -ETIMEDOUT);
	error = scope_last_error();
	CHECK(error && !strcmp(error->text, "deadline of scope \"late\""));
	return 0;
}

Test(object, H2_a_timeout_is_an_error_of_the_parent)
{
	must_run(timeout_with_parent, NULL);
}

static int nest(struct scope *object, struct scope *parent, int depth)
{
	int i;

	for (i = 0; i < depth; i++) {
		CHECK_EQ(scope_open_in(&object[i], i ? &object[i - 1] : parent), 0);
		CHECK_EQ(scope_spawn(&object[i], sleep_for_ever, NULL), 0);
	}
	return 0;
}

enum { DEEP = 50 };

static int nested(void *arg)
{
	static struct scope object[DEEP];
	struct scope outer;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	nest(object, &outer, DEEP);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, DEEP);
	scope_open(&outer);
	nest(object, &outer, DEEP);
	scope_cancel(&object[DEEP / 2]);
	CHECK_EQ(scope_close(&object[DEEP / 2]), 0);
	CHECK_EQ(ran, DEEP + DEEP / 2);
	for (i = DEEP / 2; i < DEEP; i++)
		CHECK_EQ(scope_close(&object[i]), -ESTALE);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 2 * DEEP);
	return 0;
}

Test(object, H1_objects_hang_below_objects)
{
	must_run(nested, NULL);
}

/* Its tasks are members of the parent: they may spawn there while it closes. */
static int spawn_into_parent(void *arg)
{
	struct scope *outer = arg;

	scope_sleep_until(SCOPE_NEVER);
	CHECK_EQ(scope_spawn(outer, yield_some, NULL), 0);
	CHECK_EQ(scope_spawn(outer, yield_some, NULL), 0);
	return 0;
}

static int members_spawn(void *arg)
{
	struct scope outer, object[2];

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object[0], &outer), 0);
	CHECK_EQ(scope_open_in(&object[1], &outer), 0);
	CHECK_EQ(scope_spawn(&object[0], spawn_into_parent, &outer), 0);
	CHECK_EQ(scope_spawn(&object[1], spawn_into_parent, &outer), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 4);
	return 0;
}

Test(object, H1_S4_members_spawn_into_the_closing_parent)
{
	must_run(members_spawn, NULL);
}

/* ... and open more there, which are cancelled as the others are. */
static struct scope opened_late;

static int open_in_parent(void *arg)
{
	struct scope *outer = arg;

	scope_sleep_until(SCOPE_NEVER);
	CHECK_EQ(scope_open_in(&opened_late, outer), 0);
	CHECK_EQ(scope_spawn(&opened_late, sleep_for_ever, NULL), -ECANCELED);
	return 0;
}

static int members_open(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, open_in_parent, &outer), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK(scope_cancel_called(&opened_late));
	CHECK_EQ(scope_close(&opened_late), -ESTALE);
	return 0;
}

Test(object, H1_members_open_scopes_in_the_closing_parent)
{
	must_run(members_open, NULL);
}

static atomic_int begun;

/* A task of the one opens the other in the parent of both, and waits for it. */
static int open_and_close(void *arg)
{
	struct scope object;

	CHECK_EQ(scope_open_in(&object, arg), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	atomic_fetch_add(&begun, 1);
	/* The cancel that reaches this task would not end it. */
	CHECK_EQ(scope_close(&object), 0);
	CHECK(scope_cancel_called(&object));
	return 0;
}

static int one_waits_for_another(void *arg)
{
	struct scope outer, middle, object;

	(void)arg;
	ran = begun = 0;
	scope_open(&outer);
	scope_open(&middle);
	CHECK_EQ(scope_open_in(&object, &middle), 0);
	CHECK_EQ(scope_spawn(&object, open_and_close, &outer), 0);
	while (!atomic_load(&begun))
		scope_yield();
	/* Now it is the younger one below outer. */
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_close(&middle), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(object, H1_a_task_of_one_waits_for_another)
{
	must_run(one_waits_for_another, NULL);
}

/* ---- H2 --------------------------------------------------------------------------------- */

static int to_closer(void *arg)
{
	struct scope outer, object;
	int code = -EPROTO;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_spawn(&object, fail_with, &code), 0);
	CHECK_EQ(scope_close(&object), -EPROTO);
	CHECK(scope_last_error() && scope_last_error()->code == -EPROTO);
	CHECK_EQ(ran, 1);
	CHECK(!scope_cancel_called(&outer));
	return scope_close(&outer);
}

Test(object, H2_errors_go_to_who_closes)
{
	must_run(to_closer, NULL);
}

static int to_parent(void *arg)
{
	struct scope outer, object[2];
	int first = -EPROTO, second = -EIO;
	const struct scope_error *error;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object[0], &outer), 0);
	CHECK_EQ(scope_open_in(&object[1], &outer), 0);
	CHECK_EQ(scope_spawn(&object[0], fail_with, &first), 0);
	CHECK_EQ(scope_spawn(&object[1], fail_with, &second), 0);
	CHECK_EQ(scope_wait_until(&object[0], SCOPE_NEVER), 0);
	CHECK_EQ(scope_wait_until(&object[1], SCOPE_NEVER), 0);
	CHECK(!scope_cancel_called(&outer));
	/* The youngest is closed first. */
	CHECK_EQ(scope_close(&outer), -EIO);
	error = scope_last_error();
	CHECK(error && error->code == -EIO && strstr(error->path, "fail_with"));
	CHECK(error->suppressed && error->suppressed->code == -EPROTO);
	CHECK(error->suppressed && strstr(error->suppressed->path, "fail_with"));
	return 0;
}

Test(object, H2_errors_go_to_the_parent_that_closes_it)
{
	must_run(to_parent, NULL);
}

static int hit_of_parent(void *arg)
{
	struct scope outer, inner, object;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_close(&inner), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H2_C12_a_hit_from_above_is_one_of_the_parent)
{
	must_run(hit_of_parent, NULL);
}

static int failed_by_owner(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_fail(&object, -EIO, "number %d", 7), -EIO);
	CHECK_EQ(scope_fail(&outer, 0, NULL), 0);
	CHECK_EQ(scope_close(&object), -EIO);
	CHECK(scope_last_error() && !strcmp(scope_last_error()->text, "number 7"));
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_fail(&object, -EIO, NULL), -ESTALE);
	return scope_close(&outer);
}

Test(object, H2_owner_fails_it)
{
	must_run(failed_by_owner, NULL);
}

/* ---- who may ---------------------------------------------------------------------------- */

static int close_of_member(void *arg)
{
	CHECK_EQ(scope_close(arg), -EDEADLK);
	CHECK_EQ(scope_wait_until(arg, SCOPE_NEVER), -EDEADLK);
	CHECK_EQ(scope_fail(arg, -EIO, NULL), -EPERM);
	CHECK_EQ(scope_move(arg, arg), -EPERM);
	return 0;
}

static int close_of_another(void *arg)
{
	CHECK_EQ(scope_close(arg), -EPERM);
	CHECK_EQ(scope_wait_until(arg, SCOPE_NEVER), -EPERM);
	CHECK_EQ(scope_fail(arg, -EIO, NULL), -EPERM);
	CHECK_EQ(scope_move(arg, arg), -EPERM);
	return 0;
}

static int only_owner(void *arg)
{
	struct scope outer, object;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, close_of_member, &object), 0);
	CHECK_EQ(scope_spawn(&outer, close_of_another, &object), 0);
	CHECK_EQ(scope_wait_until(&outer, SCOPE_NEVER), 0);
	CHECK_EQ(scope_close(&object), 0);
	return scope_close(&outer);
}

Test(object, S9_only_the_owner_closes_edeadlk)
{
	must_run(only_owner, NULL);
}

Test(object, H3_only_the_owner_moves_eperm)
{
	must_run(only_owner, NULL);
}

static int bad_opens(void *arg)
{
	struct scope outer, object;
	struct scope_options options = {.deadline_ns = -1};

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in_with(&object, &outer, &options), -EINVAL);
	CHECK_EQ(scope_open_in_with(&object, &outer, NULL), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H1_open_in_with_bad_options_einval)
{
	must_run(bad_opens, NULL);
}

static int open_in_closed(void *arg)
{
	struct scope outer, object;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(scope_open_in(&object, &outer), -ESTALE);
	CHECK_EQ(scope_open_in_with(&object, &outer, NULL), -ESTALE);
	CHECK_EQ(scope_close(&object), -ESTALE);
	CHECK_EQ(scope_move(&object, &outer), -ESTALE);
	return 0;
}

Test(object, H1_open_in_a_closed_scope_estale)
{
	must_run(open_in_closed, NULL);
}

Test(object, S2_outside_a_run_enotconn)
{
	struct scope s, t;

	cr_assert_eq(scope_open_in(&s, &t), -ENOTCONN);
	cr_assert_eq(scope_open_in_with(&s, &t, NULL), -ENOTCONN);
	cr_assert_eq(scope_move(&s, &t), -ENOTCONN);
}

/* ---- H3 --------------------------------------------------------------------------------- */

/* A function that makes an object in a scope of its own and returns it. */
static int moved_up(void *arg)
{
	struct scope outer, inner, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_move(&object, &inner), 0);
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(ran, 0);
	scope_cancel(&object);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 1);
	return scope_close(&outer);
}

Test(object, H3_move_to_the_scope_above)
{
	must_run(moved_up, NULL);
}

struct handed {
	struct scope *outer, *object;
};

static int make_for_parent(void *arg)
{
	struct handed *handed = arg;
	struct scope inner;

	scope_open(&inner);
	CHECK_EQ(scope_open_in(handed->object, &inner), 0);
	CHECK_EQ(scope_spawn(handed->object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_move(handed->object, handed->outer), 0);
	CHECK_EQ(scope_close(&inner), 0);
	return 0;
}

/* It is another's now. */
static int move_and_close(void *arg)
{
	struct handed *handed = arg;

	make_for_parent(arg);
	CHECK_EQ(scope_move(handed->object, handed->outer), -EPERM);
	CHECK_EQ(scope_close(handed->object), -EPERM);
	return 0;
}

static int handed_over(void *arg)
{
	struct scope outer, object;
	struct handed handed = {&outer, &object};

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, make_for_parent, &handed), 0);
	CHECK_EQ(scope_wait_until(&outer, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 0);
	scope_cancel(&object);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 1);
	/* Inlined: the maker has no stack of its own. */
	CHECK_EQ(scope_spawn(&outer, make_for_parent, &handed), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(object, H3_move_hands_it_to_the_owner_of_the_parent)
{
	must_run(handed_over, NULL);
}

static int not_ones_own(void *arg)
{
	struct scope outer, object;
	struct handed handed = {&outer, &object};

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, move_and_close, &handed), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H3_who_moved_it_does_not_own_it_eperm)
{
	must_run(not_ones_own, NULL);
}

static int to_object(void *arg)
{
	struct scope outer, box, content, inner;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&box, &outer), 0);
	CHECK_EQ(scope_open_in(&inner, &box), 0);
	CHECK_EQ(scope_open_in(&content, &inner), 0);
	CHECK_EQ(scope_spawn(&content, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_move(&content, &box), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(ran, 0);
	CHECK_EQ(scope_close(&box), 0);
	CHECK_EQ(ran, 1);
	CHECK_EQ(scope_close(&content), -ESTALE);
	return scope_close(&outer);
}

Test(object, H3_move_to_a_scope_in_an_object)
{
	must_run(to_object, NULL);
}

static int not_above(void *arg)
{
	struct scope outer, inner, object, other;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_open_in(&other, &outer), 0);
	scope_open(&inner);
	CHECK_EQ(scope_move(&object, &inner), -EXDEV);
	CHECK_EQ(scope_move(&object, &other), -EXDEV);
	CHECK_EQ(scope_move(&object, &object), -EXDEV);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(scope_close(&other), 0);
	return scope_close(&outer);
}

Test(object, H3_move_elsewhere_exdev)
{
	must_run(not_above, NULL);
}

static int not_in_object(void *arg)
{
	struct scope outer, inner;

	(void)arg;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_move(&inner, &outer), -EINVAL);
	CHECK_EQ(scope_close(&inner), 0);
	return scope_close(&outer);
}

Test(object, H3_move_of_another_scope_einval)
{
	must_run(not_in_object, NULL);
}

static int move_closed(void *arg)
{
	struct scope outer, object;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(scope_move(&object, &outer), -ESTALE);
	return scope_close(&outer);
}

Test(object, H3_move_of_a_closed_scope_estale)
{
	must_run(move_closed, NULL);
}

static int yields_until_cancelled(void *arg)
{
	while (scope_yield() == 0)
		atomic_fetch_add(&ran, 1);
	atomic_store((atomic_int *)arg, 1);
	return 0;
}

/* Out of a cancelled scope: what is spawned from then on runs. */
static int out_of_cancelled(void *arg)
{
	struct scope outer, inner, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	scope_cancel(&inner);
	CHECK_EQ(scope_spawn(&object, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, sleep_a_second, NULL), 0);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_wait_until(&object, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 1);
	/* The spawn that was refused had felt the cancel. */
	CHECK_EQ(scope_close(&object), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H3_out_of_a_cancelled_scope)
{
	must_run(out_of_cancelled, NULL);
}

/* Out of a shielded scope into the cancel: sleepers wake, runners see it. */
static int into_cancelled(void *arg)
{
	struct scope outer, inner, object;
	struct scope_options options = {.shield = true};
	atomic_int seen = 0;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_with(&inner, &options), 0);
	CHECK_EQ(scope_open_in(&object, &inner), 0);
	CHECK_EQ(scope_spawn(&object, yields_until_cancelled, &seen), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_sleep_for(SCOPE_US), 0);
	CHECK_EQ(seen, 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_move(&object, &outer), 0);
	CHECK_EQ(scope_close(&object), -ECANCELED);
	CHECK_EQ(seen, 1);
	CHECK_EQ(scope_close(&inner), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

static void run_real(scope_task_fn *fn, void *arg)
{
	cr_assert_eq(run_config(fn, arg, (struct scope_config){0}), 0);
}

Test(object, H3_into_a_cancelled_scope)
{
	run_real(into_cancelled, NULL);
}

/* ---- H4 --------------------------------------------------------------------------------- */

static int clean_up(void *arg)
{
	struct scope *object = arg;

	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	scope_cancel(object);
	CHECK_EQ(scope_close(object), -ECANCELED);
	return -ECANCELED;
}

static int makes_and_cleans_up(void *arg)
{
	struct scope object;

	CHECK_EQ(scope_open_in(&object, arg), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	return clean_up(&object);
}

static int from_cancelled(void *arg)
{
	struct scope outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_spawn_with(&outer, makes_and_cleans_up, &outer, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&outer);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(object, H4_closing_from_a_cancelled_place_works)
{
	must_run(from_cancelled, NULL);
}

/* The owner, in another object of the parent, closes too late: it waits, and the memory is its own
 * again afterwards. */
static int slow_to_end(void *arg)
{
	struct scope shielded;
	struct scope_options options = {.shield = true};

	(void)arg;
	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	CHECK_EQ(scope_open_with(&shielded, &options), 0);
	CHECK_EQ(scope_sleep_for(10 * SCOPE_MS), 0);
	CHECK_EQ(scope_close(&shielded), 0);
	atomic_fetch_add(&ran, 1);
	return -ECANCELED;
}

static int closes_late(void *arg)
{
	struct scope object, shielded;
	struct scope_options options = {.shield = true};

	CHECK_EQ(scope_open_in(&object, arg), 0);
	CHECK_EQ(scope_spawn(&object, slow_to_end, NULL), 0);
	CHECK_EQ(scope_open_with(&shielded, &options), 0);
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	CHECK_EQ(scope_fail(&object, -EIO, NULL), -EBUSY);
	CHECK_EQ(scope_set_deadline(&object, SCOPE_NEVER), -EBUSY);
	scope_shutdown(&object, 0); /* nothing is left to do */
	CHECK_EQ(scope_wait_until(&object, SCOPE_NEVER), -EBUSY);
	CHECK_EQ(scope_move(&object, arg), -EBUSY);
	CHECK_EQ(ran, 0);
	CHECK_EQ(scope_close(&object), -ESTALE);
	CHECK_EQ(ran, 1);
	memset(&object, 0xee, sizeof object);
	CHECK_EQ(scope_close(&shielded), 0);
	return 0;
}

static int too_late(void *arg)
{
	struct scope outer, first;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&first, &outer), 0);
	/* The object is younger than the scope of its owner and closed before that. */
	CHECK_EQ(scope_spawn(&first, closes_late, &outer), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H4_owner_that_comes_too_late_waits_estale)
{
	must_run(too_late, NULL);
}

Test(object, H1_used_while_its_parent_closes_it_ebusy)
{
	must_run(too_late, NULL);
}

/* The owner has come first: its parent's close cancels the scope and waits for the owner. */
static int waits_in_close(void *arg)
{
	struct scope object;

	CHECK_EQ(scope_open_in(&object, arg), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 1);
	memset(&object, 0xee, sizeof object);
	return 0;
}

static int waits_in_wait(void *arg)
{
	struct scope object, shielded;
	struct scope_options options = {.shield = true};
	int rc;

	/* Its own place is to be cancelled too. */
	CHECK_EQ(scope_open_with(&shielded, &options), 0);
	CHECK_EQ(scope_open_in(&object, arg), 0);
	CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_wait_until(&object, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 1);
	rc = scope_close(&object);
	CHECK(rc == 0 || rc == -ESTALE); /* or the parent was faster */
	memset(&object, 0xee, sizeof object);
	CHECK_EQ(scope_close(&shielded), 0);
	return 0;
}

static int owner_first(void *arg)
{
	struct scope outer, first;

	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&first, &outer), 0);
	CHECK_EQ(scope_spawn(&first, (scope_task_fn *)arg, &outer), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(object, H1_parent_waits_for_the_owner_in_close)
{
	must_run(owner_first, (void *)waits_in_close);
}

Test(object, H1_parent_ends_the_wait_of_the_owner)
{
	must_run(owner_first, (void *)waits_in_wait);
}

/* ---- S11 -------------------------------------------------------------------------------- */

static struct scope kept[2];

static int leaks(void *arg)
{
	struct scope inner;

	(void)arg;
	scope_open(&inner);
	CHECK_EQ(scope_open_in(&kept[0], &inner), 0);
	CHECK_EQ(scope_open_in(&kept[1], &kept[0]), 0);
	CHECK_EQ(scope_spawn(&kept[0], sleep_for_ever, NULL), 0);
	CHECK_EQ(scope_spawn(&kept[1], sleep_for_ever, NULL), 0);
	return 0;
}

static int leaked(void *arg)
{
	struct scope outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, leaks, NULL), 0);
	CHECK_EQ(scope_close(&outer), -EPROTO);
	CHECK_EQ(ran, 2);
	scope_open(&outer);
	CHECK_EQ(scope_spawn_with(&outer, leaks, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&outer), -EPROTO);
	CHECK_EQ(ran, 4);
	return 0;
}

Test(object, S11_objects_below_a_leaked_scope_are_joined)
{
	skip_leaks_where_checked();
	must_run(leaked, NULL);
}

/* Left open itself, it ends with its parent: the tree has no holes. */
static int leaves_object(void *arg)
{
	CHECK_EQ(scope_open_in(&kept[0], arg), 0);
	CHECK_EQ(scope_spawn(&kept[0], sleep_for_ever, NULL), 0);
	return 0;
}

static int left_object(void *arg)
{
	struct scope outer;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, leaves_object, &outer), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(object, H1_an_object_outlives_the_task_that_opened_it)
{
	must_run(left_object, NULL);
}

/* ---- S17 -------------------------------------------------------------------------------- */

static struct scope closing;

static int deferred(void *arg)
{
	CHECK_EQ(scope_close(&closing), -EBUSY);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	atomic_fetch_add(&ran, 100);
	return *(int *)arg;
}

static int with_deferred(void *arg)
{
	int by_owner, none = 0, code = -EIO, *memory;
	struct scope outer;

	(void)arg;
	for (by_owner = 0; by_owner < 2; by_owner++) {
		ran = 0;
		scope_open(&outer);
		CHECK_EQ(scope_open_in(&closing, &outer), 0);
		CHECK_EQ(scope_defer(&closing, deferred, &none), 0);
		CHECK_EQ(scope_defer(&closing, deferred, &code), 0);
		memory = scope_alloc(&closing, sizeof *memory);
		CHECK(memory != NULL);
		CHECK_EQ(scope_spawn(&closing, sleep_for_ever, NULL), 0);
		scope_cancel(&closing);
		if (by_owner)
			CHECK_EQ(scope_close(&closing), -EIO);
		CHECK_EQ(scope_close(&outer), by_owner ? 0 : -EIO);
		CHECK_EQ(ran, 201);
	}
	return 0;
}

Test(object, S9_S17_deferred_functions_run_when_it_is_closed)
{
	must_run(with_deferred, NULL);
}

/* ---- many ------------------------------------------------------------------------------- */

enum { MANY = CHECKED ? 200 : 20000 };

static int many(void *arg)
{
	static struct scope object[MANY];
	struct scope_stats stats;
	struct scope outer;
	int i;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	for (i = 0; i < MANY; i++) {
		CHECK_EQ(scope_open_in(&object[i], &outer), 0);
		CHECK_EQ(scope_spawn(&object[i], i % 2 ? count : yield_some, NULL), 0);
	}
	for (i = 0; i < MANY; i += 3)
		CHECK_EQ(scope_close(&object[i]), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(ran, MANY);
	CHECK_EQ(scope_stats_get(&stats), 0);
	CHECK_EQ(stats.timers_live, 0);
	return 0;
}

Test(object, H1_very_many)
{
	must_run(many, NULL);
}
