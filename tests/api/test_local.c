/* tests/api/test_local.c: values bound for a time: rule L1. */
#include "task_check.h"

#include <scope_local.h>
#include <string.h>

TestSuite(local, .timeout = 60);

static struct scope_local key, other;
static int one, two, three;

/* Checks what is bound to both keys. */
struct seen {
	void *key, *other;
	scope_task_fn *then; /* is called with `arg` afterwards; may be NULL */
	void *arg;
};

static int sees(void *arg)
{
	struct seen *seen = arg;

	CHECK(scope_local_get(&key) == seen->key);
	CHECK(scope_local_get(&other) == seen->other);
	scope_yield();
	CHECK(scope_local_get(&key) == seen->key);
	atomic_fetch_add(&ran, 1);
	return seen->then ? seen->then(seen->arg) : 0;
}

/* In a scope of its own: inlined, in another task, and as one of many. */
static int starts(void *arg)
{
	const struct scope_spawn_options *how[] = {NULL, &concurrent, &pinned};
	struct scope s;
	int i;

	scope_open(&s);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn_with(&s, sees, arg, how[i]), 0);
	CHECK_EQ(scope_spawn(&s, sees, arg), 0);
	CHECK_EQ(scope_spawn_n(&s, sees, arg, 0, 3), 0);
	return scope_close(&s);
}

/* ---- extent -------------------------------------------------------------------------------- */

static int binds(void *arg)
{
	struct scope_local_binding outer, inner;

	(void)arg;
	CHECK(scope_local_get(&key) == NULL);
	CHECK_EQ(scope_local_bind(&outer, &key, &one), 0);
	CHECK(scope_local_get(&key) == &one);
	CHECK(scope_local_get(&other) == NULL);
	CHECK_EQ(scope_local_bind(&inner, &key, &two), 0);
	CHECK(scope_local_get(&key) == &two);
	CHECK_EQ(scope_local_unbind(&inner), 0);
	CHECK(scope_local_get(&key) == &one);
	CHECK_EQ(scope_local_bind(&inner, &other, NULL), 0);
	CHECK(scope_local_get(&key) == &one);
	CHECK(scope_local_get(&other) == NULL);
	CHECK_EQ(scope_local_unbind(&inner), 0);
	CHECK_EQ(scope_local_unbind(&outer), 0);
	CHECK(scope_local_get(&key) == NULL);
	return 0;
}

Test(local, L1_a_binding_lasts_until_it_is_undone)
{
	must_run(binds, NULL);
}

static int give_back(void *arg)
{
	CHECK(scope_local_get(&key) == arg);
	return 7;
}

static int calls_with(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_local_with(&key, &one, give_back, &one), 7);
	CHECK(scope_local_get(&key) == NULL);
	return 0;
}

Test(local, L1_a_call_with_a_binding)
{
	must_run(calls_with, NULL);
}

/* ---- children ------------------------------------------------------------------------------ */

static int opened_inside(void *arg)
{
	struct scope_local_binding binding, hidden;
	struct seen two_and_none = {&two, NULL, NULL, NULL};
	struct seen seen = {&one, NULL, starts, &two_and_none};
	struct seen outer = {&one, NULL, starts, &seen};

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	seen.then = NULL;
	CHECK_EQ(starts(&outer), 0);
	CHECK_EQ(ran, 7 + 49);
	CHECK_EQ(scope_local_bind(&hidden, &key, &two), 0);
	CHECK_EQ(starts(&two_and_none), 0);
	CHECK_EQ(scope_local_unbind(&hidden), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	return 0;
}

Test(local, L1_children_see_what_is_bound_where_their_scope_was_opened)
{
	must_run(opened_inside, NULL);
}

static int opened_before(void *arg)
{
	struct seen none = {NULL, NULL, NULL, NULL};
	struct scope_local_binding binding;
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	CHECK_EQ(scope_spawn(&s, sees, &none), 0);
	CHECK_EQ(scope_spawn_n(&s, sees, &none, 0, 2), 0);
	CHECK_EQ(scope_spawn_with(&s, sees, &none, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 4);
	return 0;
}

Test(local, L1_a_child_does_not_see_what_was_bound_after_its_scope_was_opened)
{
	must_run(opened_before, NULL);
}

static int from_a_member(void *arg)
{
	struct seen one_seen = {&one, NULL, NULL, NULL};
	struct scope_local_binding binding;

	CHECK_EQ(scope_local_bind(&binding, &key, &two), 0);
	CHECK_EQ(scope_spawn_copy(arg, sees, &one_seen, sizeof(one_seen)), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	return 0;
}

static int by_members(void *arg)
{
	struct scope_local_binding binding;
	struct scope s;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, from_a_member, &s), 0);
	CHECK_EQ(scope_spawn_with(&s, from_a_member, &s, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(local, L1_what_a_member_binds_is_not_seen_by_its_sibling)
{
	must_run(by_members, NULL);
}

/* ---- SCOPE_COPY_LOCALS --------------------------------------------------------------------- */

static const struct scope_spawn_options copying = {.flags = SCOPE_COPY_LOCALS};
static const struct scope_spawn_options copying_apart = {
	.flags = SCOPE_COPY_LOCALS | SCOPE_CONCURRENT};

static int copies(void *arg)
{
	const struct scope_spawn_options *how = arg;
	struct seen below = {&two, &three, NULL, NULL};
	struct seen seen = {&two, &three, starts, &below};
	struct scope_local_binding a, b, c;
	struct scope s;

	ran = 0;
	CHECK_EQ(scope_local_bind(&a, &key, &one), 0);
	scope_open(&s);
	CHECK_EQ(scope_local_bind(&b, &other, &three), 0);
	CHECK_EQ(scope_local_bind(&c, &key, &two), 0);
	CHECK_EQ(scope_spawn_with(&s, sees, &seen, how), 0);
	CHECK_EQ(scope_local_unbind(&c), 0);
	CHECK_EQ(scope_local_unbind(&b), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 8);
	CHECK_EQ(scope_local_unbind(&a), 0);
	/* From a place with none. */
	seen = (struct seen){NULL, NULL, NULL, NULL};
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sees, &seen, how), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(local, L1_a_task_can_have_copies_of_what_the_spawner_sees)
{
	must_run(copies, (void *)(uintptr_t)&copying);
	must_run(copies, (void *)(uintptr_t)&copying_apart);
}

/* Copies of copies: each key once, so that they do not grow from task to task. */
static int hand_on(void *arg)
{
	struct scope_local_binding binding;
	int left = *(int *)arg - 1;
	struct scope s;

	CHECK(scope_local_get(&other) == &three);
	if (left < 0)
		return 0;
	scope_open(&s);
	CHECK_EQ(scope_local_bind(&binding, &key, &left), 0);
	CHECK_EQ(scope_spawn_with(&s, hand_on, &left, &copying), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	return scope_close(&s);
}

static int copies_of_copies(void *arg)
{
	struct scope_local_binding binding;
	int depth = 20;

	(void)arg;
	CHECK_EQ(scope_local_bind(&binding, &other, &three), 0);
	CHECK_EQ(hand_on(&depth), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	return 0;
}

Test(local, L1_copies_are_handed_on)
{
	must_run(copies_of_copies, NULL);
}

static int leak_under_copies(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	return -EIO;
}

static int leaks_under_copies(void *arg)
{
	struct scope_local_binding binding;
	struct scope s;

	ran = 0;
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leak_under_copies, NULL, arg), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(scope_last_error()->suppressed->code, -EIO);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(local, S11_a_task_with_copies_leaks_eproto)
{
	skip_leaks_where_checked();
	must_run(leaks_under_copies, (void *)(uintptr_t)&copying);
	must_run(leaks_under_copies, (void *)(uintptr_t)&copying_apart);
}

/* ---- a binding is a place like any --------------------------------------------------------- */

static int cancelled_through(void *arg)
{
	struct scope_local_binding binding;
	struct scope s, inner;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), -ECANCELED);
	CHECK(scope_local_get(&key) == &one);
	scope_open(&inner);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&inner), -ECANCELED);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(local, C2_a_cancel_is_felt_below_a_binding)
{
	must_run(cancelled_through, NULL);
}

static int time_passes(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + SCOPE_MS};
	struct scope_local_binding binding;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	return 0;
}

Test(local, C12_what_is_felt_below_a_binding_is_felt_by_the_scope_above)
{
	must_run(time_passes, NULL);
}

/* ---- misuse -------------------------------------------------------------------------------- */

static int wrong_order(void *arg)
{
	struct scope_local_binding outer, inner;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_local_bind(&outer, &key, &one), 0);
	CHECK_EQ(scope_local_bind(&inner, &other, &two), 0);
	CHECK_EQ(scope_local_unbind(&outer), -EBUSY);
	CHECK_EQ(scope_local_unbind(&inner), 0);
	scope_open(&s);
	CHECK_EQ(scope_local_unbind(&outer), -EBUSY);
	CHECK(scope_local_get(&key) == &one);
	CHECK_EQ(scope_local_bind(&inner, &other, &two), 0);
	CHECK_EQ(scope_close(&s), -EBUSY);
	CHECK_EQ(scope_local_unbind(&inner), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_local_unbind(&outer), 0);
	return 0;
}

Test(local, S10_bindings_and_scopes_are_undone_in_reverse_order_ebusy)
{
	must_run(wrong_order, NULL);
}

static int unbinds(void *arg)
{
	CHECK_EQ(scope_local_unbind(arg), -EPERM);
	return 0;
}

static int by_another(void *arg)
{
	struct scope_local_binding binding;
	struct scope s, outer;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, unbinds, &binding), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_spawn_with(&outer, unbinds, &binding, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	return scope_close(&outer);
}

Test(local, S9_another_task_may_not_unbind_eperm)
{
	must_run(by_another, NULL);
}

static int twice(void *arg)
{
	struct scope_local_binding binding;

	(void)arg;
	CHECK_EQ(scope_local_bind(&binding, &key, &one), 0);
	CHECK_EQ(scope_local_unbind(&binding), 0);
	CHECK_EQ(scope_local_unbind(&binding), -ESTALE);
	return 0;
}

Test(local, S9_what_is_not_bound_any_more_estale)
{
	must_run(twice, NULL);
}

Test(local, S2_outside_a_run_enotconn)
{
	struct scope_local_binding binding;

	cr_assert_eq(scope_local_bind(&binding, &key, &one), -ENOTCONN);
	cr_assert_eq(scope_local_unbind(&binding), -ENOTCONN);
	cr_assert_null(scope_local_get(&key));
	cr_assert_eq(scope_local_with(&key, &one, never_called, NULL), -ENOTCONN);
}

static int leaves_bound(void *arg)
{
	struct scope_local_binding binding;

	(void)arg;
	return scope_local_bind(&binding, &key, &one);
}

static int leave_in_call(void *arg)
{
	(void)arg;
	return scope_local_with(&other, &two, leaves_bound, NULL);
}

static int left_bound(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leaves_bound, NULL, arg), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leave_in_call, NULL, arg), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK(scope_local_get(&key) == NULL);
	return 0;
}

Test(local, S11_a_task_that_ends_with_something_bound_eproto)
{
	skip_leaks_where_checked();
	must_run(left_bound, NULL);
	must_run(left_bound, (void *)(uintptr_t)&concurrent);
}
