/* tests/unit/test_path.c: how tasks and scopes are called in text of any length: E4. */
#define _GNU_SOURCE
#include "api/task_check.h"
#include "scope/path.h"

#include <stdlib.h>
#include <string.h>

TestSuite(path, .timeout = 60);

/* ---- a trail in a buffer ---- */

enum { MOST = 6 };

/* The innermost task comes first. */
static struct sc_trail make_trail(struct sc_step *steps, unsigned depth, unsigned inner)
{
	static const char *const names[MOST] = {"ffffff", "eeeee", "dddd", "ccc", "bb", "a"};
	struct sc_trail trail = {steps, inner, MOST - inner, depth, 1};
	unsigned i;

	for (i = 0; i < depth; i++)
		steps[i] = (struct sc_step){NULL, names[MOST - depth + i], 1};
	return trail;
}

static int is_end_of(const char *text, const char *whole)
{
	size_t length = strlen(text), all = strlen(whole);

	return length <= all && strcmp(whole + all - length, text) == 0;
}

/* Whatever the room: the beginning of the path, a mark where tasks are left out, its end. */
static void check_print(const struct sc_trail *trail, const char *whole, size_t size)
{
	char *out = malloc(size), *cut;
	size_t before;

	sc_trail_print(trail, out, size);
	cr_assert_lt(strlen(out), size);
	cut = strstr(out, "/…");
	before = cut ? (size_t)(cut - out) : strlen(out);
	/* A quarter of the room is kept for the outermost. */
	if (strlen(whole) + size / 4 < size)
		cr_expect_str_eq(out, whole);
	else if (cut)
		cr_expect(strncmp(out, whole, before) == 0 &&
			  is_end_of(cut + strlen("/…"), whole), "%zu: %s", size, out);
	else
		cr_expect(is_end_of(out, whole), "%zu: %s", size, out);
	free(out);
}

Test(path, E4_a_path_of_any_length_fits_any_room)
{
	struct sc_step steps[MOST];
	unsigned depth, i;
	size_t size;

	for (depth = 1; depth <= MOST; depth++) {
		struct sc_trail trail = make_trail(steps, depth, MOST);
		char whole[64] = "";

		for (i = depth; i-- > 0;) {
			strcat(whole, "/");
			strcat(whole, steps[i].name);
		}
		for (size = 1; size < 40; size++)
			check_print(&trail, whole, size);
	}
}

Test(path, E4_a_path_whose_beginning_is_lost_says_so)
{
	struct sc_step steps[MOST];
	struct sc_trail trail = make_trail(steps, 2, MOST);
	char text[64];

	trail.known = 0;
	sc_trail_print(&trail, text, sizeof(text));
	cr_expect_str_eq(text, "(unknown)/a/bb");
}

/* ---- words ---- */

static int is_described(void *arg)
{
	uintptr_t place = sc_self()->cur;
	char text[1024];

	(void)arg;
	sc_describe(place, text, sizeof(text));
	CHECK(strstr(text, "task /describes/is_described"));
	CHECK(strstr(text, ", spawned at describes"));
	sc_describe_in_handler(place, text, sizeof(text));
	CHECK(strstr(text, ", spawned at describes+0x"));
	return 0;
}

static int describes(void *arg)
{
	struct scope_options options = {.name = "named"};
	char text[1024];
	struct scope s;

	(void)arg;
	sc_describe(sc_self()->cur, text, sizeof(text));
	CHECK_EQ(strcmp(text, "task /describes, spawned at scope_run"), 0);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	sc_describe_scope(sc_view(&s), text, sizeof(text));
	CHECK(strstr(text, "scope \"named\" opened at describes"));
	CHECK_EQ(scope_spawn(&s, is_described, NULL), 0);
	CHECK_EQ(scope_spawn_with(&s, is_described, NULL, &concurrent), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_open(&s);
	sc_describe_scope(sc_view(&s), text, sizeof(text));
	CHECK(strstr(text, "scope opened at describes"));
	CHECK_EQ(scope_close(&s), 0);
	options.deadline_ns = -1;
	CHECK_EQ(scope_open_with(&s, &options), -EINVAL);
	sc_describe_scope(sc_view(&s), text, sizeof(text));
	CHECK_EQ(strcmp(text, "a scope that scope_open_with refused"), 0);
	return 0;
}

Test(path, E4_tasks_and_scopes_are_described_by_where_they_come_from)
{
	must_run(describes, NULL);
}

/* ---- reports ---- */

static size_t longest;

static void measure(const char *text, size_t length, void *arg)
{
	(void)arg;
	longest = length;
	CHECK_EQ(strnlen(text, length), length);
}

static int reports(void *arg)
{
	(void)arg;
	sc_reportf("%5000d\n", 1);
	CHECK(longest > 1000 && longest < 5000);
	return 0;
}

Test(path, E7_a_report_that_is_too_long_is_cut)
{
	struct scope_config config = {.workers = 1, .report = measure};

	cr_assert_eq(run_config(reports, NULL, config), 0);
}

/* ---- the environment ---- */

static size_t reported;
static char report[4096];

static void keep_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (reported + length < sizeof(report)) {
		memcpy(report + reported, text, length);
		reported += length;
	}
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static void check_number(const char *text, int is_good)
{
	struct scope_config config = {.report = keep_report};

	reported = 0;
	memset(report, 0, sizeof(report));
	cr_assert_eq(setenv("SCOPE_SEED", text, 1), 0);
	cr_assert_eq(setenv("SCOPE_WORKERS", "1", 1), 0);
	cr_assert_eq(run_config(nothing, NULL, config), 0);
	cr_expect(is_good == (strstr(report, "is not a number: it is ignored") == NULL), "%s: %s",
		  text, report);
}

/* Each is told of once in a process, so of these one is what the test is about. */
Test(path, Z2_a_seed_of_letters_is_ignored)
{
	check_number("abc", 0);
}

Test(path, Z2_a_seed_with_a_sign_is_ignored)
{
	check_number("-1", 0);
}

Test(path, Z2_a_seed_that_ends_in_letters_is_ignored)
{
	check_number("12x", 0);
}

Test(path, Z2_a_seed_that_is_too_large_is_ignored)
{
	check_number("99999999999999999999999", 0);
}

Test(path, Z2_a_seed_is_any_number)
{
	check_number("0x10", 1);
	check_number("9", 1);
	check_number("", 1);
}
