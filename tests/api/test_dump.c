/* tests/api/test_dump.c: what a program is told of its tasks while they run: O1. */
#include "task_check.h"

#include <ctype.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <scope_chan.h>
#include <scope_observe.h>
#include <scope_offload.h>
#include <scope_parallel.h>
#include <scope_sync.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

TestSuite(dump, .timeout = 60);

static char dumped[4 << 20];

static void read_dump(enum scope_dump_format format)
{
	FILE *file = tmpfile();
	size_t length;

	CHECK_EQ(scope_dump(fileno(file), format), 0);
	rewind(file);
	length = fread(dumped, 1, sizeof(dumped) - 1, file);
	dumped[length] = '\0';
	fclose(file);
}

/* Which task of a name has which number depends on who was seen first. */
static void forget_numbers(void)
{
	char *from = dumped, *to = dumped;

	while (*from)
		if (*from == '#')
			from += 1 + strspn(from + 1, "0123456789");
		else
			*to++ = *from++;
	*to = '\0';
}

static int says(const char *what)
{
	forget_numbers();
	return strstr(dumped, what) != NULL;
}

static void expect(const char *what)
{
	if (!says(what))
		fprintf(stderr, "no \"%s\" in:\n%s", what, dumped);
	CHECK(says(what));
}

/* ---- a tree of everything that parks --------------------------------------------------- */

static atomic_int begun, let_go;

static int blocks(void *arg)
{
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&let_go))
		real_now();
	(void)arg;
	return 0;
}

static int offloads(void *arg)
{
	return scope_offload(blocks, arg, NULL);
}

static int sleeps(void *arg)
{
	scope_sleep_for(*(int64_t *)arg);
	return 0;
}

static int closes(void *arg)
{
	struct scope_options options = {.name = "joined \"x\"", .shield = true};
	struct scope s;

	scope_open_with(&s, &options);
	scope_spawn_with(&s, sleeps, arg, &concurrent);
	return scope_close(&s);
}

static int waits(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_spawn(&s, sleeps, arg);
	scope_wait_until(&s, SCOPE_NEVER);
	return scope_close(&s);
}

static int inlines(void *arg)
{
	struct scope_spawn_options options = {.name = "the child"};
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, sleeps, arg, &options);
	return scope_close(&s);
}

/* The clock stands still during the call: what is parked stays so. */
static void let_park(void)
{
	struct scope_stats stats = {0};

	do {
		CHECK_EQ(scope_yield(), 0);
		CHECK_EQ(scope_stats_get(&stats), 0);
		read_dump(SCOPE_DUMP_TEXT);
	} while (stats.timers_live < 4 || !says("/offloads: in an offloaded call") ||
		 !says("/closes: in close") || !says("/waits: in wait"));
}

static int everything(void *arg)
{
	struct scope_options options = {.name = "pool", .deadline_ns = scope_now() + SCOPE_SEC};
	int64_t second = SCOPE_SEC;
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn_with(&s, offloads, NULL, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	CHECK_EQ(scope_spawn_with(&s, closes, &second, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, waits, &second, &concurrent), 0);
	CHECK_EQ(scope_spawn_with(&s, inlines, &second, &concurrent), 0);
	let_park();
	((void (*)(void))(uintptr_t)arg)();
	atomic_store(&let_go, 1);
	scope_cancel(&s);
	return scope_close(&s);
}

static void look_at_text(void)
{
	read_dump(SCOPE_DUMP_TEXT);
	expect("\n  /everything: running, on worker ");
	expect("spawned at scope_run\n");
	expect("      scope \"pool\" opened at everything");
	expect(", deadline in 1.000 s\n");
	expect("  /everything/offloads: in an offloaded call of blocks, spawned at everything");
	expect("  /everything/closes: in close, spawned at everything");
	expect("      scope \"joined \"x\"\" opened at closes");
	expect(", 1 task left, shielded\n");
	expect("  /everything/closes/sleeps: asleep, until in 1.000 s, spawned at closes");
	expect("  /everything/waits: in wait, spawned at everything");
	expect("  /everything/waits/sleeps: asleep, until in 1.000 s, spawned at waits");
	expect(" bytes of stack\n");
}

Test(dump, O1_text_names_every_parked_task_and_its_wait)
{
	must_run(everything, (void *)(uintptr_t)look_at_text);
}

static void look_at_cancel(void)
{
	struct scope s;

	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(scope_fail(&s, -EIO, NULL), -EIO);
	read_dump(SCOPE_DUMP_TEXT);
	expect(", cancelled (cancelled), failed with -5\n");
	CHECK_EQ(scope_close(&s), -EIO);
}

Test(dump, O1_text_tells_of_cancels_and_errors)
{
	must_run(everything, (void *)(uintptr_t)look_at_cancel);
}

/* ---- numbers ------------------------------------------------------------------------------ */

static int fails_second(void *arg)
{
	int64_t *seconds = arg;

	CHECK_EQ(scope_sleep_for(*seconds * SCOPE_SEC), *seconds > 2 ? -ECANCELED : 0);
	return *seconds == 2 ? -EIO : 0;
}

static int numbered(void *arg)
{
	static int64_t seconds[] = {1, 2, 3};
	struct scope_stats stats = {0};
	char *line, again[200];
	struct scope s;
	int i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn_with(&s, fails_second, &seconds[i], &concurrent), 0);
	while (stats.timers_live < 3) {
		CHECK_EQ(scope_yield(), 0);
		CHECK_EQ(scope_stats_get(&stats), 0);
	}
	read_dump(SCOPE_DUMP_TEXT);
	CHECK(strstr(dumped, "/numbered/fails_second: asleep"));
	CHECK(strstr(dumped, "/numbered/fails_second#2: asleep"));
	CHECK(strstr(dumped, "/numbered/fails_second#3: asleep"));
	line = strstr(dumped, ", until in 2.000 s");
	while (line && line > dumped && line[-1] != '\n')
		line--;
	snprintf(again, sizeof again, "%.*s", line ? (int)strcspn(line + 2, ":") : 0,
		 line ? line + 2 : "");
	read_dump(SCOPE_DUMP_JSON);
	CHECK(strstr(dumped, ",\"number\":1,"));
	CHECK(strstr(dumped, ",\"number\":3,"));
	CHECK(!strstr(dumped, "\"number\":4"));
	CHECK_EQ(scope_close(&s), -EIO);
	if (strcmp(scope_last_error()->path, again) != 0)
		fprintf(stderr, "%s is not %s\n", scope_last_error()->path, again);
	CHECK_EQ(strcmp(scope_last_error()->path, again), 0);
	return 0;
}

Test(dump, O1_E4_tasks_of_one_name_have_the_numbers_that_their_errors_have)
{
	must_run(numbered, NULL);
}

/* With names of the program's, and an inlined one that has been named by an error. */
static int named_twice(void *arg)
{
	struct scope s;

	(void)arg;
	scope_open(&s);
	scope_fail(&s, -EDOM, NULL);
	read_dump(SCOPE_DUMP_TEXT);
	scope_close(&s);
	return 0;
}

static int inlined_numbers(void *arg)
{
	struct scope_spawn_options name = {.name = "twice"};
	struct scope s;
	int i;

	(void)arg;
	for (i = 0; i < 2; i++) {
		scope_open(&s);
		CHECK_EQ(scope_spawn_with(&s, named_twice, NULL, &name), 0);
		CHECK_EQ(scope_close(&s), 0);
		CHECK(strstr(dumped, i ? "/inlined_numbers/twice#2: "
				       : "/inlined_numbers/twice: "));
	}
	return 0;
}

Test(dump, O1_an_inlined_task_that_has_a_number_is_shown_with_it)
{
	must_run(inlined_numbers, NULL);
}

/* ---- JSON --------------------------------------------------------------------------------- */

static const char *at; /* where a value is read */

static void skip_space(void)
{
	while (isspace((unsigned char)*at))
		at++;
}

static int take(char c)
{
	skip_space();
	if (*at != c)
		return 0;
	at++;
	return 1;
}

static int string(void)
{
	if (!take('"'))
		return 0;
	for (; *at && *at != '"'; at++) {
		if ((unsigned char)*at < ' ')
			return 0;
		if (*at == '\\') {
			at++;
			if (*at == 'u' && strspn(at + 1, "0123456789abcdef") >= 4)
				at += 4;
			else if (!strchr("\"\\/bfnrt", *at))
				return 0;
		}
	}
	return take('"');
}

static int value(void);

static int members(char end, int named)
{
	if (take(end))
		return 1;
	do
		if ((named && (!string() || !take(':'))) || !value())
			return 0;
	while (take(','));
	return take(end);
}

static int value(void)
{
	skip_space();
	if (take('{'))
		return members('}', 1);
	if (take('['))
		return members(']', 0);
	if (*at == '"')
		return string();
	if (strncmp(at, "true", 4) == 0)
		at += 4;
	else if (isdigit((unsigned char)*at) || *at == '-')
		at += 1 + strspn(at + 1, "0123456789");
	else
		return 0;
	return 1;
}

static int is_json(const char *text)
{
	at = text;
	if (!value())
		return 0;
	skip_space();
	return *at == '\0';
}

static void look_at_json(void)
{
	read_dump(SCOPE_DUMP_JSON);
	CHECK(is_json(dumped));
	expect("\"in\":0,\"task\":\"everything\",\"state\":\"running\",\"site\":\"scope_run\"");
	expect("\"scope\":\"pool\",\"site\":\"everything");
	expect("\"scope\":\"joined \\u0022x\\u0022\"");
	expect("\"task\":\"offloads\",\"state\":\"offload\"");
	expect("\"call\":\"blocks\"");
	expect("\"task\":\"closes\",\"state\":\"close\"");
	expect("\"task\":\"waits\",\"state\":\"wait\"");
	expect("\"task\":\"sleeps\",\"state\":\"sleep\"");
	expect("\"shielded\":true");
	expect("\"left\":1");
	expect("\"stack_bytes\":");
	expect("\"abandoned\":[]}");
}

Test(dump, O1_json_has_the_same_and_is_json)
{
	must_run(everything, (void *)(uintptr_t)look_at_json);
	cr_expect_not(is_json("{\"a\":}"));
	cr_expect_not(is_json("[1,2"));
	cr_expect(is_json("{\"a\":[1,{\"b\":\"c\\u0022\"}],\"d\":true}\n"));
}

/* ---- a child on its parent's stack, on one worker --------------------------------------- */

static int dumps_itself(void *arg)
{
	struct scope_options options = {.name = "own"};
	struct scope s;

	(void)arg;
	scope_open_with(&s, &options);
	read_dump(SCOPE_DUMP_TEXT);
	return scope_close(&s);
}

static int inlines_dump(void *arg)
{
	struct scope_spawn_options options = {.name = "the child"};
	struct scope s, younger;

	scope_open(&s);
	scope_open(&younger);
	scope_spawn_with(&younger, dumps_itself, arg, &options);
	scope_close(&younger);
	return scope_close(&s);
}

Test(dump, O1_an_inlined_task_has_its_own_line_and_its_parent_is_in_close)
{
	cr_assert_eq(run(inlines_dump, NULL, 1), 0);
	cr_expect(says("\n  /inlines_dump: in close, on worker 0"), "%s", dumped);
	cr_expect(says("\n  /inlines_dump/the child: running, on worker 0, spawned at "
		       "inlines_dump"), "%s", dumped);
	cr_expect(says("\n      scope \"own\" opened at dumps_itself"), "%s", dumped);
}

/* ---- long lines ------------------------------------------------------------------------- */

enum { DEEP = 60 };

static const char long_name[] = "a name of a task of which there is one in the other until all of "
				"them fill more than a page";

static int nests(void *arg)
{
	struct scope_spawn_options options = {.name = long_name};
	unsigned left = (unsigned)(uintptr_t)arg;
	struct scope s;

	if (left == 0) {
		read_dump(SCOPE_DUMP_TEXT);
		return 0;
	}
	scope_open(&s);
	scope_spawn_with(&s, nests, (void *)(uintptr_t)(left - 1), &options);
	return scope_close(&s);
}

Test(dump, O1_a_path_of_more_than_a_page_is_told_in_full)
{
	char *from, *end;
	int names = 0;

	cr_assert_eq(run(nests, (void *)(uintptr_t)DEEP, 1), 0);
	end = strstr(dumped, ": running, on worker 0, spawned at nests");
	cr_assert_not_null(end, "%s", dumped);
	cr_assert_not_null(strchr(end, '\n'));
	*end = '\0';
	from = strrchr(dumped, '\n') + 1;
	cr_expect_eq(strncmp(from, "  /nests/a name of", 18), 0, "%s", from);
	while ((from = strstr(from, long_name))) {
		names++;
		from++;
	}
	cr_expect_eq(names, DEEP);
}

/* ---- while a task computes -------------------------------------------------------------- */

static int computes(void *arg)
{
	(void)arg;
	atomic_fetch_add(&begun, 1);
	while (!atomic_load(&let_go))
		;
	return 0;
}

static int beside_a_loop(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, computes, NULL, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	read_dump(SCOPE_DUMP_TEXT);
	expect("  /beside_a_loop/computes: running, on worker ");
#ifndef SC_TEST_CHECKED /* which run handlers late */
	while (!says("\n      at computes")) /* it answers when the system lets it run */
		read_dump(SCOPE_DUMP_TEXT);
#endif
	atomic_store(&let_go, 1);
	(void)arg;
	return scope_close(&s);
}

Test(dump, O1_works_while_a_task_computes_and_tells_where)
{
	cr_assert_eq(run(beside_a_loop, NULL, 2), 0);
}

/* The first part that another worker stole dumps; those of the root task's worker wait. */
static int dumps_as_thief(size_t begin, size_t end, void *arg)
{
	(void)begin;
	(void)end;
	if (pthread_self() == *(pthread_t *)arg) {
		while (!atomic_load(&let_go))
			;
	} else if (!atomic_load(&let_go)) {
		read_dump(SCOPE_DUMP_JSON);
		atomic_store(&let_go, 1);
	}
	return 0;
}

static int divides(void *arg)
{
	pthread_t self = pthread_self();

	(void)arg;
	return scope_for(0, 8, 1, dumps_as_thief, &self);
}

Test(dump, O1_a_share_of_a_range_is_told_as_one)
{
	cr_assert_eq(run(divides, NULL, 2), 0);
	cr_expect(is_json(dumped));
	cr_expect(says("\"task\":\"(share)\""), "%s", dumped);
}

/* ---- SIGQUIT --------------------------------------------------------------------------- */

static size_t reported;          /* the reporter calls one at a time */
static atomic_int dump_reported;

static void take_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (reported + length < sizeof(dumped))
		memcpy(dumped + reported, text, length);
	reported += length;
	atomic_store(&dump_reported, 1);
}

/* It never calls in: only the monitor can do it. */
static int asks_and_computes(void *arg)
{
	(void)arg;
	kill(getpid(), SIGQUIT);
	while (!atomic_load(&dump_reported))
		;
	return 0;
}

Test(dump, O1_SIGQUIT_has_it_reported_while_the_only_worker_computes)
{
	struct scope_config config = {.workers = 1, .report = take_report};

	cr_assert_eq(scope_run(asks_and_computes, NULL, &config), 0);
	cr_expect_eq(strncmp(dumped, "libscope: at ", 13), 0, "%s", dumped);
	cr_expect(says("\n  /asks_and_computes: running, on worker 0, spawned at scope_run\n"),
		  "%s", dumped);
}

/* ---- many ---------------------------------------------------------------------------------- */

enum { MANY = CHECKED ? 300 : 5000 };

static int64_t hour = 3600 * SCOPE_SEC;

static int dumps_many(void *arg)
{
	const char *line = dumped;
	int named = 0;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_spawn_n(&s, sleeps, &hour, 0, MANY), 0);
	scope_sleep_for(SCOPE_SEC);
	read_dump(SCOPE_DUMP_TEXT);
	while ((line = strstr(line, "  /dumps_many/sleeps: asleep, for 1.000 s"))) {
		named++;
		line++;
	}
	CHECK_EQ(named, MANY);
	scope_cancel(&s);
	return scope_close(&s);
}

Test(dump, O1_names_all_of_many)
{
	must_run(dumps_many, NULL);
}

/* ---- abandoned calls ------------------------------------------------------------------------- */

static int abandons(void *arg)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON};

	return scope_offload(blocks, arg, &options);
}

static int lists_orphans(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, abandons, arg, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	read_dump(SCOPE_DUMP_TEXT);
	expect("\n  abandoned: a call of blocks\n");
	read_dump(SCOPE_DUMP_JSON);
	CHECK(is_json(dumped));
	expect("\"abandoned\":[\"blocks\"]}");
	atomic_store(&let_go, 1);
	return 0;
}

Test(dump, B2_orphans_are_listed)
{
	must_run(lists_orphans, NULL);
}

/* ---- errors -------------------------------------------------------------------------------- */

Test(dump, outside_a_run_enotconn)
{
	cr_assert_eq(scope_dump(1, SCOPE_DUMP_TEXT), -ENOTCONN);
}

static int to_nowhere(void *arg)
{
	int full = open("/dev/full", O_WRONLY), null = open("/dev/null", O_RDONLY);

	(void)arg;
	CHECK_EQ(scope_dump(-1, SCOPE_DUMP_TEXT), -EBADF);
	CHECK_EQ(scope_dump(null, SCOPE_DUMP_JSON), -EBADF);
	CHECK_EQ(scope_dump(1, (enum scope_dump_format)2), -EINVAL);
	CHECK_EQ(scope_dump(full, SCOPE_DUMP_TEXT), -EIO);
	close(full);
	close(null);
	return 0;
}

Test(dump, nobody_can_write_there_ebadf)
{
	must_run(to_nowhere, NULL);
}

Test(dump, no_such_format_einval)
{
	must_run(to_nowhere, NULL);
}

Test(dump, the_disk_is_full_eio)
{
	must_run(to_nowhere, NULL);
}

/* A dump into a full pipe stands until somebody reads; the other one may be there first. */
static int into_pipe(void *arg)
{
	int *ends = arg;
	int rc;

	atomic_fetch_add(&begun, 1);
	do
		rc = scope_dump(ends[1], SCOPE_DUMP_TEXT);
	while (rc == -EBUSY);
	CHECK_EQ(rc, 0);
	return 0;
}

static int two_dumps(void *arg)
{
	static char block[4096];
	int ends[2], rc;
	struct scope s;

	(void)arg;
	CHECK_EQ(pipe(ends), 0);
	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	while (write(ends[1], block, sizeof(block)) > 0)
		;
	fcntl(ends[1], F_SETFL, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, into_pipe, ends, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
	while ((rc = scope_dump(ends[0], SCOPE_DUMP_TEXT)) == -EBADF)
		sched_yield(); /* the other one has not begun */
	CHECK_EQ(rc, -EBUSY);
	while (read(ends[0], block, sizeof(block)) == sizeof(block))
		;
	return scope_close(&s);
}

Test(dump, another_dump_is_being_written_ebusy)
{
	cr_assert_eq(run(two_dumps, NULL, 2), 0);
}

/* ---- what tasks wait for of each other ------------------------------------------------------ */

static struct {
	struct scope_mutex mutex;
	struct scope_event event;
	struct scope_chan *chan;
} wanted;

static int wants_mutex(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_mutex_lock(&wanted.mutex), 0);
	return scope_mutex_unlock(&wanted.mutex);
}

static int wants_item(void *arg)
{
	long item;

	(void)arg;
	return scope_chan_recv(wanted.chan, &item) == -EPIPE ? 0 : -EBADMSG;
}

static int wants_event(void *arg)
{
	struct scope_case c = {.kind = SCOPE_CASE_EVENT, .object = &wanted.event};

	(void)arg;
	return scope_select_until(&c, 1, 0, SCOPE_NEVER);
}

static int is_at(const char *what, const void *object)
{
	char line[100];

	snprintf(line, sizeof line, ": %s %p, for ", what, object);
	return strstr(dumped, line) != NULL;
}

static int dumps_waits(void *arg)
{
	struct scope s;

	(void)arg;
	memset(&wanted, 0, sizeof wanted);
	CHECK_EQ(scope_chan_new(sizeof(long), 0, NULL, &wanted.chan), 0);
	CHECK_EQ(scope_mutex_lock(&wanted.mutex), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, wants_mutex, NULL), 0);
	CHECK_EQ(scope_spawn(&s, wants_item, NULL), 0);
	CHECK_EQ(scope_spawn(&s, wants_event, NULL), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_SEC), 0);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK(is_at("waiting for mutex", &wanted.mutex));
	CHECK(is_at("receiving from channel", wanted.chan));
	CHECK(is_at("in select", &wanted.event));
	CHECK_EQ(scope_mutex_unlock(&wanted.mutex), 0);
	CHECK_EQ(scope_chan_close(wanted.chan), 0);
	scope_event_set(&wanted.event);
	CHECK_EQ(scope_close(&s), 0);
	scope_chan_free(wanted.chan);
	return 0;
}

Test(dump, O1_tells_what_a_task_waits_for_of_others)
{
	must_run(dumps_waits, NULL);
}

static int dumps_in_1ms(void *arg)
{
	(void)arg;
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	read_dump(SCOPE_DUMP_TEXT);
	return 0;
}

static int sleeps_2ms(void *arg)
{
	(void)arg;
	return scope_sleep_for(2 * SCOPE_MS);
}

/* A full scope: the second spawn waits, in a place that the runtime opened for the scope. */
static int spawns_into_full(void *arg)
{
	struct scope_options options = {.max_tasks = 1, .name = "full"};
	struct scope outer, s;
	const char *at;
	int lines = 0;

	(void)arg;
	scope_open(&outer);
	CHECK_EQ(scope_spawn(&outer, dumps_in_1ms, NULL), 0);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_spawn(&s, sleeps_2ms, NULL), 0);
	CHECK_EQ(scope_spawn(&s, sleeps_2ms, NULL), 0);
	expect("in spawn");
	expect("scope \"full\" opened at spawns_into_full");
	for (at = dumped; (at = strstr(at, "\n      scope ")); at++)
		lines++;
	CHECK_EQ(lines, 2);
	CHECK_EQ(scope_close(&s), 0);
	return scope_close(&outer);
}

Test(dump, O1_only_scopes_of_the_program_have_lines)
{
	must_run(spawns_into_full, NULL);
}
