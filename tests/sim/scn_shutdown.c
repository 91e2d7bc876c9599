/* tests/sim/scn_shutdown.c: soft stops and grace periods against waits, cancels, ends and moves. */
#include "scn.h"

#include <scope_signal.h>
#include <scope_sync.h>
#include <signal.h>

/* Shuts its group down, with a grace of `number` ns, 0: without end. */
static int body_stop(struct job *job)
{
	scope_shutdown(&job->group->scope, job->number ? (int64_t)job->number : SCOPE_NEVER);
	return 0;
}

/* Sleeps for ever in a soft region, so many scopes deep; what was felt last. */
static int sleep_softly(uint64_t depth)
{
	struct scope_options options = {.shield = depth & 1};
	struct scope s;
	int rc, again;

	if (depth > 0) {
		scope_open_with(&s, &options);
		rc = sleep_softly(depth - 1);
		scope_close(&s);
		return rc;
	}
	sim_check(scope_soft_begin() == 0, "no region");
	rc = scope_sleep_until(SCOPE_NEVER);
	again = scope_checkpoint();
	sim_check(again == rc || again == -ECANCELED, "%d went away", rc);
	sim_check(scope_soft_end() == 0, "the region is gone");
	return again;
}

static int body_soft(struct job *job)
{
	job->saw = sleep_softly(job->number);
	sim_check(job->saw == -ESHUTDOWN || job->saw == -ECANCELED, "sleeping gave %d", job->saw);
	return 0;
}

/* Wakes in time or not at all. */
static int body_unmoved(struct job *job)
{
	job->saw = scope_yield();
	sim_check(job->saw == 0, "a soft stop reached who is in no region: %d", job->saw);
	job->saw = scope_sleep_for((int64_t)job->number);
	sim_check(job->saw == 0, "a soft stop reached who is in no region: %d", job->saw);
	return 0;
}

/* Whoever is first, the other sees it: no task of a region sleeps on in a stopped scope. */
static int park_against_shutdown(void *arg)
{
	struct group g;
	struct job soft[2], stop = {0}, other = {.number = 100};
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++) {
		soft[i].number = sim_random(3);
		group_spawn(&g, &soft[i], body_soft);
	}
	group_spawn(&g, &other, body_unmoved);
	group_spawn(&g, &stop, body_stop);
	if (sim_random(2))
		scope_yield();
	sim_check(group_close(&g) == 0, "a soft stop is no error");
	for (i = 0; i < 2; i++)
		sim_check(soft[i].saw == -ESHUTDOWN, "a region gave %d", soft[i].saw);
	return 0;
}

Test(sim, soft_park_races_shutdown)
{
	explore("soft_park_races_shutdown", park_against_shutdown, 0);
}

/* Who computes in a region, and parks now and then in scopes of its own. */
static int body_soft_loop(struct job *job)
{
	struct group inner;
	struct job child = {.number = 1};
	int rc;

	scope_soft_begin();
	while ((rc = scope_checkpoint()) == 0) {
		group_open(&inner);
		group_spawn(&inner, &child, body_yield);
		sim_check(group_close(&inner) == 0, "a child felt something");
		sim_point();
	}
	sim_check(rc == -ESHUTDOWN, "a region gave %d", rc);
	scope_soft_end();
	job->saw = rc;
	return rc; /* which is no error there */
}

static int loop_against_shutdown(void *arg)
{
	struct group g;
	struct job loop[2], stop = {0};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &stop, body_stop);
	group_spawn_with(&g, &loop[0], body_soft_loop, NULL);
	group_spawn_with(&g, &loop[1], body_soft_loop, NULL);
	if (sim_random(2))
		scope_shutdown(&g.scope, SCOPE_NEVER);
	sim_check(group_close(&g) == 0, "a soft stop is no error");
	return 0;
}

Test(sim, soft_checkpoint_races_shutdown)
{
	explore("soft_checkpoint_races_shutdown", loop_against_shutdown, 0);
}

/* Waits, and then waits once more where it is still registered, but in a region this time. */
static struct scope_semaphore permits;
static bool waits;

static int body_wait_twice(struct job *job)
{
	int rc = 0;

	while (rc == 0) {
		sim_check(scope_semaphore_acquire(&permits) == 0, "a soft stop ended a plain wait");
		scope_soft_begin();
		rc = scope_semaphore_acquire(&permits);
		scope_soft_end();
	}
	sim_check(rc == -ESHUTDOWN, "a region gave %d", rc);
	waits = false;
	(void)job;
	return 0;
}

static int body_release(struct job *job)
{
	(void)job;
	while (waits) {
		scope_semaphore_release(&permits);
		scope_yield();
		pause_randomly();
	}
	return 0;
}

static int wait_again_against_shutdown(void *arg)
{
	struct group g;
	struct job waiter, giver, stop = {0};

	(void)arg;
	scope_semaphore_init(&permits, 0);
	waits = true;
	group_open(&g);
	group_spawn(&g, &waiter, body_wait_twice);
	group_spawn(&g, &giver, body_release);
	group_spawn(&g, &stop, body_stop);
	sim_check(group_close(&g) == 0, "a soft stop is no error");
	return 0;
}

Test(sim, a_wait_at_the_same_place_races_a_soft_stop)
{
	explore("a_wait_at_the_same_place_races_a_soft_stop", wait_again_against_shutdown, 0);
}

static int shutdown_against_cancel(void *arg)
{
	struct group g;
	struct job soft, plain, stop = {.number = sim_random(2) * sim_random(3000)}, cancel = {0};
	int rc;

	(void)arg;
	group_open(&g);
	soft.number = sim_random(3);
	group_spawn(&g, &soft, body_soft);
	group_spawn(&g, &plain, body_for_ever);
	group_spawn(&g, &stop, body_stop);
	group_spawn(&g, &cancel, body_cancel);
	rc = scope_close(&g.scope);
	sim_check(g.ended == g.accepted, "close returned too early");
	sim_check(rc == (scope_timed_out(&g.scope) ? -ETIMEDOUT : 0), "close gave %d", rc);
	sim_check(rc == 0 || stop.number > 0, "a timeout without an end");
	return 0;
}

Test(sim, shutdown_races_cancel)
{
	explore("shutdown_races_cancel", shutdown_against_cancel, 0);
}

/* The end of a grace period may find the scope closed, but never its dead frame. */
static int shutdown_against_close(void *arg)
{
	struct group g;
	struct job soft, sleeper, stop[2];
	int round, i;

	(void)arg;
	for (round = 0; round < 2; round++) {
		group_open(&g);
		soft.number = sim_random(2);
		group_spawn(&g, &soft, body_soft);
		sleeper.number = sim_random(3000);
		group_spawn(&g, &sleeper, body_sleep);
		for (i = 0; i < 2; i++) {
			stop[i].number = sim_random(3000);
			group_spawn(&g, &stop[i], body_stop);
		}
		i = group_close(&g);
		sim_check(i == (g.hits || soft.saw == -ECANCELED ? -ETIMEDOUT : 0),
			  "close gave %d", i);
	}
	return 0;
}

Test(sim, shutdown_races_close)
{
	explore("shutdown_races_close", shutdown_against_close, WITH_TIMERS);
}

static int body_move(struct job *job)
{
	int64_t to = job->number ? scope_now() + (int64_t)sim_random(5000) : SCOPE_NEVER;
	int rc = scope_set_deadline(&job->group->scope, to);

	sim_check(rc == 0 || rc == -EALREADY, "moving a deadline gave %d", rc);
	return 0;
}

/* However deadlines move, the grace period ends: a task that sleeps for ever is cancelled. */
static int shutdown_against_move(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + (int64_t)sim_random(5000)};
	struct group g;
	struct job sleeper, move[2], stop = {.number = 1 + sim_random(3000)};
	int rc, i;

	(void)arg;
	group_open_with(&g, sim_random(2) ? &options : NULL);
	group_spawn(&g, &sleeper, body_for_ever);
	for (i = 0; i < 2; i++) {
		move[i].number = sim_random(2);
		group_spawn(&g, &move[i], body_move);
	}
	group_spawn(&g, &stop, body_stop);
	rc = group_close(&g);
	sim_check(rc == -ETIMEDOUT, "close gave %d", rc);
	return 0;
}

Test(sim, shutdown_races_a_deadline_that_moves)
{
	explore("shutdown_races_a_deadline_that_moves", shutdown_against_move, WITH_TIMERS);
}

/* ---- interrupts ------------------------------------------------------------------- */

static int body_fail_later(struct job *job)
{
	uint64_t i;

	for (i = 0; i < job->number; i++)
		scope_yield(); /* a cancel may come first: it is an error all the same */
	return -EIO;
}

static int fail_and_be_interrupted(void *arg)
{
	struct group g;
	struct job soft = {.number = 0}, sleeper = {.number = sim_random(3000)};
	struct job fail = {.number = sim_random(4)};

	(void)arg;
	group_open(&g);
	group_spawn(&g, &soft, body_soft);
	group_spawn(&g, &sleeper, body_sleep);
	if (group_spawn(&g, &fail, body_fail_later))
		scope_fail(&g.scope, -EIO, NULL);
	return group_close(&g);
}

static int interrupts; /* that met the run */

static void send_interrupts(void *arg)
{
	uint64_t n = 1 + sim_random(2), turn;

	(void)arg;
	while (n--) {
		for (turn = sim_random(100); turn > 0; turn--)
			sc_os.relax(0);
		interrupts += sim_interrupt(SIGINT);
	}
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

/* Neither hides the other, with a grace period and without. */
static void signal_against_error(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .report = no_report};
	struct sc_thread sender;
	int signal = -1, rc;

	(void)arg;
	interrupts = 0;
	config.workers = 1 + (unsigned)sim_random(3);
	config.grace_ns = (int64_t)(sim_random(2) * (1 + sim_random(3000)));
	config.out_signal = &signal;
	sc_os.thread_start(&sender, send_interrupts, NULL);
	rc = scope_run(fail_and_be_interrupted, NULL, &config);
	sim_check(rc == -EIO, "the run gave %d", rc);
	sc_os.thread_join(&sender);
	sim_check(signal == (interrupts ? SIGINT : 0), "%d interrupts, told %d", interrupts,
		  signal);
}

Test(sim, signal_races_error)
{
	sim_explore("signal_races_error", signal_against_error, NULL);
}

/* The end of the grace period ends a run in which nobody stops by himself. */
static int until_the_grace_is_over(void *arg)
{
	struct group g;
	struct job soft = {.number = sim_random(3)}, plain;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &soft, body_soft);
	group_spawn(&g, &plain, body_for_ever);
	sim_check(group_close(&g) == -ECANCELED, "no cancel from above");
	return 0;
}

static void send_one_interrupt(void *arg)
{
	(void)arg;
	while (!sim_interrupt(SIGINT))
		sc_os.relax(64);
}

static void grace_of_the_run(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .report = no_report};
	struct sc_thread sender;
	int signal = -1, rc;

	(void)arg;
	config.workers = 1 + (unsigned)sim_random(3);
	config.grace_ns = (int64_t)(1 + sim_random(3000));
	config.out_signal = &signal;
	sc_os.thread_start(&sender, send_one_interrupt, NULL);
	rc = scope_run(until_the_grace_is_over, NULL, &config);
	sc_os.thread_join(&sender);
	sim_check(rc == 0 && signal == SIGINT, "the run gave %d, told %d", rc, signal);
}

Test(sim, grace_of_the_run_ends_it)
{
	sim_explore("grace_of_the_run_ends_it", grace_of_the_run, NULL);
}

/* ---- streams of signals ------------------------------------------------------------ */

static struct scope_signal *stream;
static unsigned sent, taken;

static void send_signals(void *arg)
{
	uint64_t n = 1 + sim_random(3), turn;

	(void)arg;
	while (n--) {
		for (turn = sim_random(200); turn > 0; turn--)
			sc_os.relax(0);
		if (sim_interrupt(SIGUSR1))
			sent++;
	}
}

/* Reads until it is stopped, and says what it took. */
static int body_read(struct job *job)
{
	int rc;

	while ((rc = scope_signal_next(stream)) == 0)
		taken++;
	sim_check(rc == -ESHUTDOWN || rc == -ECANCELED, "next gave %d", rc);
	job->saw = rc;
	return 0;
}

/* One reader, whose wait is ended by signals, a cancel or a soft stop: what it does not take
 * stays there. */
static int read_signals(void *arg)
{
	struct group g;
	struct job reader, stop = {0};

	(void)arg;
	sim_check(scope_signal_open(SIGUSR1, &stream) == 0, "no stream");
	group_open(&g);
	group_spawn(&g, &reader, body_read);
	group_spawn(&g, &stop, sim_random(2) ? body_stop : body_cancel);
	if (sim_random(2))
		scope_yield();
	sim_check(group_close(&g) == 0, "an end of a wait is no error");
	while (taken < sent && scope_signal_next(stream) == 0)
		taken++;
	if (sim_random(2)) /* else the run does */
		scope_signal_close(stream);
	return 0;
}

static void signals_against_ends(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .report = no_report};
	struct sc_thread sender[2];
	int signal, rc, i, senders = 1 + (int)sim_random(2);

	(void)arg;
	sent = taken = 0;
	config.workers = 1 + (unsigned)sim_random(3);
	config.flags = (unsigned)sim_random(2) * SCOPE_DETECT_DEADLOCK;
	config.out_signal = &signal;
	for (i = 0; i < senders; i++)
		sc_os.thread_start(&sender[i], send_signals, NULL);
	rc = scope_run(read_signals, NULL, &config);
	sim_check(rc == 0 && signal == 0, "the run gave %d, told %d", rc, signal);
	for (i = 0; i < senders; i++)
		sc_os.thread_join(&sender[i]);
}

Test(sim, signals_race_the_end_of_a_wait_for_them)
{
	sim_explore("signals_race_the_end_of_a_wait_for_them", signals_against_ends, NULL);
}

/* Nothing else ends that wait. */
static int read_one_signal(void *arg)
{
	struct group g;
	struct job other;

	(void)arg;
	sim_check(scope_signal_open(SIGUSR1, &stream) == 0, "no stream");
	group_open(&g);
	group_spawn(&g, &other, body_points);
	sim_check(scope_signal_next(stream) == 0, "no signal");
	group_close(&g);
	scope_signal_close(stream);
	return 0;
}

static void send_one_signal(void *arg)
{
	(void)arg;
	while (!sim_interrupt(SIGUSR1))
		sc_os.relax(64);
}

static void signal_against_wait(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10, .report = no_report};
	struct sc_thread sender;
	int signal, rc;

	(void)arg;
	config.workers = 1 + (unsigned)sim_random(3);
	config.flags = (unsigned)sim_random(2) * SCOPE_DETECT_DEADLOCK;
	config.out_signal = &signal;
	sc_os.thread_start(&sender, send_one_signal, NULL);
	rc = scope_run(read_one_signal, NULL, &config);
	sim_check(rc == 0 && signal == 0, "the run gave %d, told %d", rc, signal);
	sc_os.thread_join(&sender);
}

Test(sim, a_signal_wakes_who_waits_for_it)
{
	sim_explore("a_signal_wakes_who_waits_for_it", signal_against_wait, NULL);
}
