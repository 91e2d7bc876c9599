/* tests/fault/test_dump.c: a dump that is refused memory shows what it has room for. */
#define _GNU_SOURCE
#include "fault.h"

#include <errno.h>
#include <scope_observe.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

TestSuite(dump, .timeout = 150);

/* More than a dump knows room for by itself. */
enum { SLEEPERS = 600 };

static enum fault_kind kind_now;
static int nth_now, came, told;
static uint32_t begun, let_go; /* atomic */

static int sleeps(void *arg)
{
	(void)arg;
	scope_sleep_until(SCOPE_NEVER);
	return 0;
}

/* Does not answer where it is: who asks has to wait, for a tenth of a second. */
static int computes(void *arg)
{
	sigset_t all, before;

	(void)arg;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	at_store_rlx(&begun, 1);
	while (!at_load_rlx(&let_go))
		;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return 0;
}

static uint64_t parks(void)
{
	struct scope_stats stats = {0};

	scope_stats_get(&stats);
	return stats.parks;
}

static int dump(void)
{
	static char text[1 << 20];
	int file = memfd_create("dump", 0), rc;
	ssize_t length;

	fault_arm(kind_now, nth_now, kind_now == FAULT_WAIT); /* waits of others come too */
	rc = scope_dump(file, SCOPE_DUMP_TEXT);
	came = fault_disarm();
	length = pread(file, text, sizeof text - 1, 0);
	text[length > 0 ? length : 0] = '\0';
	told = strstr(text, "\n  no memory for ") != NULL;
	close(file);
	return rc;
}

static int dumps(void *arg)
{
	struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};
	struct scope s;
	int rc;

	(void)arg;
	at_store_rlx(&begun, 0);
	at_store_rlx(&let_go, 0);
	scope_open(&s);
	scope_spawn_n(&s, sleeps, NULL, 0, SLEEPERS);
	while (parks() < SLEEPERS)
		scope_yield();
	scope_spawn_with(&s, computes, NULL, &concurrent);
	while (!at_load_rlx(&begun))
		scope_yield();
	rc = dump();
	at_store_rlx(&let_go, 1);
	scope_cancel(&s);
	scope_close(&s);
	return rc;
}

static void dump_without(enum fault_kind kind, int most)
{
	struct scope_config config = {.workers = 2, .flags = SCOPE_NO_SIGNALS};

	fault_install();
	kind_now = kind;
	for (nth_now = 0, came = 1; came && nth_now < most; nth_now++) {
		cr_assert_eq(scope_run(dumps, NULL, &config), 0);
		if (came)
			fault_outcome(told);
	}
	cr_assert_gt(nth_now, 1, "no call of %s came", fault_name(kind));
}

Test(dump, without_memory_it_shows_some_and_tells_how_many_are_left_out)
{
	/* Names are read once in a process. */
	struct scope_config config = {.workers = 2, .flags = SCOPE_NO_SIGNALS};

	kind_now = FAULT_ALLOC;
	nth_now = 1 << 20;
	cr_assert_eq(scope_run(dumps, NULL, &config), 0);
	cr_assert_eq(told, 0);
	dump_without(FAULT_ALLOC, 100);
}

Test(dump, a_wait_that_returns_early_waits_again)
{
	dump_without(FAULT_WAIT, 2);
}
