/* tests/stress/test_signal.c: a signal and an error race, in 10,000 runs: rule I2. */
#define _GNU_SOURCE
#include "api/task_check.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(signal, .timeout = 110);

enum { RUNS = 10000 };

static int64_t budget_ns(void)
{
	const char *text = getenv("STRESS_SECONDS");

	return (text && atoi(text) > 0 ? atoi(text) : 5) * SCOPE_SEC;
}

static void pause_for(unsigned turns)
{
	volatile unsigned i;

	for (i = 0; i < turns; i++)
		;
}

/* The race of one run; times in turns of a loop. */
static struct {
	unsigned until_signal, until_error;
	atomic_uint started, sent; /* the number of the run */
	unsigned signal_first, error_first;
} race;

/* A thread of the program's own. */
static void *send_signals(void *arg)
{
	unsigned run;

	for (run = 1; run <= RUNS; run++) {
		while (race.started < run)
			sched_yield();
		if (race.started > RUNS)
			break;
		pause_for(race.until_signal);
		kill(getpid(), SIGINT);
		race.sent = run;
	}
	return arg;
}

static int fails_after_a_while(void *arg)
{
	(void)arg;
	pause_for(race.until_error);
	if (scope_cancelled())
		race.signal_first++;
	else
		race.error_first++;
	return -EIO;
}

static int sleeps(void *arg)
{
	(void)arg;
	return scope_sleep_until(SCOPE_NEVER);
}

static int race_once(void *arg)
{
	unsigned run = *(unsigned *)arg;
	struct scope s;
	int rc;

	scope_open(&s);
	scope_spawn_with(&s, sleeps, NULL, &concurrent);
	race.started = run;
	/* Refused after a signal that was very quick: then it is the body that fails. */
	if (scope_spawn_with(&s, fails_after_a_while, NULL, &concurrent) < 0)
		scope_fail(&s, fails_after_a_while(NULL), NULL);
	rc = scope_close(&s);
	/* In time: a signal to no run would end the process. */
	while (race.sent < run)
		sched_yield();
	return rc;
}

Test(signal, I2_signal_and_error_race_and_neither_is_lost)
{
	int64_t end = real_now() + budget_ns();
	sigset_t all, old;
	pthread_t sender;
	unsigned run;

	checks_begin();
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	cr_assert_eq(pthread_create(&sender, NULL, send_signals, NULL), 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	for (run = 1; run <= RUNS && (run % 64 || real_now() < end); run++) {
		int seen = -1, rc;
		struct scope_config config = {.report = no_report,
					      .out_signal = &seen,
					      .grace_ns = run % 4 ? 0 : 100 * SCOPE_US};

		race.until_signal = (run * 7919) % 20000;
		race.until_error = (run * 104729) % 300000;
		rc = scope_run(race_once, &run, &config);
		cr_assert_eq(rc, -EIO, "run %u gave %d", run, rc);
		cr_assert_eq(seen, SIGINT, "run %u was told %d", run, seen);
	}
	race.started = RUNS + 1;
	pthread_join(sender, NULL);
	checks_end();
	printf("# %u runs: the signal was first in %u, the error in %u\n", run - 1,
	       race.signal_first, race.error_first);
	cr_assert(run < 1000 || (race.signal_first && race.error_first), "that was no race");
}
