/* tests/api/test_rare.c: what few programs do, and the rules provide for. */
#include "task_check.h"

#include <scope_parallel.h>
#include <scope_ref.h>
#include <scope_signal.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

TestSuite(rare, .timeout = 60);

static int sleep_for_ever(void *arg)
{
	scope_sleep_until(SCOPE_NEVER);
	return count(arg);
}

/* ---- objects ---- */

static int sets_limits(void *arg)
{
	CHECK_EQ(scope_set_deadline(arg, scope_now() + SCOPE_SEC), 0);
	return count(NULL);
}

static int shuts_down(void *arg)
{
	scope_shutdown(arg, SCOPE_SEC);
	return count(NULL);
}

static int others_end_it(void *arg)
{
	scope_task_fn *const ends[] = {sets_limits, shuts_down};
	struct scope outer, object;
	unsigned i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		ran = 0;
		scope_open(&outer);
		CHECK_EQ(scope_open_in(&object, &outer), 0);
		CHECK_EQ(scope_spawn(&object, sleep_for_ever, NULL), 0);
		CHECK_EQ(scope_spawn(&object, ends[i], &object), 0);
		CHECK_EQ(scope_close(&object), -ETIMEDOUT);
		CHECK_EQ(ran, 2);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(rare, H1_T5_a_member_sets_the_deadline_of_an_object)
{
	must_run(others_end_it, NULL);
}

Test(rare, H1_G1_a_member_shuts_an_object_down)
{
	must_run(others_end_it, NULL);
}

/* Without a cancel it is an error as any other. */
static int returns_ecanceled(void *arg)
{
	scope_yield();
	count(arg);
	return -ECANCELED;
}

static int fails_with_ecanceled(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_spawn(&object, returns_ecanceled, NULL), 0);
	while (ran < 1 || !scope_cancel_called(&object))
		CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_close(&outer), -ECANCELED);
	CHECK_EQ(scope_last_error()->code, -ECANCELED);
	return 0;
}

Test(rare, H2_E1_ecanceled_without_a_cancel_is_an_error_of_the_parent)
{
	must_run(fails_with_ecanceled, NULL);
}

static int closes_itself(void *arg)
{
	CHECK_EQ(scope_close(arg), -EBUSY);
	return count(NULL);
}

static int closes_twice(void *arg)
{
	struct scope outer, object;

	(void)arg;
	ran = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&object, &outer), 0);
	CHECK_EQ(scope_defer(&object, closes_itself, &object), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(ran, 1);
	return scope_close(&outer);
}

Test(rare, S9_a_deferred_call_closes_its_object_ebusy)
{
	must_run(closes_twice, NULL);
}

static int former_object(void *arg)
{
	struct scope s, object;
	struct scope_ref ref;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_ref_get(&s, &ref), 0);
	CHECK_EQ(scope_open_in(&object, &s), 0);
	CHECK_EQ(scope_spawn(&object, count, NULL), 0);
	CHECK_EQ(scope_close(&object), 0);
	CHECK_EQ(scope_ref_spawn(&ref, count, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2);
	CHECK_EQ(scope_ref_spawn(&ref, never_called, NULL), -ESTALE);
	return 0;
}

Test(rare, H1_a_ref_outlives_an_object_of_its_scope)
{
	must_run(former_object, NULL);
}

/* ---- policies and results ---- */

static int has_no_results(void *arg)
{
	struct scope_options any = {.policy = SCOPE_ANY};
	struct scope_result result;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &any), 0);
	CHECK_EQ(scope_spawn(&s, count, NULL), 0);
	CHECK_EQ(scope_next(&s, &result), -EINVAL);
	return scope_close(&s);
}

Test(rare, R4_a_scope_of_another_policy_has_no_next_einval)
{
	must_run(has_no_results, NULL);
}

static struct scope *dropping;

/* A result that nobody took: to give it back takes a task. */
static void drop_by_task(void *arg)
{
	CHECK_EQ(scope_spawn(dropping, count, arg), 0);
}

static void drop_once(void *arg)
{
	if (atomic_fetch_add((atomic_int *)arg, 1) == 0)
		drop_by_task(arg);
}

static int drops_once(void *arg)
{
	struct scope_options results = {.results = true, .drop = drop_once};
	static atomic_int drops;
	struct scope s;

	(void)arg;
	ran = 0;
	drops = 0;
	dropping = &s;
	CHECK_EQ(scope_open_with(&s, &results), 0);
	CHECK_EQ(scope_spawn(&s, count, (void *)&drops), 0);
	CHECK_EQ(scope_close(&s), 0);
	/* That of the task that was spawned by the drop comes too late to be kept. */
	CHECK_EQ(ran, 2);
	CHECK_EQ(drops, 2);
	return 0;
}

Test(rare, R3_a_drop_that_spawns_is_waited_for)
{
	must_run(drops_once, NULL);
}

static int spawns_many_at_once(void *arg)
{
	struct scope_options results = {.results = true}, limited = {.max_tasks = 2};
	struct scope_result result;
	int values[3] = {0}, i;
	struct scope s;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &results), 0);
	CHECK_EQ(scope_spawn_n(&s, count, values, sizeof(values[0]), 3), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_next(&s, &result), 0);
	CHECK_EQ(scope_next(&s, &result), -ENOENT);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_open_with(&s, &limited), 0);
	CHECK_EQ(scope_spawn_n(&s, count, values, sizeof(values[0]), 3), -EINVAL);
	CHECK_EQ(scope_spawn_n(&s, count, values, sizeof(values[0]), 2), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 5);
	return 0;
}

Test(rare, R4_a_range_has_a_result_for_each)
{
	must_run(spawns_many_at_once, NULL);
}

/* ---- starts ---- */

static int is_no_start(void *arg)
{
	CHECK_EQ(scope_started(), -EPERM);
	return count(arg);
}

static int service_starts(void *arg)
{
	static const struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, is_no_start, NULL, &service), 0);
	while (ran < 1)
		CHECK_EQ(scope_yield(), 0);
	return scope_close(&s);
}

Test(rare, a_service_that_nobody_starts_has_not_started_eperm)
{
	must_run(service_starts, NULL);
}

static int ends_cancelled(void *arg)
{
	(void)arg;
	return -ECANCELED;
}

static int start_is_cancelled(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_start(&s, ends_cancelled, NULL), -ECANCELED);
	scope_close(&s);
	return 0;
}

Test(rare, a_task_that_ends_with_ecanceled_did_not_start)
{
	must_run(start_is_cancelled, NULL);
}

/* ---- many errors ---- */

enum { MANY = 70 };

static int fails(void *arg)
{
	count(arg);
	return -EIO;
}

/* First what another such scope returned, which was handed on with all that was counted there. */
static int fails_often(void *arg)
{
	struct scope_options all = {.policy = SCOPE_AWAIT_ALL};
	struct scope s;
	int i;

	CHECK_EQ(scope_open_with(&s, &all), 0);
	for (i = 0; i < MANY; i++)
		CHECK_EQ(scope_spawn(&s, fails, NULL), 0);
	/* The last one is the first to run. */
	if (arg)
		CHECK_EQ(scope_spawn(&s, fails_often, NULL), 0);
	return scope_close(&s);
}

static unsigned long long counted(const struct scope_error *error, int code)
{
	const struct scope_error_count *each;
	unsigned long long sum = 0;

	for (each = error->counts; each; each = each->next)
		sum += each->code == code ? each->count : 0;
	return sum;
}

static int counts_twice(void *arg)
{
	const struct scope_error *error;

	(void)arg;
	ran = 0;
	CHECK_EQ(fails_often(&ran), -EIO);
	CHECK_EQ(ran, 2 * MANY);
	error = scope_last_error();
	CHECK(error && counted(error, -EIO) >= 2 * (MANY - 64));
	return 0;
}

Test(rare, E3_errors_beyond_those_kept_are_counted_on_each_level)
{
	cr_assert_eq(run(counts_twice, NULL, 1), 0);
}

static int none_succeeds(void *arg)
{
	struct scope_options any = {.policy = SCOPE_ANY};
	struct scope s;
	int i;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_open_with(&s, &any), 0);
	for (i = 0; i < MANY + 10; i++)
		CHECK_EQ(scope_spawn(&s, fails, NULL), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(ran, MANY + 10);
	return 0;
}

Test(rare, R2_of_very_many_ways_none_works)
{
	must_run(none_succeeds, NULL);
}

/* ---- soft stops ---- */

static int stops_below(void *arg)
{
	struct scope inner;

	(void)arg;
	CHECK_EQ(scope_soft_begin(), 0);
	scope_open(&inner);
	scope_shutdown(&inner, SCOPE_SEC);
	CHECK_EQ(scope_checkpoint(), -ESHUTDOWN);
	CHECK_EQ(scope_spawn(&inner, count, NULL), 0);
	CHECK_EQ(scope_close(&inner), 0);
	/* The stop ended with the scope, the region did not. */
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_yield(), 0);
	CHECK_EQ(scope_soft_end(), 0);
	return 0;
}

Test(rare, G2_a_soft_stop_below_ends_with_its_scope)
{
	must_run(stops_below, NULL);
}

/* ---- scopes that are left open ---- */

static struct scope_cause_info info;

static int asks_why(void *arg)
{
	struct scope s;
	size_t size;
	char *text;
	FILE *file;

	CHECK_EQ(scope_sleep_until(SCOPE_NEVER), -ECANCELED);
	scope_cause(arg, &info);
	/* So is it in an error of what still works there. */
	scope_open(&s);
	scope_fail(&s, -EIO, NULL);
	CHECK_EQ(scope_close(&s), -EIO);
	file = open_memstream(&text, &size);
	CHECK_EQ(scope_error_print(scope_last_error(), file), 0);
	fclose(file);
	CHECK(strstr(text, "returned and left"));
	free(text);
	return count(NULL);
}

static int leaves_one_open(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, asks_why, &s, &concurrent), 0);
	scope_yield();
	return fail_with(arg);
}

static int leaves_scopes_open(void *arg)
{
	struct scope s;
	int code = -EIO;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, leaves_one_open, &code, &concurrent), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK_EQ(ran, 1);
	CHECK_EQ(info.origin, SCOPE_CAUSE_RUNTIME);
	CHECK(strstr(info.path, "leaves_one_open"));
	return 0;
}

Test(rare, S11_C10_who_left_a_scope_open_is_named)
{
	skip_leaks_where_checked();
	/* On one worker it hears of both cancels at once: what was left is an error above, too. */
	cr_assert_eq(run(leaves_scopes_open, NULL, 1), 0);
}

static int within_leaves_open(void *arg)
{
	static struct scope s;

	(void)arg;
	scope_open(&s);
	return -EIO;
}

static int within(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_within(SCOPE_SEC, within_leaves_open, NULL), -EBUSY);
	return 0;
}

static int within_task(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, within, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	return 0;
}

Test(rare, S11_T2_a_scope_left_open_within_a_timeout)
{
	skip_leaks_where_checked();
	must_run(within_task, NULL);
}

/* ---- seeds ---- */

static int calls_both(void *arg)
{
	(void)arg;
	ran = 0;
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_both(count, NULL, count, NULL), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(rare, Z2_both_gives_way_under_a_seed)
{
	struct scope_config config = {.workers = 1, .seed = 1, .flags = SCOPE_VIRTUAL_CLOCK};

	cr_assert_eq(run_config(calls_both, NULL, config), 0);
}

/* ---- signals ---- */

static int opens_and_closes(void *arg)
{
	struct scope_signal *stream;

	(void)arg;
	CHECK_EQ(scope_signal_open(SIGINT, &stream), 0);
	scope_signal_close(stream);
	return 0;
}

Test(rare, I4_a_stream_of_interrupts_where_the_run_takes_none)
{
	must_run(opens_and_closes, NULL);
}

static struct scope_signal *stream;

static int reads(void *arg)
{
	CHECK_EQ(scope_signal_next(stream), -ECANCELED);
	return count(arg);
}

/* Who waits at it was cancelled, and has not come back yet. */
static int closes_behind_a_cancel(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	CHECK_EQ(scope_signal_open(SIGUSR1, &stream), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, reads, NULL, &concurrent), 0);
	scope_yield();
	scope_cancel(&s);
	scope_signal_close(stream);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(rare, I4_a_stream_is_closed_while_its_reader_is_cancelled)
{
	cr_assert_eq(run(closes_behind_a_cancel, NULL, 1), 0);
}

/* ---- printing ---- */

static char long_text[200];

/* Errors whose texts have that length: lines go out when there is enough of them. */
static int fails_with_text(void *arg)
{
	struct scope s;
	int rc;

	scope_open(&s);
	scope_fail(&s, -EIO, "%.*s", (int)(uintptr_t)arg, long_text);
	rc = scope_close(&s);
	return rc;
}

static int prints(void *arg)
{
	struct scope_options all = {.policy = SCOPE_AWAIT_ALL};
	FILE *full = fopen("/dev/full", "w"), *file;
	uintptr_t length, i;
	char *text;
	size_t size;
	struct scope s;

	(void)arg;
	memset(long_text, 'x', sizeof(long_text) - 1);
	setvbuf(full, NULL, _IONBF, 0);
	for (length = 1; length < sizeof(long_text); length += 3) {
		CHECK_EQ(scope_open_with(&s, &all), 0);
		for (i = 0; i < 20; i++)
			CHECK_EQ(scope_spawn(&s, fails_with_text, (void *)length), 0);
		CHECK_EQ(scope_close(&s), -EIO);
		CHECK_EQ(scope_error_print(scope_last_error(), full), -EIO);
		file = open_memstream(&text, &size);
		CHECK_EQ(scope_error_print(scope_last_error(), file), 0);
		fclose(file);
		CHECK(size > 20 * length && text[size - 1] == '\n');
		free(text);
	}
	fclose(full);
	return 0;
}

Test(rare, E7_errors_of_any_length_are_printed_whole_or_refused_eio)
{
	must_run(prints, NULL);
}
