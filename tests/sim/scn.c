/* tests/sim/scn.c: groups, bodies, and the run around a scenario's root task. */
#include "scn.h"

#include <signal.h>
#include <string.h>

void pause_randomly(void)
{
	uint64_t n = sim_random(8);

	while (n-- > 4)
		sim_point();
}

static int run_job(void *arg)
{
	struct job *job = arg;
	int rc;

	sim_check(job->group->open, "a task runs in a closed scope");
	sim_check(++job->runs == 1, "a task runs %u times", job->runs);
	pause_randomly();
	rc = job->body(job);
	pause_randomly();
	sim_check(job->group->open, "the scope was closed under a task");
	job->group->ended++;
	return rc;
}

/* The memory of a scope may hold anything before. */
static void begin(struct group *group)
{
	memset(group, 0, sizeof(*group));
	memset(&group->scope, 0xee, sizeof(group->scope));
	group->open = true;
}

void group_open_with(struct group *group, const struct scope_options *options)
{
	int rc;

	begin(group);
	rc = scope_open_with(&group->scope, options);
	sim_check(rc == 0, "scope_open_with gave %d", rc);
}

void group_open(struct group *group)
{
	begin(group);
	scope_open(&group->scope);
}

void group_open_in(struct group *group, struct group *parent)
{
	int rc;

	begin(group);
	group->in_object = true;
	rc = scope_open_in(&group->scope, &parent->scope);
	sim_check(rc == 0, "scope_open_in gave %d", rc);
}

int group_spawn_with(struct group *group, struct job *job, int (*body)(struct job *job),
		     const struct scope_spawn_options *options)
{
	int rc;

	job->group = group;
	job->body = body;
	job->runs = 0;
	job->saw = 1;
	group->accepted++;
	if (options)
		rc = scope_spawn_with(&group->scope, run_job, job, options);
	else
		rc = scope_spawn(&group->scope, run_job, job);
	sim_check(rc == 0 || rc == -ECANCELED || (rc == -ESTALE && group->in_object),
		  "spawn gave %d", rc);
	if (rc) {
		group->accepted--;
		group->hits++;
		sim_check(job->runs == 0, "a refused task ran");
	}
	return rc;
}

int group_spawn(struct group *group, struct job *job, int (*body)(struct job *job))
{
	return group_spawn_with(group, job, body, NULL);
}

void group_closed(struct group *group, int rc)
{
	const unsigned char *byte = (const unsigned char *)&group->scope;
	size_t i;

	sim_check(group->ended == group->accepted, "close returned %d with %u of %u tasks ended",
		  rc, group->ended, group->accepted);
	sim_check(rc != -EBUSY && (rc != -ESTALE || group->in_object) && rc != -EPERM &&
			  rc != -EDEADLK,
		  "close gave %d", rc);
	group->open = false;
	memset(&group->scope, 0xee, sizeof(group->scope));
	pause_randomly();
	for (i = 0; i < sizeof(group->scope); i++)
		sim_check(byte[i] == 0xee, "byte %zu of a closed scope was written to", i);
}

int group_close(struct group *group)
{
	int rc = scope_close(&group->scope);

	group_closed(group, rc);
	return rc;
}

int body_nothing(struct job *job)
{
	(void)job;
	return 0;
}

int body_points(struct job *job)
{
	(void)job;
	pause_randomly();
	return 0;
}

int body_yield(struct job *job)
{
	uint64_t i;

	for (i = 0; i < job->number; i++) {
		job->saw = scope_yield();
		if (job->saw) {
			job->group->hits++;
			break;
		}
	}
	return 0;
}

int body_sleep(struct job *job)
{
	int64_t end = scope_now() + (int64_t)job->number;

	job->saw = scope_sleep_until(end);
	sim_check(job->saw == 0 || job->saw == -ECANCELED, "sleep gave %d", job->saw);
	sim_check(job->saw || scope_now() >= end, "woke %lld ns early",
		  (long long)(end - scope_now()));
	job->group->hits += job->saw != 0;
	return 0;
}

int body_for_ever(struct job *job)
{
	job->saw = scope_sleep_until(SCOPE_NEVER);
	sim_check(job->saw == -ECANCELED, "sleeping for ever gave %d", job->saw);
	job->group->hits++;
	sim_check(scope_checkpoint() == -ECANCELED, "a cancel went away");
	return job->saw;
}

int body_cancel(struct job *job)
{
	scope_cancel(job->pointer ? job->pointer : &job->group->scope);
	return 0;
}

struct run {
	int (*root)(void *arg);
	unsigned flags;
};

static int run_root(void *arg)
{
	struct run *run = arg;
	struct scope_stats stats;
	int rc = run->root(NULL);

	sim_check(scope_stats_get(&stats) == 0, "no statistics in a run");
	sim_check(stats.timers_live == 0, "%llu timers are left",
		  (unsigned long long)stats.timers_live);
	return rc;
}

/* A third one would end the process.  What comes before or after the run meets nobody. */
static void send_interrupts(void *arg)
{
	uint64_t n = 1 + sim_random(2), turn;

	(void)arg;
	while (n--) {
		for (turn = sim_random(100); turn > 0; turn--)
			sc_os.relax(0);
		sim_interrupt(SIGINT);
	}
}

static void no_report(const char *text, size_t length, void *arg)
{
	(void)text;
	(void)length;
	(void)arg;
}

static void run_scenario(void *arg)
{
	struct run *run = arg;
	struct scope_config config = {.stack_size = 64 << 10, .report = no_report};
	struct sc_thread sender;
	int signal, rc;

	config.workers = run->flags & PARALLEL ? 2 + (unsigned)sim_random(2)
					       : 1 + (unsigned)sim_random(3);
	config.out_signal = &signal;
	config.flags = (run->flags & VIRTUAL ? SCOPE_VIRTUAL_CLOCK : 0) |
		       (run->flags & DEADLOCK ? SCOPE_DETECT_DEADLOCK : 0) |
		       (run->flags & INTERRUPTS ? 0 : SCOPE_NO_SIGNALS);
	if (run->flags & INTERRUPTS)
		sc_os.thread_start(&sender, send_interrupts, NULL);
	rc = scope_run(run_root, run, &config);
	if (run->flags & INTERRUPTS)
		sc_os.thread_join(&sender);
	sim_check(rc == (run->flags & DEADLOCK ? -EDEADLK : 0), "scope_run gave %d", rc);
	/* All workers asleep with work left, until the monitor's tick, is a lost wake-up. */
	sim_check(run->flags & WITH_TIMERS || sim_idle_jumps() == 0,
		  "all threads waited, though no task did");
}

void explore(const char *name, int (*root)(void *arg), unsigned flags)
{
	struct run run = {root, flags};

	sim_explore(name, run_scenario, &run);
}
