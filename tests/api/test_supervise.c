/* tests/api/test_supervise.c: supervisors: rule V1. */
#include "task_check.h"

#include <limits.h>
#include <scope_local.h>
#include <scope_supervise.h>
#include <stdlib.h>
#include <string.h>

TestSuite(supervise, .timeout = 60);

/* ---- what happened, in its order ------------------------------------------------------------- */

enum { EVENTS = 100 };
static char events[EVENTS][2];
static atomic_uint happened;

static void note(char who, char what)
{
	unsigned at = atomic_fetch_add(&happened, 1);

	if (at < EVENTS) {
		events[at][0] = who;
		events[at][1] = what;
	}
}

/* Those that were started together begin in any order. */
static void sort_starts(void)
{
	unsigned i, k;

	for (i = 1; i < happened && i < EVENTS; i++)
		for (k = i; k > 0 && events[k][1] == '+' && events[k - 1][1] == '+' &&
			    events[k][0] < events[k - 1][0]; k--) {
			char name = events[k][0];

			events[k][0] = events[k - 1][0];
			events[k - 1][0] = name;
		}
}

static void expect(int line, const char *want)
{
	char got[3 * EVENTS + 1] = "";
	unsigned i;

	sort_starts();
	for (i = 0; i < happened && i < EVENTS; i++)
		sprintf(got + strlen(got), "%s%.2s", i ? " " : "", events[i]);
	if (strcmp(got, want) != 0) {
		printf("# line %d: \"%s\" instead of \"%s\"\n", line, got, want);
		check_eq(line, "what happened", 0, 1);
	}
}
#define EXPECT(want) expect(__LINE__, want)

/* ---- children -------------------------------------------------------------------------------- */

struct part {
	char name;
	int rc;          /* of the runs that end by themselves, the first `ends` */
	unsigned ends;
	int64_t lasts;   /* ... after so long */
	int64_t lingers; /* when it was stopped; what is left at the end of its grace is cut off */
	int soft;        /* may be stopped softly */
	int stopped_rc;  /* what it returns then if not 0 */
	atomic_uint runs;
};

static int rest_for(int64_t duration_ns)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_sleep_for(duration_ns), 0);
	return scope_close(&s);
}

/* Notes A+ when it begins, A! when it ends by itself, A- when it was stopped. */
static int run_part(void *arg)
{
	struct part *part = arg;
	int rc;

	note(part->name, '+');
	if (atomic_fetch_add(&part->runs, 1) < part->ends) {
		rc = scope_sleep_for(part->lasts);
		if (rc == 0) {
			note(part->name, '!');
			return part->rc;
		}
	} else {
		if (part->soft)
			CHECK_EQ(scope_soft_begin(), 0);
		rc = scope_sleep_until(SCOPE_NEVER);
		if (part->soft)
			CHECK_EQ(scope_soft_end(), 0);
	}
	if (part->lingers)
		CHECK_EQ(rest_for(part->lingers), 0);
	note(part->name, '-');
	return part->stopped_rc ? part->stopped_rc : rc;
}

/* Runs parts under a supervisor for a time, then cancels; what close returned. */
static int run_parts(struct part *parts, size_t count, struct scope_supervise_options *options,
		     int64_t duration_ns)
{
	struct scope_spawner spawner;
	struct scope s;
	size_t i;

	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, options, &spawner), 0);
	for (i = 0; i < count; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[i]), 0);
	if (scope_sleep_for(duration_ns) == 0)
		scope_cancel(&s);
	return scope_close(&s);
}

/* ---- kinds ----------------------------------------------------------------------------------- */

static int permanent(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = 10};
	struct part parts[] = {{.name = 'A', .ends = 2, .lasts = SCOPE_MS},
			       {.name = 'B', .ends = 1, .lasts = 5 * SCOPE_MS, .rc = -EIO}};

	(void)arg;
	CHECK_EQ(run_parts(parts, 2, &options, 100 * SCOPE_MS), 0);
	EXPECT("A+ B+ A! A+ A! A+ B! B+ B- A-");
	return 0;
}

Test(supervise, V1_a_permanent_child_is_started_again_whatever_it_returned)
{
	must_run(permanent, NULL);
}

static int transient(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TRANSIENT, .max_restarts = 10};
	struct part parts[] = {{.name = 'A', .ends = 9, .lasts = SCOPE_MS},
			       {.name = 'B', .ends = 2, .lasts = 5 * SCOPE_MS, .rc = -EIO}};

	(void)arg;
	CHECK_EQ(run_parts(parts, 2, &options, 100 * SCOPE_MS), 0);
	EXPECT("A+ B+ A! B! B+ B! B+ B-");
	return 0;
}

Test(supervise, V1_a_transient_child_is_started_again_after_an_error)
{
	must_run(transient, NULL);
}

static int transient_ends(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &(struct scope_supervise_options){
				 .restart = SCOPE_TRANSIENT}, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, count, NULL), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	CHECK_EQ(ran, 1);
	/* There are no children now, and there may be some again. */
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, count, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 2);
	return 0;
}

Test(supervise, V1_children_keep_the_scope_open_until_they_ended_for_good)
{
	must_run(transient_ends, NULL);
}

static int temporary(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TEMPORARY};
	struct part parts[] = {{.name = 'A', .ends = 9, .lasts = SCOPE_MS, .rc = -EIO},
			       {.name = 'B', .ends = 9, .lasts = 5 * SCOPE_MS, .rc = -EPIPE},
			       {.name = 'C', .ends = 9, .lasts = 9 * SCOPE_MS}};
	const struct scope_error *error;

	(void)arg;
	CHECK_EQ(run_parts(parts, 3, &options, 100 * SCOPE_MS), -EIO);
	EXPECT("A+ B+ C+ A! B! C!");
	error = scope_last_error();
	CHECK(path_is(error->path, "/temporary/run_part"));
	CHECK_EQ(error->suppressed->code, -EPIPE);
	CHECK(!error->suppressed->next);
	return 0;
}

Test(supervise, V1_a_temporary_child_is_not_started_again_and_its_error_is_listed)
{
	must_run(temporary, NULL);
}

/* What a temporary one left in the list does not keep later errors from cancelling. */
static int error_after_temporary(void *arg)
{
	static int code = -EDOM;
	struct scope_spawn_options temporary = {.restart = SCOPE_TEMPORARY};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, fail_with, &code, &temporary), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawn(&s, fail_with, &code), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), -ECANCELED);
	CHECK_EQ(scope_close(&s), -EDOM);
	return 0;
}

Test(supervise, E2_an_error_cancels_though_a_listed_one_came_before)
{
	must_run(error_after_temporary, NULL);
}

static int services(void *arg)
{
	struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	struct scope_spawn_options transient = {.restart = SCOPE_TRANSIENT};
	struct part parts[] = {{.name = 'A'}, {.name = 'B'},
			       {.name = 'C', .ends = 1, .lasts = SCOPE_MS}};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[0], &service), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[1], &service), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[2], &transient), 0);
	CHECK_EQ(scope_close(&s), 0);
	EXPECT("A+ B+ C+ C! B- A-");
	return 0;
}

Test(supervise, V1_S16_children_that_are_services_keep_nothing_open)
{
	must_run(services, NULL);
}

/* ---- strategies ------------------------------------------------------------------------------ */

static int strategy(void *arg)
{
	struct scope_supervise_options options = {.strategy = *(unsigned *)arg};
	struct part parts[] = {{.name = 'A'},
			       {.name = 'B', .ends = 1, .lasts = SCOPE_MS, .rc = -EIO},
			       {.name = 'C'}, {.name = 'D'}};

	CHECK_EQ(run_parts(parts, 4, &options, 100 * SCOPE_MS), 0);
	if (options.strategy == SCOPE_ONE_FOR_ONE)
		EXPECT("A+ B+ C+ D+ B! B+ D- C- B- A-");
	else if (options.strategy == SCOPE_ONE_FOR_ALL)
		EXPECT("A+ B+ C+ D+ B! D- C- A- A+ B+ C+ D+ D- C- B- A-");
	else
		EXPECT("A+ B+ C+ D+ B! D- C- B+ C+ D+ D- C- B- A-");
	return 0;
}

Test(supervise, V1_one_for_one_starts_the_child_that_ended)
{
	unsigned which = SCOPE_ONE_FOR_ONE;

	must_run(strategy, &which);
}

Test(supervise, V1_one_for_all_stops_all_and_starts_all)
{
	unsigned which = SCOPE_ONE_FOR_ALL;

	must_run(strategy, &which);
}

Test(supervise, V1_rest_for_one_stops_and_starts_those_that_came_after)
{
	unsigned which = SCOPE_REST_FOR_ONE;

	must_run(strategy, &which);
}

/* What is not started again is not started with others either. */
static int group_without(void *arg)
{
	struct scope_supervise_options options = {.strategy = SCOPE_ONE_FOR_ALL};
	struct scope_spawn_options temporary = {.restart = SCOPE_TEMPORARY};
	struct scope_spawn_options transient = {.restart = SCOPE_TRANSIENT};
	struct part parts[] = {{.name = 'A', .ends = 1, .lasts = 2 * SCOPE_MS, .rc = -EIO},
			       {.name = 'B', .stopped_rc = -EPIPE},
			       {.name = 'C', .ends = 1, .lasts = SCOPE_MS},
			       {.name = 'D', .stopped_rc = -EDOM}};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[0]), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[1], &temporary), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[2], &transient), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[3], &transient), 0);
	CHECK_EQ(scope_sleep_for(100 * SCOPE_MS), 0);
	EXPECT("A+ B+ C+ D+ C! A! D- B- A+ D+");
	scope_cancel(&s);
	/* The error of the temporary one was listed, and what comes at the end is one too; that of
	 * D in between was dealt with. */
	CHECK_EQ(scope_close(&s), -EPIPE);
	CHECK_EQ(scope_last_error()->suppressed->code, -EDOM);
	CHECK(!scope_last_error()->suppressed->next);
	return 0;
}

Test(supervise, V1_a_group_leaves_out_the_temporary_and_who_ended_for_good)
{
	must_run(group_without, NULL);
}

/* While C lingers, and B waits to be started again, A ends: its turn comes when C has ended. */
static int during_group(void *arg)
{
	struct scope_supervise_options options = {
		.strategy = SCOPE_REST_FOR_ONE, .max_restarts = 9, .grace_ns = SCOPE_SEC};
	struct part parts[] = {
		{.name = 'A', .ends = 1, .lasts = 4 * SCOPE_MS, .rc = -EIO},
		{.name = 'B', .ends = 1, .lasts = SCOPE_MS, .rc = -EPIPE},
		{.name = 'C', .lingers = 10 * SCOPE_MS, .soft = 1},
		{.name = 'D', .ends = 1, .lasts = 3 * SCOPE_MS},
		{.name = 'E', .soft = 1}};
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[i]), 0);
	CHECK_EQ(scope_sleep_for(2 * SCOPE_MS), 0);
	/* Spawned while the others are stopped: is none of them. */
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[4]), 0);
	CHECK_EQ(scope_sleep_for(100 * SCOPE_MS), 0);
	EXPECT("A+ B+ C+ D+ B! E+ D! A! C- E- A+ B+ C+ D+ E+");
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(supervise, V1_who_ends_while_a_group_is_stopped_has_to_wait)
{
	must_run(during_group, NULL);
}

/* ---- how often ------------------------------------------------------------------------------- */

static int too_often(void *arg)
{
	struct scope_supervise_options options = {.name = "pool", .grace_ns = SCOPE_SEC};
	struct part parts[] = {{.name = 'A', .soft = 1},
			       {.name = 'B', .ends = 9, .lasts = SCOPE_SEC, .rc = -EIO},
			       {.name = 'C', .soft = 1}};
	const struct scope_error *error;

	(void)arg;
	CHECK_EQ(run_parts(parts, 3, &options, 100 * SCOPE_SEC), -EIO);
	EXPECT("A+ B+ C+ B! B+ B! C- A-");
	error = scope_last_error();
	CHECK_EQ(error->code, -EIO);
	CHECK(path_is(error->path, "/too_often/pool"));
	CHECK_EQ(strcmp(error->text, "supervisor \"pool\": more than 1 restart in 5.000 s"), 0);
	CHECK(error->context && path_is(error->context->path, "/too_often/run_part"));
	CHECK(error->suppressed && path_is(error->suppressed->path, "/too_often/run_part"));
	CHECK(!error->suppressed->next);
	CHECK_EQ(error->time_ns - error->suppressed->time_ns, SCOPE_SEC);
	return 0;
}

Test(supervise, V1_more_restarts_than_are_allowed_fail_the_scope)
{
	must_run(too_often, NULL);
}

static int often_enough(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = 2, .period_ns = SCOPE_SEC};
	struct part steady[] = {{.name = 'A', .ends = 9, .lasts = SCOPE_SEC / 2, .rc = -EIO}};
	struct part hasty[] = {
		{.name = 'B', .ends = 4, .lasts = 5 * SCOPE_SEC, .rc = -EIO},
		{.name = 'C', .ends = 9, .lasts = SCOPE_SEC / 2 - 1, .rc = -EDOM}};

	(void)arg;
	/* Those at 0.5 s and 1.0 s go on counting at 1.5 s; a period later they would not. */
	CHECK_EQ(run_parts(steady, 1, &options, 100 * SCOPE_SEC), -EIO);
	CHECK_EQ(steady[0].runs, 3);
	options.period_ns = SCOPE_SEC - 1;
	steady[0].runs = 0;
	CHECK_EQ(run_parts(steady, 1, &options, 100 * SCOPE_SEC), 0);
	CHECK_EQ(steady[0].runs, 10);
	/* Of the errors only those of the period are told. */
	hasty[1].ends = 0;
	CHECK_EQ(run_parts(hasty, 2, &options, 100 * SCOPE_SEC), 0);
	hasty[0].runs = hasty[1].runs = 0;
	hasty[1].ends = 9;
	CHECK_EQ(run_parts(hasty, 2, &options, 100 * SCOPE_SEC), -EDOM);
	return 0;
}

Test(supervise, V1_restarts_count_for_a_period)
{
	must_run(often_enough, NULL);
}

static int forgets(void *arg)
{
	struct scope_supervise_options options = {.period_ns = SCOPE_SEC};
	struct part parts[] = {{.name = 'A', .ends = 1, .lasts = SCOPE_SEC, .rc = -EPIPE},
			       {.name = 'B', .ends = 1, .lasts = 10 * SCOPE_SEC, .rc = -EDOM},
			       {.name = 'C', .ends = 1, .lasts = 10 * SCOPE_SEC + 1, .rc = -EIO}};
	const struct scope_error *error;

	(void)arg;
	CHECK_EQ(run_parts(parts, 3, &options, 100 * SCOPE_SEC), -EIO);
	error = scope_last_error();
	CHECK_EQ(error->code, -EIO);
	CHECK_EQ(error->context->code, -EIO);
	CHECK_EQ(error->suppressed->code, -EDOM);
	CHECK(!error->suppressed->next && !error->suppressed->suppressed);
	return 0;
}

Test(supervise, V1_E4_errors_of_earlier_periods_are_forgotten)
{
	must_run(forgets, NULL);
}

static int without_error(void *arg)
{
	struct part parts[] = {{.name = 'A', .ends = 9, .lasts = SCOPE_MS}};

	(void)arg;
	CHECK_EQ(run_parts(parts, 1, NULL, SCOPE_SEC), -ECHILD);
	EXPECT("A+ A! A+ A!");
	CHECK(!scope_last_error()->context);
	return 0;
}

Test(supervise, V1_restarts_without_an_error_count_too_echild)
{
	must_run(without_error, NULL);
}

static int no_limit(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = UINT_MAX};
	struct part parts[] = {{.name = 'A', .ends = 1000, .lasts = 1, .rc = -EIO}};

	(void)arg;
	parts[0].ends = SIMULATED ? 20 : 1000;
	CHECK_EQ(run_parts(parts, 1, &options, SCOPE_SEC), 0);
	CHECK_EQ(parts[0].runs, parts[0].ends + 1);
	return 0;
}

Test(supervise, V1_restarts_without_limit)
{
	must_run(no_limit, NULL);
}

/* ---- pauses ---------------------------------------------------------------------------------- */

enum { STARTS = 9 };
static int64_t started_at[STARTS], ended_at[STARTS];
static atomic_uint starts;

/* Fails at once; the sixth run does so when a period has passed. */
static int fail_again(void *arg)
{
	unsigned at = atomic_fetch_add(&starts, 1);

	(void)arg;
	if (at >= STARTS)
		return scope_sleep_until(SCOPE_NEVER);
	started_at[at] = scope_now();
	if (at == 5 && scope_sleep_for(10 * SCOPE_SEC) < 0)
		return -ECANCELED;
	ended_at[at] = scope_now();
	return -EIO;
}

static int pauses(void *arg)
{
	static const int64_t want[STARTS] = {0, 10, 20, 40, 50, 50, 10, 20, 40};
	struct scope_supervise_options options = {
		.backoff_ns = 10 * SCOPE_MS, .max_backoff_ns = 50 * SCOPE_MS,
		.max_restarts = 100, .period_ns = 10 * SCOPE_SEC};
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	starts = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, fail_again, NULL), 0);
	CHECK_EQ(scope_sleep_for(100 * SCOPE_SEC), 0);
	CHECK_EQ(starts, STARTS + 1);
	for (i = 1; i < STARTS; i++) {
		int64_t pause = started_at[i] - ended_at[i - 1];

		CHECK(pause >= want[i] * SCOPE_MS / 2);
		CHECK(pause <= want[i] * SCOPE_MS);
	}
	scope_cancel(&s);
	return scope_close(&s);
}

Test(supervise, V1_pauses_are_doubled_until_a_child_has_run_for_a_period)
{
	must_run(pauses, NULL);
}

static int seeded_pauses(void *arg)
{
	int64_t *out = arg;
	int rc = pauses(NULL), i;

	for (i = 0; i < STARTS; i++)
		out[i] = started_at[i] - started_at[0];
	return rc;
}

Test(supervise, V1_Z2_a_seed_decides_the_pauses)
{
	struct scope_config config = {.workers = 1, .seed = 17, .flags = SCOPE_VIRTUAL_CLOCK};
	int64_t first[STARTS], second[STARTS];

	cr_assert_eq(run_config(seeded_pauses, first, config), 0);
	cr_assert_eq(run_config(seeded_pauses, second, config), 0);
	cr_assert(memcmp(first, second, sizeof first) == 0);
}

/* The first pause may be longer than the longest, which then is each. */
static int longest_pause(void *arg)
{
	struct scope_supervise_options options = {
		.backoff_ns = SCOPE_NEVER, .max_backoff_ns = 10 * SCOPE_MS, .max_restarts = 5};
	struct part parts[] = {{.name = 'A', .ends = 3, .rc = -EIO}};
	int64_t then = scope_now();

	(void)arg;
	CHECK_EQ(run_parts(parts, 1, &options, 31 * SCOPE_MS), 0);
	CHECK_EQ(parts[0].runs, 4);
	CHECK_EQ(scope_now() - then, 31 * SCOPE_MS);
	return 0;
}

Test(supervise, V1_no_pause_is_longer_than_the_longest)
{
	must_run(longest_pause, NULL);
}

/* Long pauses of one do not keep the others waiting. */
static int others_meanwhile(void *arg)
{
	struct scope_supervise_options options = {
		.backoff_ns = 10 * SCOPE_SEC, .max_backoff_ns = 10 * SCOPE_SEC,
		.max_restarts = 10};
	struct scope_spawn_options temporary = {.restart = SCOPE_TEMPORARY};
	struct part parts[] = {{.name = 'A', .ends = 1, .lasts = SCOPE_MS, .rc = -EIO},
			       {.name = 'B', .ends = 1, .lasts = 20 * SCOPE_SEC},
			       {.name = 'C', .ends = 1, .lasts = SCOPE_MS}};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[0]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[1]), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[2], &temporary), 0);
	CHECK_EQ(scope_sleep_for(50 * SCOPE_SEC), 0);
	EXPECT("A+ A! B+ C+ C! A+ B! B+");
	scope_cancel(&s);
	return scope_close(&s);
}

Test(supervise, V1_others_are_started_during_a_pause)
{
	must_run(others_meanwhile, NULL);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* Each has its own time; who needs longer is cut off. */
static int graces(void *arg)
{
	struct scope_supervise_options options = {.grace_ns = SCOPE_SEC};
	struct scope_spawn_options longer = {.grace_ns = 5 * SCOPE_SEC}, brief = {.grace_ns = 1};
	struct part parts[] = {{.name = 'A', .soft = 1, .lingers = SCOPE_MS},
			       {.name = 'B'}, {.name = 'C', .soft = 1}, {.name = 'D'}};
	struct scope_spawner spawner;
	struct scope outer, s;
	int64_t then;

	(void)arg;
	happened = 0;
	scope_open(&outer);
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[0]), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[1]), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[2], &brief), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[3], &longer), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	then = scope_now();
	if (*(int *)arg)
		scope_cancel(&outer);
	else
		scope_cancel(&s);
	CHECK_EQ(scope_close(&s), *(int *)arg ? -ECANCELED : 0);
	EXPECT("A+ B+ C+ D+ D- C- B- A-");
	CHECK_EQ(scope_now() - then, 6 * SCOPE_SEC + SCOPE_MS);
	CHECK_EQ(scope_close(&outer), 0);
	return 0;
}

Test(supervise, V1_a_cancel_ends_the_last_first_each_with_its_grace)
{
	int from_above[] = {0, 1};

	must_run(graces, &from_above[0]);
	must_run(graces, &from_above[1]);
}

/* A soft stop of 10 s: who listens ends at once, who has a grace of his own after it, the others
 * at the end of all. */
static int soft(void *arg)
{
	struct scope_spawn_options second = {.grace_ns = SCOPE_SEC};
	struct scope_spawn_options hour = {.grace_ns = 3600 * SCOPE_SEC};
	struct part parts[] = {{.name = 'A'}, {.name = 'B'}, {.name = 'C'},
			       {.name = 'D', .soft = 1}, {.name = 'E'}};
	struct scope_spawner spawner;
	struct scope s;
	int64_t then;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[0], &second), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[1], &hour), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, &parts[2], &second), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[3]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	then = scope_now();
	scope_shutdown(&s, 10 * SCOPE_SEC);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	EXPECT("A+ B+ C+ D+ D-");
	/* It takes new ones all the same, and waits for them. */
	parts[4].ends = 1;
	parts[4].lasts = 2 * SCOPE_SEC;
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[4]), 0);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	EXPECT("A+ B+ C+ D+ D- E+ C- E! B- A-");
	CHECK_EQ(scope_now() - then, 10 * SCOPE_SEC);
	return 0;
}

Test(supervise, V1_G2_a_soft_stop_starts_nobody_again)
{
	must_run(soft, NULL);
}

static int soft_all(void *arg)
{
	struct part parts[] = {{.name = 'A', .soft = 1}, {.name = 'B', .soft = 1},
			       {.name = 'C', .soft = 1}};
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[i]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	scope_shutdown(&s, 10 * SCOPE_SEC);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(parts[i].runs, 1);
	return 0;
}

Test(supervise, V1_G2_children_that_all_stop_softly_are_no_failure)
{
	must_run(soft_all, NULL);
}

/* A pause ends with a cancel, and nobody is started. */
static int cancel_in_pause(void *arg)
{
	struct scope_supervise_options options = {.backoff_ns = 10 * SCOPE_SEC};
	struct part parts[] = {{.name = 'A', .ends = 1, .lasts = SCOPE_MS, .rc = -EIO}};
	int64_t then = scope_now();

	(void)arg;
	CHECK_EQ(run_parts(parts, 1, &options, SCOPE_SEC), 0);
	EXPECT("A+ A!");
	CHECK_EQ(scope_now() - then, SCOPE_SEC);
	return 0;
}

Test(supervise, V1_a_cancelled_place_starts_nobody_again)
{
	must_run(cancel_in_pause, NULL);
}

/* The child fails and the scope is cancelled before the supervisor has looked. */
static int cancels_and_fails(void *arg)
{
	note('A', '+');
	scope_cancel(arg);
	return -EIO;
}

static int cancel_by_child(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, cancels_and_fails, &s), 0);
	CHECK_EQ(scope_close(&s), -EIO);
	EXPECT("A+");
	return 0;
}

Test(supervise, V1_an_error_that_no_restart_deals_with_is_one_of_the_scope)
{
	must_run(cancel_by_child, NULL);
}

/* Of a temporary child too: it does what the policy says. */
static int temporary_at_the_end(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TEMPORARY};
	struct part parts[] = {{.name = 'A', .stopped_rc = -EIO}};

	(void)arg;
	CHECK_EQ(run_parts(parts, 1, &options, SCOPE_SEC), -EIO);
	EXPECT("A+ A-");
	return 0;
}

Test(supervise, V1_an_error_at_the_end_is_one_of_the_scope)
{
	must_run(temporary_at_the_end, NULL);
}

/* What was accepted runs, though it is cancelled from the start. */
static int accepted(void *arg)
{
	struct part parts[] = {{.name = 'A'}, {.name = 'B'}};
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[i]), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(parts[i].runs, 1);
	return 0;
}

Test(supervise, S6_what_was_accepted_runs_ecanceled)
{
	must_run(accepted, NULL);
}

/* It comes to a group that is about to pause, and has to run all the same. */
static int add_and_fail(void *arg)
{
	if (atomic_fetch_add(&starts, 1) == 0)
		CHECK_EQ(scope_spawner_spawn(arg, count, NULL), 0);
	return -EIO;
}

static int accepted_in_group(void *arg)
{
	struct scope_supervise_options options = {
		.strategy = SCOPE_ONE_FOR_ALL, .backoff_ns = 10 * SCOPE_SEC,
		.restart = SCOPE_TRANSIENT};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	ran = starts = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, add_and_fail, &spawner), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(starts, 1);
	CHECK_EQ(ran, 1);
	return 0;
}

Test(supervise, S6_what_was_accepted_runs_though_its_group_pauses)
{
	must_run(accepted_in_group, NULL);
}

/* ---- on_exit --------------------------------------------------------------------------------- */

struct judge {
	unsigned asked;
	int answer;
	int rc; /* what the error is changed to */
};

static int judge(struct scope_result *result, void *arg)
{
	struct part *part = result->arg;
	struct judge *judge = arg;

	judge->asked++;
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(strcmp(result->name, "part"), 0);
	CHECK_EQ(result->rc, part->rc);
	if (part->rc != 0)
		CHECK(path_is(scope_last_error()->path, "/judged/part"));
	result->rc = judge->rc;
	return judge->answer;
}

/* What close returned, of a part that ends three times with an error. */
static int judged_so(struct part *part, unsigned restart, struct judge *how)
{
	struct scope_supervise_options options = {
		.on_exit = judge, .on_exit_arg = how, .restart = restart, .max_restarts = 10};
	struct scope_spawn_options named = {.name = "part"};
	struct scope_spawner spawner;
	struct scope s;

	happened = 0;
	part->runs = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, part, &named), 0);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, run_part, part, &named), 0);
	return scope_close(&s);
}

static int judged(void *arg)
{
	struct part part = {.name = 'A', .ends = 4, .lasts = SCOPE_MS, .rc = -EIO};
	struct judge how = {.answer = SCOPE_EXIT_CONTINUE};

	(void)arg;
	/* Dealt with: a transient child has ended without error then. */
	CHECK_EQ(judged_so(&part, SCOPE_TRANSIENT, &how), 0);
	CHECK_EQ(how.asked, 2);
	/* Another error. */
	how = (struct judge){.rc = -EDOM};
	CHECK_EQ(judged_so(&part, SCOPE_TEMPORARY, &how), -EDOM);
	CHECK_EQ(how.asked, 2);
	CHECK_EQ(scope_last_error()->context->code, -EIO);
	return 0;
}

Test(supervise, V1_on_exit_deals_with_errors)
{
	must_run(judged, NULL);
}

static int ends_all(struct scope_result *result, void *arg)
{
	struct part *part = result->arg;

	++*(unsigned *)arg;
	return part->name == 'B' ? SCOPE_EXIT_CANCEL : SCOPE_EXIT_RESTART;
}

static int answers(void *arg)
{
	unsigned asked = 0;
	struct scope_supervise_options options = {
		.on_exit = ends_all, .on_exit_arg = &asked, .restart = SCOPE_TEMPORARY,
		.max_restarts = 10};
	struct part parts[] = {{.name = 'A', .ends = 2, .lasts = SCOPE_MS},
			       {.name = 'B', .ends = 1, .lasts = 10 * SCOPE_MS}, {.name = 'C'}};
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &spawner), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[i]), 0);
	CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
	EXPECT("A+ B+ C+ A! A+ A! A+ B! C- A-");
	CHECK_EQ(asked, 5);
	/* It is over for all that it would be given. */
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(supervise, V1_on_exit_answers_ecanceled)
{
	must_run(answers, NULL);
}

/* ---- what children are given ----------------------------------------------------------------- */

static struct scope_local bound = {.name = "bound"};

/* Runs three times on what it was given at first. */
static int use_copy(void *arg)
{
	int *copy = arg;

	CHECK_EQ(*(int *)scope_local_get(&bound), 17);
	if (++*copy < 3)
		return -EIO;
	atomic_fetch_add(&ran, *copy);
	return 0;
}

struct copies {
	struct scope_spawner spawner;
	unsigned flags;
};

static int spawn_copies(void *arg)
{
	struct copies *copies = arg;
	int value = 0;
	struct scope_spawn_options options = {
		.copy_size = sizeof value, .flags = copies->flags, .restart = SCOPE_TRANSIENT};

	return scope_spawner_spawn_with(&copies->spawner, use_copy, &value, &options);
}

static int given(void *arg)
{
	struct scope_supervise_options options = {.max_restarts = 10};
	static const unsigned flags[] = {SCOPE_COPY_LOCALS, SCOPE_COPY_LOCALS | SCOPE_PINNED,
					 SCOPE_COPY_LOCALS | SCOPE_CONCURRENT | SCOPE_NOWAIT};
	struct copies copies;
	int value = 17, i;
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &options, &copies.spawner), 0);
	for (i = 0; i < 3; i++) {
		copies.flags = flags[i];
		CHECK_EQ(scope_local_with(&bound, &value, spawn_copies, &copies), 0);
	}
	CHECK_EQ(scope_checkpoint(), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 9);
	return 0;
}

Test(supervise, V1_L1_copies_stay_over_restarts)
{
	must_run(given, NULL);
}

/* A function that takes a spawner, and knows nothing of supervisors. */
static int add_workers(const struct scope_spawner *spawner, int workers)
{
	int rc = 0;

	while (rc == 0 && workers-- > 0)
		rc = scope_spawner_spawn(spawner, count, NULL);
	return rc;
}

static struct scope_spawner shared;

static int add_from_child(void *arg)
{
	(void)arg;
	return add_workers(&shared, 2);
}

static int any_function(void *arg)
{
	struct scope s;

	(void)arg;
	ran = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, &(struct scope_supervise_options){
				 .restart = SCOPE_TRANSIENT}, &shared), 0);
	CHECK_EQ(add_workers(&shared, 3), 0);
	CHECK_EQ(scope_spawner_spawn(&shared, add_from_child, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(ran, 5);
	return 0;
}

Test(supervise, V1_S8_its_spawner_is_one_as_any_other)
{
	must_run(any_function, NULL);
}

/* A supervisor as a child of one, which fails now and then. */
static struct part inner_parts[2];

static int inner(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &inner_parts[i]), 0);
	return scope_close(&s);
}

static int nested(void *arg)
{
	struct part parts[] = {{.name = 'A'}};
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	happened = 0;
	inner_parts[0] = (struct part){.name = 'B'};
	inner_parts[1] = (struct part){.name = 'C', .ends = 2, .lasts = SCOPE_MS, .rc = -EIO};
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, run_part, &parts[0]), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, inner, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	/* The second failure was too much for the inner one, which was started again itself. */
	EXPECT("A+ B+ C+ C! C+ C! B- B+ C+");
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	EXPECT("A+ B+ C+ C! C+ C! B- B+ C+ C- B- A-");
	return 0;
}

Test(supervise, V1_supervisors_of_supervisors)
{
	must_run(nested, NULL);
}

/* In an object, with a limit, with a policy: its children are none of their tasks. */
static int any_scope(void *arg)
{
	struct scope_options limited = {.max_tasks = 1}, any = {.policy = SCOPE_ANY};
	struct scope_supervise_options options = {.restart = SCOPE_TRANSIENT};
	struct scope outer, s;
	int i;

	(void)arg;
	for (i = 0; i < 3; i++) {
		ran = 0;
		scope_open(&outer);
		CHECK_EQ(i == 0 ? scope_open_in(&s, &outer)
				: scope_open_with(&s, i == 1 ? &limited : &any), 0);
		CHECK_EQ(scope_supervise(&s, &options, &shared), 0);
		CHECK_EQ(add_workers(&shared, 3), 0);
		CHECK_EQ(scope_wait_until(&s, SCOPE_NEVER), 0);
		CHECK_EQ(scope_close(&s), i == 2 ? -ENOENT : 0);
		CHECK_EQ(scope_close(&outer), 0);
		CHECK_EQ(ran, 3);
	}
	return 0;
}

Test(supervise, V1_of_any_scope)
{
	must_run(any_scope, NULL);
}

/* Closed with its parent. */
static int below(void *arg)
{
	struct part parts[] = {{.name = 'A'}, {.name = 'B'}};
	struct scope outer, s;
	int i;

	(void)arg;
	happened = 0;
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&s, &outer), 0);
	CHECK_EQ(scope_supervise(&s, NULL, &shared), 0);
	for (i = 0; i < 2; i++)
		CHECK_EQ(scope_spawner_spawn(&shared, run_part, &parts[i]), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&outer), 0);
	EXPECT("A+ B+ B- A-");
	return 0;
}

Test(supervise, V1_H1_below_a_scope_in_an_object)
{
	must_run(below, NULL);
}

/* Two of one scope end in the reverse order of their beginning. */
static int two(void *arg)
{
	struct scope_spawn_options service = {.flags = SCOPE_SERVICE};
	struct part parts[] = {{.name = 'A'}, {.name = 'B'}};
	struct scope_spawner first, second;
	struct scope s;

	(void)arg;
	happened = 0;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &first), 0);
	CHECK_EQ(scope_supervise(&s, NULL, &second), 0);
	CHECK_EQ(scope_spawner_spawn_with(&second, run_part, &parts[1], &service), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_spawner_spawn_with(&first, run_part, &parts[0], &service), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_close(&s), 0);
	EXPECT("A+ B+ B- A-");
	return 0;
}

Test(supervise, V1_S16_the_youngest_supervisor_ends_first)
{
	must_run(two, NULL);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static int wrong_options(void *arg)
{
	struct scope_supervise_options wrong[] = {
		{.strategy = 3}, {.restart = 4}, {.max_restarts = 10001}, {.period_ns = -1},
		{.backoff_ns = -1}, {.max_backoff_ns = -1}, {.max_backoff_ns = SCOPE_NEVER},
		{.grace_ns = -1}, {.reserved = {1}}};
	struct scope_spawn_options spawn[] = {
		{.restart = SCOPE_TRANSIENT}, {.grace_ns = 1}, {.restart = 4}, {.grace_ns = -1},
		{.reserved = {1}}, {.flags = 1u << 20}};
	struct scope_spawner spawner;
	struct scope s;
	size_t i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
		CHECK_EQ(scope_supervise(&s, &wrong[i], &spawner), -EINVAL);
	CHECK_EQ(scope_supervise(&s, NULL, NULL), -EINVAL);
	/* What is for supervisors only. */
	CHECK_EQ(scope_spawner_of(&s, &spawner), 0);
	for (i = 0; i < sizeof spawn / sizeof spawn[0]; i++) {
		CHECK_EQ(scope_spawn_with(&s, never_called, NULL, &spawn[i]), -EINVAL);
		CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, &spawn[i]),
			 -EINVAL);
	}
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	for (i = 2; i < sizeof spawn / sizeof spawn[0]; i++)
		CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, &spawn[i]),
			 -EINVAL);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(supervise, wrong_options_einval)
{
	must_run(wrong_options, NULL);
}

#ifndef SC_DEBUG
static int null_given(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_supervise(NULL, NULL, &spawner), -EINVAL);
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(supervise, NULL_einval)
{
	must_run(null_given, NULL);
}
#endif

static int closed(void *arg)
{
	struct scope_spawner spawner;
	struct scope outer, s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_spawner_spawn_with(&spawner, never_called, NULL, NULL), -ESTALE);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), -ESTALE);
	/* In an object, closed with its parent. */
	scope_open(&outer);
	CHECK_EQ(scope_open_in(&s, &outer), 0);
	CHECK_EQ(scope_close(&outer), 0);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), -ESTALE);
	return 0;
}

Test(supervise, S5_of_a_closed_scope_estale)
{
	must_run(closed, NULL);
}

static int cancelled(void *arg)
{
	struct scope_spawner spawner;
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_supervise(&s, NULL, &spawner), -ECANCELED);
	CHECK_EQ(scope_spawner_spawn(&spawner, never_called, NULL), -ESTALE);
	CHECK_EQ(scope_close(&s), 0);
	return 0;
}

Test(supervise, S6_of_a_cancelled_scope_ecanceled)
{
	must_run(cancelled, NULL);
}

Test(supervise, S2_outside_a_run_enotconn)
{
	struct scope_spawner spawner = {{0}};
	struct scope s;

	memset(&s, 0, sizeof s);
	cr_assert_eq(scope_supervise(&s, NULL, &spawner), -ENOTCONN);
}
