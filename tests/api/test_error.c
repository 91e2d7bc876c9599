/* tests/api/test_error.c: errors and their records: rules E1 to E8.
 *
 * Paths name functions, so the tasks here have names that a test can look for.
 */
#include "task_check.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

TestSuite(error, .timeout = 60);

#define CHECK_SAYS(text, part) CHECK(strstr(text, part) != NULL)

/* What the reporter was given. */
static struct {
	char text[65536];
	size_t used;
	unsigned calls;
	int partial; /* a call that did not end with a line */
} reported;

static void take_report(const char *text, size_t length, void *arg)
{
	CHECK(arg == &reported);
	reported.calls++;
	reported.partial |= length == 0 || text[length - 1] != '\n';
	if (length > sizeof(reported.text) - 1 - reported.used)
		length = sizeof(reported.text) - 1 - reported.used;
	memcpy(reported.text + reported.used, text, length);
	reported.used += length;
}

static int run_for(scope_task_fn *fn, void *arg)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_DETECT_DEADLOCK,
				      .report = take_report,
				      .report_arg = &reported};

	memset(&reported, 0, sizeof(reported));
	return run_config(fn, arg, config);
}

static void run_clean(scope_task_fn *fn)
{
	int rc = run_for(fn, NULL);

	cr_assert_eq(rc, 0, "the run gave %d", rc);
	cr_assert_eq(reported.calls, 0, "reported: %s", reported.text);
}

static int give_code(void *arg)
{
	return *(int *)arg;
}

static int sleep_for_ever(void *arg)
{
	*(int *)arg = scope_sleep_until(SCOPE_NEVER);
	return 0;
}

/* Sleeps whatever is cancelled. */
static void sleep_shielded(int64_t duration_ns)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_sleep_for(duration_ns), 0);
	CHECK_EQ(scope_close(&s), 0);
}

/* ---- E1 ------------------------------------------------------------------------------ */

static const int codes[] = {-EIO, -1, 1, 42, -4095, INT32_MIN, INT32_MAX, -ECANCELED, -ETIMEDOUT};

static int codes_pass(void *arg)
{
	struct scope s;
	size_t i;

	(void)arg;
	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int code = codes[i];

		scope_open(&s);
		CHECK_EQ(scope_spawn(&s, give_code, &code), 0);
		CHECK_EQ(scope_close(&s), code);
		CHECK_EQ(scope_last_error()->code, code);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, give_code, &code, &concurrent), 0);
		CHECK_EQ(scope_close(&s), code);
		scope_open(&s);
		CHECK_EQ(scope_spawn_copy(&s, give_code, &code, sizeof(code)), 0);
		CHECK_EQ(scope_close(&s), code);
		scope_open(&s);
		CHECK_EQ(scope_spawn_n(&s, give_code, &code, 0, 3), 0);
		CHECK_EQ(scope_close(&s), code);
		scope_open(&s);
		CHECK_EQ(scope_fail(&s, code, NULL), code);
		CHECK_EQ(scope_close(&s), code);
	}
	return 0;
}

Test(error, E1_every_nonzero_result_passes_unchanged)
{
	run_clean(codes_pass);
}

Test(error, E1_the_result_of_main_passes_unchanged)
{
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int code = codes[i];

		cr_assert_eq(run_for(give_code, &code), code);
		cr_assert_gt(reported.calls, 0u, "%d was not reported", code);
	}
}

/* ---- E2 ------------------------------------------------------------------------------ */

static int first_error_cancels(void *arg)
{
	int64_t start = scope_now();
	int result[2] = {0, 0}, code = -EIO;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, sleep_for_ever, &result[0], &concurrent), 0);
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result[1]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, give_code, &code), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK(scope_cancel_called(&s));
	CHECK_EQ(result[0], -ECANCELED);
	CHECK_EQ(result[1], -ECANCELED);
	CHECK_EQ(scope_now(), start + SCOPE_MS);
	CHECK_EQ(scope_checkpoint(), 0);
	return 0;
}

Test(error, E2_first_error_cancels_the_scope)
{
	run_clean(first_error_cancels);
}

static int body_fails(void *arg)
{
	struct scope outer, s;
	int result = 0;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_fail(&s, 0, NULL), 0);
	CHECK_EQ(scope_fail(&s, 0, "nothing %d", 1), 0);
	CHECK(!scope_cancel_called(&s));
	CHECK_EQ(scope_spawn(&s, sleep_for_ever, &result), 0);
	CHECK_EQ(scope_fail(&s, -EIO, NULL), -EIO);
	CHECK_EQ(scope_checkpoint(), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(result, -ECANCELED);
	/* A body that hands on its cancel did not fail. */
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_fail(&s, scope_checkpoint(), NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&outer);
	scope_open(&s);
	scope_cancel(&outer);
	CHECK_EQ(scope_fail(&s, -ECANCELED, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(error, E2_body_reports_its_own_failure)
{
	run_clean(body_fails);
}

static int fail_of_closed(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_fail(&s, -EIO, "late"), -ESTALE);
	return 0;
}

Test(error, E2_fail_estale)
{
	run_clean(fail_of_closed);
}

static int fail_of_another(void *arg)
{
	CHECK_EQ(scope_fail(arg, -EIO, NULL), -EPERM);
	return 0;
}

static int fail_of_not_owned(void *arg)
{
	struct scope s, younger;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, fail_of_another, &s), 0);
	CHECK_EQ(scope_spawn_with(&s, fail_of_another, &s, &concurrent), 0);
	scope_open(&younger);
	CHECK_EQ(scope_fail(&s, -EIO, NULL), -EPERM);
	CHECK_EQ(scope_close(&younger), 0);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(error, E2_fail_eperm)
{
	run_clean(fail_of_not_owned);
}

Test(error, E2_fail_enotconn)
{
	struct scope s;

	memset(&s, 0, sizeof(s));
	cr_assert_eq(scope_fail(&s, -EIO, NULL), -ENOTCONN);
	cr_assert_null(scope_last_error());
}

/* ---- E3 ------------------------------------------------------------------------------ */

/* Fails after as many milliseconds as its code says, whatever is cancelled. */
static int fail_later(void *arg)
{
	int code = *(int *)arg;

	sleep_shielded(code * SCOPE_MS);
	return code;
}

static int cancelled_child(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

static int suppressed_in_order(void *arg)
{
	static const int order[] = {5, 2, 8, 1, 4, 7, 3, 6};
	const struct scope_error *error;
	int code[8], i;
	struct scope s;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 8; i++) {
		code[i] = order[i];
		CHECK_EQ(scope_spawn_with(&s, fail_later, &code[i], i % 2 ? &concurrent : NULL), 0);
		CHECK_EQ(scope_spawn(&s, cancelled_child, NULL), 0);
	}
	CHECK_EQ(scope_close(&s), 1);
	error = scope_last_error();
	CHECK_EQ(error->code, 1);
	error = error->suppressed;
	for (i = 2; i <= 8 && error; i++, error = error->next)
		CHECK_EQ(error->code, i);
	CHECK_EQ(i, 9);
	CHECK(error == NULL);
	CHECK_EQ(scope_last_error()->uncounted, 0);
	return 0;
}

Test(error, E3_later_errors_are_kept_in_order)
{
	run_clean(suppressed_in_order);
}

static int nobody_cancelled(void *arg)
{
	int code = -ECANCELED;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, give_code, &code), 0);
	CHECK_EQ(scope_close(&s), -ECANCELED);
	CHECK(scope_cancel_called(&s));
	CHECK(scope_last_error() != NULL && scope_last_error()->code == -ECANCELED);
	CHECK_EQ(scope_checkpoint(), 0);
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_fail(&s, -ECANCELED, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(error, E3_ecanceled_of_a_task_that_nobody_cancelled_is_an_error)
{
	run_clean(nobody_cancelled);
}

/* ---- E4 ------------------------------------------------------------------------------ */

static int many_errors(void *arg)
{
	int count = *(int *)arg, i;
	const struct scope_error *error;
	struct scope s;

	scope_open(&s);
	for (i = 1; i <= count; i++)
		CHECK_EQ(scope_fail(&s, i, NULL), i);
	CHECK_EQ(scope_close(&s), 1);
	error = scope_last_error();
	CHECK_EQ(error->uncounted, count > 64 ? count - 64 : 0);
	error = error->suppressed;
	for (i = 2; error; i++, error = error->next)
		CHECK_EQ(error->code, i);
	CHECK_EQ(i - 1, count > 64 ? 64 : count);
	return 0;
}

Test(error, E4_sixty_four_are_kept_and_the_rest_counted)
{
	static const int counts[] = {1, 2, 63, 64, 65, 66, 1000};
	size_t i;

	for (i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		int count = counts[i];

		cr_assert_eq(run_for(many_errors, &count), 0);
	}
}

/* None is lost either when they come from many workers at once. */
static int many_failing_tasks(void *arg)
{
	const struct scope_error *error;
	int code = -EIO, kept = 1, i;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, give_code, &code, 0, 700), 0);
	for (i = 0; i < 100; i++)
		if (scope_spawn_with(&s, give_code, &code, &concurrent) < 0)
			break;
	CHECK_EQ(scope_close(&s), -EIO);
	for (error = scope_last_error()->suppressed; error; error = error->next)
		kept++;
	CHECK_EQ(kept, 64);
	CHECK_EQ(scope_last_error()->uncounted, 700 + i - 64);
	return 0;
}

Test(error, E4_errors_of_all_workers_are_counted)
{
	run_clean(many_failing_tasks);
}

/* Further ones are counted by their codes, those of 256 codes. */
static int many_codes(void *arg)
{
	const struct scope_error_count *each;
	uint64_t sum = 0;
	int i, codes = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 64; i++)
		scope_fail(&s, -EIO, NULL);
	for (i = 0; i < 300; i++)
		scope_fail(&s, 1 + i % 3, NULL);
	for (i = 0; i < 7; i++)
		scope_fail(&s, -EIO, NULL);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(scope_last_error()->uncounted, 307);
	for (each = scope_last_error()->counts; each; each = each->next, codes++) {
		CHECK_EQ(each->count, each->code == -EIO ? 7 : 100);
		sum += each->count;
	}
	CHECK_EQ(codes, 4);
	CHECK_EQ(sum, 307);

	scope_open(&s);
	for (i = 1; i <= 64 + 256 + 44; i++)
		scope_fail(&s, i, NULL);
	CHECK_EQ(scope_close(&s), 1);
	CHECK_EQ(scope_last_error()->uncounted, 300);
	for (codes = 0, each = scope_last_error()->counts; each; each = each->next)
		CHECK_EQ(each->code, 65 + codes++);
	CHECK_EQ(codes, 256);
	return 0;
}

Test(error, E4_errors_past_those_kept_are_counted_by_code)
{
	run_clean(many_codes);
}

static int failing_child(void *arg)
{
	sleep_shielded(SCOPE_MS);
	return *(int *)arg;
}

static int record_fields(void *arg)
{
	int64_t start = scope_now();
	const struct scope_error *error;
	int code = -EIO;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, failing_child, &code), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	error = scope_last_error();
	CHECK_EQ(error->code, -EIO);
	CHECK_EQ(error->cause, SCOPE_CAUSE_NONE);
	CHECK_EQ(strcmp(error->text, ""), 0);
	CHECK_EQ(strcmp(error->path, "/record_fields/failing_child"), 0);
	CHECK((const char *)error->site > (const char *)(uintptr_t)record_fields);
	CHECK((const char *)error->site < (const char *)(uintptr_t)record_fields + 4096);
	CHECK_EQ(error->time_ns, start + SCOPE_MS);
	CHECK(error->context == NULL);
	CHECK(error->suppressed == NULL);
	CHECK_EQ(error->uncounted, 0);
	CHECK(error->counts == NULL);
	CHECK_EQ(error->site_kind, SCOPE_SITE_SPAWN);
	CHECK_EQ(strcmp(error->because, ""), 0);
	return 0;
}

Test(error, E4_record_has_code_path_site_and_time)
{
	run_clean(record_fields);
}

static int text_of_fail(void *arg)
{
	char huge[3000];
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_fail(&s, -EIO, "file %s, line %d", "a.txt", 17), -EIO);
	CHECK_EQ(scope_fail(&s, -EPROTO, "100%%"), -EPROTO);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK_EQ(strcmp(scope_last_error()->text, "file a.txt, line 17"), 0);
	CHECK_EQ(strcmp(scope_last_error()->path, "/text_of_fail"), 0);
	CHECK_EQ(strcmp(scope_last_error()->suppressed->text, "100%"), 0);
	memset(huge, 'x', sizeof(huge) - 1);
	huge[sizeof(huge) - 1] = '\0';
	scope_open(&s);
	CHECK_EQ(scope_fail(&s, -E2BIG, "%s", huge), -E2BIG);
	CHECK_EQ(scope_close(&s), -E2BIG);
	CHECK(strlen(scope_last_error()->text) >= 100);
	CHECK_EQ(strncmp(scope_last_error()->text, huge, 100), 0);
	return 0;
}

Test(error, E4_text_of_scope_fail_is_kept)
{
	run_clean(text_of_fail);
}

/* ---- E4: paths ----------------------------------------------------------------------- */

static int leaf(void *arg)
{
	(void)arg;
	return -EIO;
}

static int branch(void *arg)
{
	unsigned flags = *(unsigned *)arg & 2 ? SCOPE_CONCURRENT : 0;
	const struct scope_spawn_options named = {.name = "twig", .flags = flags};
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, leaf, NULL, &named);
	return scope_close(&s);
}

/* The same path, whichever of the tasks have a stack of their own. */
static int paths(void *arg)
{
	unsigned how;

	(void)arg;
	for (how = 0; how < 4; how++) {
		const struct scope_spawn_options options = {
			.flags = how & 1 ? SCOPE_CONCURRENT : 0};
		struct scope outer, s;

		scope_open(&outer);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, branch, &how, &options), 0);
		CHECK_EQ(scope_close(&s), -EIO);
		CHECK(path_is(scope_last_error()->path, "/paths/branch/twig"));
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(error, E4_path_is_the_same_inlined_or_not)
{
	run_clean(paths);
}

static int leaf_of_range(void *arg)
{
	scope_yield();
	return *(int *)arg;
}

static int path_of_range(void *arg)
{
	const struct scope_error *error;
	static int codes_of_range[200];
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 200; i++)
		codes_of_range[i] = i % 20 ? 0 : -EIO;
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, leaf_of_range, codes_of_range, sizeof(int), 200), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	CHECK(path_is(scope_last_error()->path, "/path_of_range/leaf_of_range"));
	for (error = scope_last_error()->suppressed; error; error = error->next)
		CHECK(path_is(error->path, "/path_of_range/leaf_of_range"));
	return 0;
}

Test(error, E4_path_of_a_range_names_its_function)
{
	run_clean(path_of_range);
}

/* ---- E5 ------------------------------------------------------------------------------ */

static int fail_first(int code)
{
	struct scope s;

	scope_open(&s);
	scope_fail(&s, code, "first");
	return scope_close(&s);
}

static int translate(void *arg)
{
	(void)arg;
	CHECK_EQ(fail_first(-EIO), -EIO);
	return -EPROTO;
}

static int hand_on(void *arg)
{
	(void)arg;
	return fail_first(-EIO);
}

static int handle(void *arg)
{
	(void)arg;
	CHECK_EQ(fail_first(-EIO), -EIO);
	return 0;
}

static int contexts(void *arg)
{
	const struct scope_error *error;
	struct scope s;
	int how;

	(void)arg;
	for (how = 0; how < 2; how++) {
		const struct scope_spawn_options *options = how ? &concurrent : NULL;

		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, translate, NULL, options), 0);
		CHECK_EQ(scope_close(&s), -EPROTO);
		error = scope_last_error();
		CHECK(path_is(error->path, "/contexts/translate"));
		CHECK(error->context != NULL);
		CHECK_EQ(error->context->code, -EIO);
		CHECK_EQ(strcmp(error->context->text, "first"), 0);
		CHECK(error->context->context == NULL);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, hand_on, NULL, options), 0);
		CHECK_EQ(scope_close(&s), -EIO);
		error = scope_last_error();
		CHECK_EQ(strcmp(error->text, "first"), 0);
		CHECK(path_is(error->path, "/contexts/hand_on"));
		CHECK(error->context == NULL);
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, handle, NULL, options), 0);
		CHECK_EQ(scope_close(&s), 0);
	}
	return 0;
}

Test(error, E5_context_is_the_error_that_was_in_hand)
{
	run_clean(contexts);
}

static int chain(void *arg)
{
	int code = *(int *)arg, below = code + 1;
	struct scope s;

	if (code == 20)
		return code;
	scope_open(&s);
	scope_spawn(&s, chain, &below);
	CHECK_EQ(scope_close(&s), below);
	return code;
}

static int long_chain(void *arg)
{
	const struct scope_error *error;
	int code = 1;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, chain, &code), 0);
	CHECK_EQ(scope_close(&s), 1);
	for (error = scope_last_error(); error; error = error->context)
		CHECK_EQ(error->code, code++);
	CHECK_EQ(code, 21);
	return 0;
}

Test(error, E5_contexts_form_a_chain)
{
	run_clean(long_chain);
}

/* ---- E6 ------------------------------------------------------------------------------ */

static int error_and_cancel(void *arg)
{
	struct scope outer, s;
	int order;

	(void)arg;
	for (order = 0; order < 2; order++) {
		scope_open(&outer);
		scope_open(&s);
		if (order == 0)
			scope_cancel(&outer);
		CHECK_EQ(scope_fail(&s, -EIO, NULL), -EIO);
		if (order == 1)
			scope_cancel(&outer);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&s), -EIO);
		CHECK_EQ(scope_checkpoint(), -ECANCELED);
		CHECK_EQ(scope_close(&outer), 0);
	}
	return 0;
}

Test(error, E6_error_goes_before_an_outer_cancel)
{
	run_clean(error_and_cancel);
}

/* ---- the life of a record ------------------------------------------------------------ */

static int last_error_stays(void *arg)
{
	const struct scope_error *error;
	struct scope s;

	(void)arg;
	CHECK(scope_last_error() == NULL);
	CHECK_EQ(fail_first(-EIO), -EIO);
	error = scope_last_error();
	CHECK(error != NULL);
	/* Closes that give 0 leave it, parks too. */
	scope_open(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK(scope_last_error() == error);
	CHECK_EQ(error->code, -EIO);
	CHECK_EQ(strcmp(error->text, "first"), 0);
	CHECK_EQ(fail_first(-EPROTO), -EPROTO);
	CHECK_EQ(scope_last_error()->code, -EPROTO);
	return 0;
}

Test(error, E4_last_error_is_valid_until_the_next_nonzero_close)
{
	run_clean(last_error_stays);
}

static int sees_no_error(void *arg)
{
	(void)arg;
	CHECK(scope_last_error() == NULL);
	return 0;
}

static int has_its_own_error(void *arg)
{
	CHECK(scope_last_error() == NULL);
	CHECK_EQ(fail_first(*(int *)arg), *(int *)arg);
	CHECK_EQ(scope_last_error()->code, *(int *)arg);
	scope_yield();
	CHECK_EQ(scope_last_error()->code, *(int *)arg);
	return 0;
}

/* Children that run on this task's stack have records of their own. */
static int last_error_and_children(void *arg)
{
	const struct scope_error *error;
	int code[10], i, round;
	struct scope s;

	(void)arg;
	CHECK_EQ(fail_first(-EIO), -EIO);
	error = scope_last_error();
	for (round = 0; round < 10; round++) {
		scope_open(&s);
		for (i = 0; i < 10; i++) {
			code[i] = i + 1;
			CHECK_EQ(scope_spawn(&s, sees_no_error, NULL), 0);
			CHECK_EQ(scope_spawn_with(&s, has_its_own_error, &code[i],
						  i == round ? &concurrent : NULL),
				 0);
		}
		CHECK_EQ(scope_close(&s), 0);
		CHECK(scope_last_error() == error);
		CHECK_EQ(error->code, -EIO);
	}
	return 0;
}

Test(error, P3_inlined_children_have_last_errors_of_their_own)
{
	run_clean(last_error_and_children);
}

static int child_of_failed_parent(void *arg)
{
	CHECK(scope_last_error() == NULL);
	return *(int *)arg;
}

/* What the parent met before is no context of what its child does. */
static int no_context_from_the_parent(void *arg)
{
	int code = -EPROTO;
	struct scope s;

	(void)arg;
	CHECK_EQ(fail_first(-EIO), -EIO);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, child_of_failed_parent, &code), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	CHECK(scope_last_error()->context == NULL);
	return 0;
}

Test(error, P3_error_of_the_parent_is_no_context_of_an_inlined_child)
{
	run_clean(no_context_from_the_parent);
}

/* ---- printing ------------------------------------------------------------------------ */

static void print_last_error(char *text, size_t size)
{
	FILE *file = tmpfile();
	size_t length = 0;

	if (file) {
		CHECK_EQ(scope_error_print(scope_last_error(), file), 0);
		rewind(file);
		length = fread(text, 1, size - 1, file);
		fclose(file);
	}
	CHECK(length > 0);
	text[length] = '\0';
}

static int printed_tree(void *arg)
{
	int late[] = {2, 3};
	static char text[16384];
	const char *also;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, fail_later, &late[0], &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, fail_later, &late[1], &concurrent), 0);
	CHECK_EQ(scope_spawn(&s, translate, NULL), 0);
	CHECK_EQ(scope_close(&s), -EPROTO);
	print_last_error(text, sizeof(text));
	CHECK_SAYS(text, "/printed_tree/translate");
	CHECK_SAYS(text, "EPROTO");
	CHECK_SAYS(text, strerror(EPROTO));
	CHECK_SAYS(text, "EIO");
	CHECK_SAYS(text, "first");
	/* The spawn of translate lies here, and the suppressed errors come in order. */
	CHECK_SAYS(text, "\n  spawned at printed_tree (tests/api/test_error.c:");
	also = strstr(text, "/printed_tree/fail_later");
	CHECK(also && strstr(also + 1, "/printed_tree/fail_later"));
	CHECK(also && strstr(also, "result 2") && strstr(strstr(also, "result 2"), "result 3"));
	CHECK_EQ(text[strlen(text) - 1], '\n');
	return 0;
}

Test(error, E7_error_print_shows_the_tree)
{
	run_clean(printed_tree);
}

static int printed_count(void *arg)
{
	static char text[65536];
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 1; i <= 100; i++)
		scope_fail(&s, -EIO, "e%d", i);
	CHECK_EQ(scope_close(&s), -EIO);
	print_last_error(text, sizeof(text));
	CHECK_SAYS(text, "e1");
	CHECK_SAYS(text, "e64");
	CHECK_SAYS(text, "\n  and 36 more: -EIO (Input/output error)\n");
	return 0;
}

Test(error, E7_error_print_shows_how_many_more)
{
	run_clean(printed_count);
}

/* ---- E7: the reporter ---------------------------------------------------------------- */

static int fail_main(void *arg)
{
	int code = -EIO;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_spawn(&s, translate, NULL);
	scope_spawn_with(&s, give_code, &code, &concurrent);
	return scope_close(&s);
}

Test(error, E7_unprinted_error_of_the_run_is_reported)
{
	int rc = run_for(fail_main, NULL);

	cr_assert(rc == -EPROTO || rc == -EIO, "the run gave %d", rc);
	cr_assert_gt(reported.calls, 0u);
	cr_assert_not(reported.partial, "not whole lines: %s", reported.text);
	cr_assert_not_null(strstr(reported.text, "/fail_main/"), "%s", reported.text);
	cr_assert_not_null(strstr(reported.text, rc == -EIO ? "EIO" : "EPROTO"), "%s",
			   reported.text);
}

static int print_and_fail(void *arg)
{
	char text[4096];
	int rc = fail_main(arg);

	print_last_error(text, sizeof(text));
	return rc;
}

Test(error, E7_printed_error_is_not_reported_again)
{
	int rc = run_for(print_and_fail, NULL);

	cr_assert(rc == -EPROTO || rc == -EIO, "the run gave %d", rc);
	cr_assert_eq(reported.calls, 0u, "reported again: %s", reported.text);
}

static int handled_in_main(void *arg)
{
	CHECK(fail_main(arg) != 0);
	return 0;
}

Test(error, E7_handled_error_is_not_reported)
{
	run_clean(handled_in_main);
}

/* ---- E8: stack overflow, in a process of its own ------------------------------------- */

/* Runs `program` with its standard error in `text`; its wait status. */
static int run_child(void (*program)(int), int arg, char *text, size_t size)
{
	size_t used = 0;
	int fd[2], status;
	ssize_t n;
	pid_t pid;

	cr_assert_eq(pipe(fd), 0);
	fflush(NULL);
	pid = fork();
	cr_assert_geq(pid, 0);
	if (pid == 0) {
		struct rlimit none = {0, 0};

		setrlimit(RLIMIT_CORE, &none);
		dup2(fd[1], 2);
		close(fd[0]);
		close(fd[1]);
		program(arg);
		_exit(0);
	}
	close(fd[1]);
	while ((n = read(fd[0], text + used, size - 1 - used)) > 0)
		used += (size_t)n;
	text[used] = '\0';
	close(fd[0]);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static __attribute__((noinline)) int swallow_stack(int left, volatile char *above)
{
	volatile char frame[1024];

	frame[0] = above ? above[0] : 1;
	if (left == 0)
		return frame[0];
	return swallow_stack(left - 1, frame) + frame[0];
}

static int overflowing_task(void *arg)
{
	(void)arg;
	return swallow_stack(INT32_MAX, NULL) ? 0 : -1;
}

static __attribute__((noinline)) int spawn_overflow_here(struct scope *s, unsigned flags)
{
	const struct scope_spawn_options options = {.flags = flags};

	return scope_spawn_with(s, overflowing_task, NULL, &options);
}

static int overflow_main(void *arg)
{
	unsigned flags = *(unsigned *)arg;
	struct scope s;

	scope_open(&s);
	spawn_overflow_here(&s, flags);
	return scope_close(&s);
}

static void overflow_program(int how)
{
	unsigned flags = how ? SCOPE_CONCURRENT : 0;
	struct scope_config config = {.workers = how == 2 ? 2 : 1, .flags = SCOPE_NO_SIGNALS};

	scope_run(overflow_main, &flags, &config);
}

static void overflow_in_main_program(int unused)
{
	struct scope_config config = {.flags = SCOPE_NO_SIGNALS};

	(void)unused;
	scope_run(overflowing_task, NULL, &config);
}

static void check_overflow(int status, const char *text, const char *path)
{
	cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT, "status %x: %s",
		  (unsigned)status, text);
	cr_assert_not_null(strstr(text, "stack overflow"), "%s", text);
	cr_assert_not_null(strstr(text, path), "%s", text);
}

Test(error, E8_stack_overflow_names_the_task_and_its_spawn)
{
	char text[16384];
	int how, status;

	for (how = 0; how < 3; how++) {
		status = run_child(overflow_program, how, text, sizeof(text));
		check_overflow(status, text, "/overflow_main/overflowing_task");
		cr_assert_not_null(strstr(text, "spawn_overflow_here"), "way %d: %s", how, text);
	}
}

Test(error, E8_stack_overflow_of_main_is_told)
{
	char text[16384];
	int status = run_child(overflow_in_main_program, 0, text, sizeof(text));

	check_overflow(status, text, "/overflowing_task");
}
