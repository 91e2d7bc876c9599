/* tests/unit/test_survey.c: dumps of tasks that move while they are looked at, of memory that can't
 * be read, and of more than there is room for: O1, O3.
 *
 * The runtime asks for its own process id before each look at memory that may be gone: getpid is
 * the one here, for the whole program, so that a test can be there in between.
 */
#define _GNU_SOURCE
#include "api/task_check.h"
#include "scope/survey.h"

#include <fcntl.h>
#include <scope_observe.h>
#include <scope_ref.h>
#include <scope_signal.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

TestSuite(survey, .timeout = 60);

/* ---- looks ---- */

/* Of the thread that asks for it; with one worker that is the one of all tasks. */
static _Thread_local struct {
	int left;          /* looks until the one that is meant, 0: none is */
	int always;        /* 1: so are all after it */
	void (*act)(void); /* before it; NULL: it fails */
	int came, fails;   /* fails: it does, though there is an act */
} look;

pid_t getpid(void)
{
	pid_t pid = (pid_t)syscall(SYS_getpid);

	if (look.left == 0 || --look.left > 0)
		return pid;
	look.left = look.always;
	look.came = 1;
	look.fails = !look.act;
	if (look.act)
		look.act();
	return look.fails ? -1 : pid;
}

static void expect_look(int nth, int always, void (*act)(void))
{
	look.always = always;
	look.act = act;
	look.came = 0;
	look.left = nth;
}

static int looked(void)
{
	look.left = 0;
	return look.came;
}

/* ---- dumps ---- */

static char dumped[1 << 20];

static void read_dump(enum scope_dump_format format)
{
	int file = memfd_create("dump", 0);
	ssize_t length;

	CHECK_EQ(scope_dump(file, format), 0);
	length = pread(file, dumped, sizeof(dumped) - 1, 0);
	dumped[length > 0 ? length : 0] = '\0';
	close(file);
}

static int times(const char *what)
{
	const char *at = dumped;
	int n = 0;

	while ((at = strstr(at, what))) {
		at++;
		n++;
	}
	return n;
}

static void expect(const char *what)
{
	if (!times(what))
		fprintf(stderr, "no \"%s\" in:\n%s", what, dumped);
	CHECK(times(what));
}

static size_t reported;

static void take_report(const char *text, size_t length, void *arg)
{
	(void)arg;
	if (reported + length < sizeof(dumped)) {
		memcpy(dumped + reported, text, length);
		reported += length;
		dumped[reported] = '\0';
	}
}

/* ---- runs ---- */

static _Atomic int64_t ahead, faster; /* of the clock: by how much, and for each time it is read */

static int64_t early_now(void)
{
	return sc_os_system.now() + (ahead += faster);
}

static void run_here(scope_task_fn *fn, unsigned workers)
{
	struct scope_config config = {.workers = workers, .report = take_report};

	ahead = faster = 0;
	sc_os.now = early_now;
	reported = 0;
	dumped[0] = '\0';
	cr_assert_eq(run_config(fn, NULL, config), 0);
	sc_os.now = sc_os_system.now;
}

/* ---- what parks ---- */

enum { MOST = 8 };
static struct sc_strand *parked[MOST];
static unsigned parked_count;

static int parks(void *arg)
{
	(void)arg;
	if (parked_count < MOST)
		parked[parked_count] = sc_self()->strand;
	parked_count++;
	scope_sleep_until(SCOPE_NEVER);
	return 0;
}

static struct scope *innermost;

/* With that many open scopes of its own. */
static int parks_below(void *arg)
{
	size_t depth = (uintptr_t)arg;
	struct scope s;

	if (depth == 0)
		return parks(NULL);
	scope_open(&s);
	innermost = &s;
	parks_below((void *)(depth - 1));
	return scope_close(&s);
}

enum { MOST_SHIELDED = 300 };
static struct scope *shielded[MOST_SHIELDED];
static unsigned shielded_count;

static int parks_shielded(void *arg)
{
	struct scope_options options = {.shield = true};
	struct scope s;

	CHECK_EQ(scope_open_with(&s, &options), 0);
	shielded[shielded_count++] = &s;
	parks(arg);
	scope_close(&s);
	return 0;
}

/* Its child keeps the close waiting, whatever is cancelled above. */
static int closes(void *arg)
{
	struct scope s;

	scope_open(&s);
	scope_spawn_with(&s, parks_shielded, arg, &concurrent);
	if (parked_count < MOST)
		parked[parked_count] = sc_self()->strand;
	parked_count++;
	return scope_close(&s);
}

static void let_close(void)
{
	while (shielded_count > 0)
		scope_cancel(shielded[--shielded_count]);
}

/* All on one worker: who was counted is parked when the caller goes on, but for one who gave way
 * because of a tick; that one is parked a few turns later. */
static void let_park(unsigned until)
{
	int turns;

	for (turns = 0; turns < 4; turns += parked_count >= until)
		CHECK_EQ(scope_yield(), 0);
}

static void spawn_and_wait(struct scope *s, scope_task_fn *fn, void *arg, unsigned more)
{
	unsigned until = parked_count + more;

	CHECK_EQ(scope_spawn_with(s, fn, arg, &concurrent), 0);
	let_park(until);
}

/* ---- looks that fail ---- */

static char *gone; /* a name whose memory may be gone */

static int looks_fail(void *arg)
{
	struct scope_options named = {.name = "the scope"};
	struct scope_spawn_options task = {.name = gone, .flags = SCOPE_CONCURRENT};
	struct sc_stuck stuck;
	struct scope s;
	int nth, always, format;

	parked_count = 0;
	CHECK_EQ(scope_open_with(&s, &named), 0);
	spawn_and_wait(&s, parks_below, (void *)2, 1);
	CHECK_EQ(scope_spawn_with(&s, parks, NULL, &task), 0);
	spawn_and_wait(&s, closes, NULL, 2);
	for (format = 0; format < 2; format++)
		for (always = 0; always < 2; always++)
			for (nth = 1, look.came = 1; look.came; nth++) {
				expect_look(nth, always, NULL);
				read_dump((enum scope_dump_format)format);
				looked();
				expect(format ? "\"tree\":[" : "libscope: at ");
				CHECK_EQ(dumped[strlen(dumped) - 1], '\n');
			}
	for (nth = 1, look.came = 1; look.came; nth++) {
		expect_look(nth, 0, NULL);
		CHECK_EQ(sc_survey_stuck(&sc_self()->strand->fiber, &stuck), 0);
		looked();
	}
	CHECK(nth > 2);
	let_close();
	scope_cancel(&s);
	scope_close(&s);
	(void)arg;
	return 0;
}

Test(survey, O1_what_can_not_be_read_is_left_out)
{
	gone = "a task";
	run_here(looks_fail, 1);
}

static int has_no_name(void *arg)
{
	struct scope_spawn_options task = {.name = gone, .flags = SCOPE_CONCURRENT};
	struct scope s;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, parks, NULL, &task), 0);
	let_park(1);
	munmap(gone, 4096);
	read_dump(SCOPE_DUMP_TEXT);
	expect("/: asleep");
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O1_a_name_that_is_gone_is_empty)
{
	gone = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	run_here(has_no_name, 1);
}

/* ---- tasks that move ---- */

static uintptr_t kept_place;

static void move_in_time(void)
{
	parked[0]->since++;
}

static int moves_left;

static void move_until_gone(void)
{
	parked[0]->since++;
	look.fails = --moves_left == 0;
}

static void get_ready(void)
{
	parked[0]->reason = SC_READY;
}

static void go_up(void)
{
	parked[0]->place = (uintptr_t)sc_node(parked[0]);
}

static int moves(void *arg)
{
	void (*const moves[])(void) = {move_in_time, get_ready, go_up};
	unsigned which, nth;
	struct scope s;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	spawn_and_wait(&s, parks_below, (void *)2, 1);
	kept_place = parked[0]->place;
	for (which = 0; which < 3; which++)
		for (nth = 1, look.came = 1; look.came; nth++) {
			expect_look((int)nth, 0, moves[which]);
			read_dump(SCOPE_DUMP_TEXT);
			looked();
			CHECK_EQ(times("/parks_below"), 1);
			CHECK_EQ(times("on the move"), 0);
			parked[0]->reason = SC_IN_SLEEP;
			parked[0]->place = kept_place;
		}
	expect_look(1, 1, move_in_time);
	read_dump(SCOPE_DUMP_TEXT);
	looked();
	CHECK_EQ(times("/parks_below"), 1);
	expect(", on the move\n");
	/* It may be gone at last. */
	for (nth = 1; nth < 30; nth++) {
		moves_left = (int)nth;
		expect_look(1, 1, move_until_gone);
		read_dump(SCOPE_DUMP_TEXT);
		looked();
		CHECK(times("/parks_below") <= 1);
	}
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O1_a_task_that_moved_is_looked_at_again)
{
	run_here(moves, 1);
}

/* What was read is no chain: it leads to itself, or into that of another. */
static int leads_astray(void *arg)
{
	struct sc_scope *inner;
	uintptr_t parent;
	struct scope s;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	spawn_and_wait(&s, parks_below, (void *)5, 1);
	inner = sc_view(innermost);
	spawn_and_wait(&s, parks, NULL, 1);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("opened at parks_below"), 5);
	CHECK_EQ(times("on the move"), 0);

	parent = inner->parent;
	inner->parent = (uintptr_t)inner;
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("/parks_below"), 1);
	CHECK_EQ(times("on the move"), 1);
	inner->parent = (uintptr_t)sc_node(parked[1]);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("/parks_below"), 1);
	CHECK_EQ(times("on the move"), 1);
	inner->parent = parent;

	parked[0]->reason = 99;
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("on the move"), 1);
	parked[0]->reason = SC_IN_SLEEP;
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O1_a_chain_that_leads_nowhere_is_not_followed)
{
	run_here(leads_astray, 1);
}

/* As when it goes on on another stack while both are looked at. */
static int is_seen_twice(void *arg)
{
	struct sc_card *card;
	struct scope s;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	spawn_and_wait(&s, parks, NULL, 1);
	spawn_and_wait(&s, parks, NULL, 1);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times(": asleep"), 2);
	card = parked[1]->fiber.card;
	kept_place = parked[1]->place;
	parked[1]->fiber.card = parked[0]->fiber.card;
	parked[1]->place = parked[0]->place;
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times(": asleep"), 1);
	parked[1]->fiber.card = card;
	parked[1]->place = kept_place;
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O1_what_is_seen_twice_is_shown_once)
{
	run_here(is_seen_twice, 1);
}

/* ---- where a thread is ---- */

static atomic_int begun, let_go;

static SC_NOINLINE void spin(void)
{
	__asm__ volatile("" ::"r"(__builtin_frame_address(0))); /* so it has one */
	atomic_store(&begun, 1);
	while (!atomic_load(&let_go))
		;
}

static int computes(void *arg)
{
	*(struct sc_worker **)arg = sc_self();
	spin();
	return 0;
}

static int has_frames(void *arg)
{
	struct sc_worker *other;
	struct sc_fiber *fiber;
	char *low, *high;
	struct scope s;
	int nth;

	(void)arg;
	atomic_store(&begun, 0);
	atomic_store(&let_go, 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, computes, &other, &concurrent), 0);
	while (!atomic_load(&begun))
		scope_yield();
#ifndef SC_TEST_CHECKED /* which run handlers late */
	do
		read_dump(SCOPE_DUMP_JSON);
	while (!times("\"frames\":[\"spin")); /* it answers when the system lets it run */
	expect("\",\"computes (");
#endif
	for (nth = 1, look.came = 1; look.came; nth++) {
		expect_look(nth, 0, NULL);
		read_dump(SCOPE_DUMP_TEXT);
		looked();
	}
	/* A thread that is not known yet is not asked. */
	at_store_rlx(&other->known, 0);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("      at "), 0);
	at_store_rel(&other->known, 1);
	/* By the time that it answers it is on another stack. */
	fiber = &other->strand->fiber;
	low = fiber->stack_low;
	high = fiber->stack_high;
	fiber->stack_low = high;
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("      at "), 0);
	fiber->stack_low = low;
	fiber->stack_high = low;
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("      at "), 0);
	fiber->stack_high = high;
	atomic_store(&let_go, 1);
	return scope_close(&s);
}

Test(survey, O1_frames_are_those_of_the_task)
{
	run_here(has_frames, 2);
}

/* ---- more than there is room for ---- */

enum { OBJECTS = 500 };

static int many_objects(void *arg)
{
	static struct scope object[OBJECTS];
	struct scope s;
	unsigned i;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	for (i = 0; i < OBJECTS; i++) {
		CHECK_EQ(scope_open_in(&object[i], &s), 0);
		CHECK_EQ(scope_spawn(&object[i], parks, NULL), 0);
	}
	let_park(OBJECTS);
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times(": asleep"), OBJECTS);
	return scope_close(&s);
}

Test(survey, O1_every_task_of_very_many_objects_is_named)
{
	run_here(many_objects, 1);
}

enum { DEEP = 70, LONG = 120 };
static char long_name[LONG + 1];

static int nests(void *arg)
{
	struct scope_spawn_options options = {.name = long_name};
	struct scope s;

	if (!arg) {
		read_dump(SCOPE_DUMP_TEXT);
		return 0;
	}
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, nests, (void *)((uintptr_t)arg - 1), &options), 0);
	return scope_close(&s);
}

static int nests_deep(void *arg)
{
	(void)arg;
	memset(long_name, 'n', LONG);
	nests((void *)DEEP);
	expect("\n  .../nnn");
	CHECK_EQ(times("/nests_deep: in close"), 1);
	return 0;
}

Test(survey, O1_of_a_long_path_the_end_is_told)
{
	run_here(nests_deep, 1);
}

/* Lines go out when the buffer is half full: after the last one, or before it. */
static int grows(void *arg)
{
	int full = open("/dev/full", O_WRONLY);
	struct scope s;
	unsigned i;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	for (i = 1; i < 60; i++) {
		spawn_and_wait(&s, parks, NULL, 1);
		read_dump(SCOPE_DUMP_TEXT);
		CHECK_EQ(times(": asleep"), i);
		CHECK_EQ(dumped[strlen(dumped) - 1], '\n');
		CHECK_EQ(scope_dump(full, SCOPE_DUMP_TEXT), -EIO);
	}
	close(full);
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O1_a_dump_of_any_length_is_whole)
{
	run_here(grows, 1);
}

static size_t pretend_orphans(const void **fns, size_t most)
{
	size_t i;

	for (i = 0; i < most; i++)
		fns[i] = (const void *)(uintptr_t)count;
	return most + 6;
}

static void does_nothing(void)
{
}

static int has_orphans(void *arg)
{
	static const struct sc_service pretended = {does_nothing, does_nothing, pretend_orphans};

	(void)arg;
	at_store_rlx(&sc_run.service[SC_POOL], &pretended);
	at_store_rlx(&sc_run.service[SC_ENGINE], &pretended); /* for which no place is left */
	read_dump(SCOPE_DUMP_TEXT);
	CHECK_EQ(times("abandoned: a call of count\n"), 64);
	read_dump(SCOPE_DUMP_JSON);
	CHECK_EQ(times("\"count\""), 64);
	expect("\"abandoned\":[\"count\",\"count\"");
	at_store_rlx(&sc_run.service[SC_POOL], NULL);
	at_store_rlx(&sc_run.service[SC_ENGINE], NULL);
	return 0;
}

Test(survey, B2_of_very_many_orphans_some_are_listed)
{
	run_here(has_orphans, 1);
}

/* ---- words ---- */

static struct scope_parker parker;
static struct scope_signal *streams[2];

static int parks_in_parker(void *arg)
{
	(void)arg;
	parked_count++;
	return scope_park(&parker);
}

static int waits_for_signal(void *arg)
{
	parked_count++;
	return scope_signal_next(arg);
}

static int starts_slowly(void *arg)
{
	struct scope s;
	int rc;

	(void)arg;
	scope_open(&s);
	rc = scope_start(&s, parks, NULL);
	scope_close(&s);
	return rc;
}

static int waits_in_limited(void *arg)
{
	struct scope_options options = {.max_tasks = 2, .name = "a \"limit\"\n\x7f\x80\\"};
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	scope_spawn(&s, parks, NULL);
	scope_spawn(&s, parks, NULL);
	return scope_close(&s);
}

static int in_every_state(void *arg)
{
	struct scope outer, s, inner;

	(void)arg;
	parked_count = 0;
	memset(&parker, 0, sizeof(parker));
	CHECK_EQ(scope_signal_open(SIGUSR1, &streams[0]), 0);
	CHECK_EQ(scope_signal_open(SIGRTMIN + 1, &streams[1]), 0);
	scope_open(&outer);
	scope_open(&s);
	spawn_and_wait(&s, parks_in_parker, NULL, 1);
	spawn_and_wait(&s, waits_for_signal, streams[0], 1);
	spawn_and_wait(&s, waits_for_signal, streams[1], 1);
	spawn_and_wait(&s, starts_slowly, NULL, 1);
	spawn_and_wait(&s, waits_in_limited, NULL, 2);
	ahead += SCOPE_SEC;
	read_dump(SCOPE_DUMP_TEXT);
	expect(": parked in 0x");
	expect(": waiting for a signal, SIGUSR1, for ");
	expect(": waiting for a signal, 35, for ");
	expect(": starting a task, parks");
	expect(": in close, for 1.");
	expect("scope \"a \"limit\"??\x80\\\" opened at waits_in_limited");
	expect(", 2 tasks left");
	read_dump(SCOPE_DUMP_JSON);
	expect("\"state\":\"park\"");
	expect("\"signal\":10");
	expect("\"state\":\"start\"");
	expect("\"call\":\"parks\"");
	expect("a \\u0022limit\\u0022??\\u0080\\u005c");
	expect("\"for_ns\":1");
	CHECK_EQ(times("\"until_ns\""), 0);

	scope_open(&inner);
	scope_cancel(&outer);
	scope_fail(&inner, -EIO, NULL);
	scope_checkpoint();
	read_dump(SCOPE_DUMP_TEXT);
	expect(", cancelled (cancelled)");
	expect(", cancelled from above");
	read_dump(SCOPE_DUMP_JSON);
	expect("\"cancelled\":\"cancelled\"");
	expect("\"cancelled\":\"from above\"");
	expect("\"code\":-5");
	scope_close(&inner);
	scope_close(&s);
	scope_signal_close(streams[0]);
	scope_signal_close(streams[1]);
	return scope_close(&outer);
}

Test(survey, O1_every_wait_and_state_has_its_words)
{
	run_here(in_every_state, 1);
}

static int dumps_above(void *arg)
{
	(void)arg;
	read_dump(SCOPE_DUMP_JSON);
	return 0;
}

static int times_pass(void *arg)
{
	struct scope_options soon = {.deadline_ns = scope_now() + SCOPE_SEC};
	struct sc_card *card;
	struct scope s;

	(void)arg;
	parked_count = 0;
	CHECK_EQ(scope_open_with(&s, &soon), 0);
	spawn_and_wait(&s, parks, NULL, 1);
	/* A sleep that is over, which nobody has looked at. */
	card = parked[0]->fiber.card;
	at_store_rlx(&card->alarm.timer.when, 1);
	read_dump(SCOPE_DUMP_TEXT);
	expect("/parks: asleep, for ");
	CHECK_EQ(times("until in"), 0);
	at_store_rlx(&card->alarm.timer.when, SCOPE_NEVER);
	/* So with a deadline; then it is felt. */
	ahead += 2 * SCOPE_SEC;
	read_dump(SCOPE_DUMP_TEXT);
	expect(", its deadline has passed");
	while (scope_checkpoint() == 0)
		;
	read_dump(SCOPE_DUMP_TEXT);
	expect(", its deadline has passed");
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	/* Who has an inlined child is in close, and on a worker all the same. */
	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, dumps_above, NULL), 0);
	CHECK_EQ(scope_close(&s), 0);
	expect("\"task\":\"times_pass\",\"state\":\"close\"");
	return 0;
}

Test(survey, O1_times_that_have_passed_are_told_so)
{
	run_here(times_pass, 1);
}

/* ---- one dump during another ---- */

static void report_meanwhile(void)
{
	look.left = look.always = 0;
	faster = SCOPE_SEC / 3;
	sc_report_dump();
	sc_report_stuck("nobody hears of this", NULL);
	faster = 0;
}

static int reports_meanwhile(void *arg)
{
	int null = open("/dev/null", O_WRONLY);

	(void)arg;
	expect_look(1, 0, report_meanwhile);
	CHECK_EQ(scope_dump(null, SCOPE_DUMP_TEXT), 0);
	CHECK(looked());
	close(null);
	CHECK_EQ(strcmp(dumped, "  (another dump does not end)\n"), 0);
	return 0;
}

Test(survey, O1_a_report_does_not_wait_for_a_dump_without_end)
{
	run_here(reports_meanwhile, 1);
}

/* ---- tasks that do not obey (O3) ---- */

static int is_stuck(struct sc_strand *strand)
{
	struct sc_stuck stuck;

	return sc_survey_stuck(&strand->fiber, &stuck);
}

static int obeys_or_not(void *arg)
{
	struct sc_worker *worker = sc_self();
	struct scope outer, s;
	uintptr_t cur;

	(void)arg;
	parked_count = 0;
	scope_open(&outer);
	scope_open(&s);
	spawn_and_wait(&s, parks, NULL, 1);
	scope_set_shield(&s, true);
	scope_cancel(&outer);
	/* It computes, where the cancel does not reach it; then where it does. */
	CHECK(!is_stuck(worker->strand));
	scope_set_shield(&s, false);
	CHECK(is_stuck(worker->strand));
	/* Between two tasks. */
	cur = worker->cur;
	worker->cur = 0;
	CHECK(!is_stuck(worker->strand));
	worker->cur = cur;
	/* The call that it waited for has ended. */
	parked[0]->reason = SC_IN_OFFLOAD;
	at_store_rlx(&sc_card(parked[0])->wait, SC_WAIT_EVENT);
	CHECK(!is_stuck(parked[0]));
	at_store_rlx(&sc_card(parked[0])->wait, SC_WAIT_WAITING);
	parked[0]->reason = SC_IN_SLEEP;
	scope_close(&s);
	scope_close(&outer);
	return 0;
}

Test(survey, O3_who_is_shielded_or_on_its_way_is_not_stuck)
{
	run_here(obeys_or_not, 1);
}

#ifndef SC_TEST_CHECKED /* which take long for a million looks */
static int is_in_a_circle(void *arg)
{
	struct scope s;
	uintptr_t parent;

	(void)arg;
	scope_open(&s);
	parent = sc_view(&s)->parent;
	sc_view(&s)->parent = (uintptr_t)sc_view(&s);
	CHECK(!is_stuck(sc_self()->strand));
	sc_view(&s)->parent = parent;
	return scope_close(&s);
}

Test(survey, O3_who_is_in_a_circle_is_not_stuck)
{
	run_here(is_in_a_circle, 1);
}
#endif

static void look_for_stuck(void)
{
	reported = 0;
	dumped[0] = '\0';
	ahead += 1000 * SCOPE_SEC; /* it looks less often if looking takes long */
	sc_watchdog_look();
}

static int are_stuck(void *arg)
{
	struct scope s;

	(void)arg;
	parked_count = 0;
	sc_watchdog_reset();
	scope_open(&s);
	spawn_and_wait(&s, closes, NULL, 2);
	scope_cancel(&s);
	look_for_stuck();
	CHECK_EQ(times("libscope: watchdog: a close still waits"), 1);
	look_for_stuck();
	CHECK_EQ(times("libscope: "), 0);
	/* The same task in another close. */
	kept_place = parked[0]->place;
	parked[0]->place = sc_untag(kept_place)->parent;
	look_for_stuck();
	CHECK_EQ(times("libscope: watchdog: a close still waits"), 1);
	parked[0]->place = kept_place;
	let_close();
	scope_close(&s);
	return 0;
}

Test(survey, O3_each_close_that_waits_is_told_once)
{
	run_here(are_stuck, 1);
}

#ifndef SC_TEST_CHECKED
static int very_many_are_stuck(void *arg)
{
	struct scope s;
	unsigned i;

	(void)arg;
	parked_count = 0;
	sc_watchdog_reset();
	scope_open(&s);
	for (i = 0; i < MOST_SHIELDED; i++)
		spawn_and_wait(&s, closes, NULL, 2);
	scope_cancel(&s);
	look_for_stuck();
	CHECK_EQ(times("libscope: watchdog: "), 256);
	let_close();
	scope_close(&s);
	return 0;
}

Test(survey, O3_of_very_many_that_do_not_obey_some_are_told)
{
	run_here(very_many_are_stuck, 1);
}
#endif

/* Beside others, the task and what is below it: no more than can be read. */
static int closes_many(void *arg)
{
	struct scope s;
	int i;

	(void)arg;
	parked[parked_count++] = sc_self()->strand;
	scope_open(&s);
	for (i = 0; i < 40; i++)
		scope_spawn_with(&s, parks, NULL, &concurrent);
	return scope_close(&s);
}

static int inlines(void *arg)
{
	struct scope s;

	scope_open(&s);
	CHECK_EQ(scope_spawn(&s, parks, NULL), 0);
	return scope_close(&s);
	(void)arg;
}

static int are_reported(void *arg)
{
	struct scope s;

	(void)arg;
	parked_count = 0;
	scope_open(&s);
	spawn_and_wait(&s, parks, NULL, 1);
	spawn_and_wait(&s, closes, NULL, 2);
	spawn_and_wait(&s, inlines, NULL, 1);
	spawn_and_wait(&s, closes_many, NULL, 41);

	sc_report_stuck("one", &parked[1]->fiber);
	CHECK_EQ(times("/closes: in close"), 1);
	CHECK_EQ(times("/closes/parks_shielded: asleep"), 1);
	CHECK_EQ(times("/parks: asleep"), 0);

	reported = 0;
	sc_report_stuck("on the stack of another", &parked[3]->fiber);
	CHECK_EQ(times("/inlines: in close"), 0);
	CHECK_EQ(times("/inlines/parks: asleep"), 1);

	reported = 0;
	sc_report_stuck("many", &parked[4]->fiber);
	CHECK_EQ(times("\n"), 1 + 32);

	reported = 0;
	sc_report_stuck("nobody", NULL);
	CHECK_EQ(strcmp(dumped, "libscope: nobody:\n"), 0);
	let_close();
	scope_cancel(&s);
	return scope_close(&s);
}

Test(survey, O3_of_a_stuck_task_is_told_what_is_below_it)
{
	run_here(are_reported, 1);
}

/* ---- texts ---- */

Test(survey, a_text_is_read_up_to_its_end_or_that_of_its_memory)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), length, size;
	char *two, *end, text[301], out[301];

	two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	cr_assert(two != MAP_FAILED);
	end = two + page;
	cr_assert_eq(munmap(end, page), 0);
	for (length = 1; length < 300; length += 7) {
		memset(text, 'a', length);
		text[length] = '\0';
		memcpy(end - length, text, length);
		cr_expect_str_eq(sc_peek_text(end - length, out, sizeof out), text);
		memcpy(end - length - 1, text, length + 1);
		cr_expect_str_eq(sc_peek_text(end - length - 1, out, sizeof out), text);
		for (size = 1; size <= length; size += 13) {
			cr_expect_eq(strlen(sc_peek_text(end - length - 1, out, size)), size - 1);
			cr_expect_eq(strncmp(out, text, size - 1), 0);
		}
	}
	cr_expect_str_eq(sc_peek_text("a\n\x7f\tb", out, sizeof out), "a???b");
	cr_expect_str_eq(sc_peek_text(end, out, sizeof out), "");
	munmap(two, page);
}
