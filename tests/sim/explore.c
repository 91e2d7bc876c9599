/* tests/sim/explore.c: many schedules of one scenario, and the replay of a failing one. */
#include "core.h"
#include "harness.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the process that explores leaves to the one that waits for it; shared memory. */
struct findings {
	uint64_t seed; /* of the schedule under way, or of the last */
	enum sim_strategy strategy;
	struct sim_result result;
	uint64_t schedules;
	bool ended; /* the process came to its end: result is that of the last schedule */
};

struct job {
	char name[160]; /* as --filter takes it */
	sim_scenario_fn *scenario;
	void *arg;
	struct findings *out;
	bool has_state; /* a process for each schedule */
};

/* What a scenario with state gets of the schedules, or of the time, that others get. */
enum { FEWER = 2000, SHORTER = 20 };

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static uint64_t number_from(const char *variable, uint64_t otherwise)
{
	const char *text = getenv(variable);

	return text && *text ? strtoull(text, NULL, 0) : otherwise;
}

static enum sim_strategy strategy_from_environment(void)
{
	const char *text = getenv("SIM_STRATEGY");

	if (text && !strcmp(text, "pct"))
		return SIM_PCT;
	return text && !strcmp(text, "exhaustive") ? SIM_EXHAUSTIVE : SIM_RANDOM;
}

/* One line for each failure, in the file that SIM_FAILURES names. */
static void keep_failure(const struct job *job, const struct findings *found)
{
	const char *path = getenv("SIM_FAILURES");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fprintf(file,
		"SIM_SEED=%llu SIM_STRATEGY=%s build/test/sim --filter %s # %016llx %s\n",
		(unsigned long long)found->seed, sim_strategy_name(found->strategy), job->name,
		(unsigned long long)found->result.trace, found->result.message);
	fclose(file);
}

static bool run_here(struct job *job, uint64_t seed, enum sim_strategy strategy)
{
	if (sim_run(seed, strategy, job->scenario, job->arg, &job->out->result) == 0)
		return true;
	if (job->out->result.verdict != SIM_END) {
		sim_report(job->name, seed, strategy, &job->out->result);
		sim_print_trace();
	}
	return false;
}

/* What a crash of it was has been printed by its own handler. */
static bool run_apart(struct job *job, uint64_t seed, enum sim_strategy strategy)
{
	int status = 0;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		run_here(job, seed, strategy);
		fflush(NULL);
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) != pid)
		;
	if (pid > 0 && status == 0)
		return job->out->result.verdict == SIM_OK;
	job->out->result.verdict = SIM_CHECK;
	snprintf(job->out->result.message, sizeof(job->out->result.message),
		 "its process ended with status %#x", (unsigned)status);
	sim_report(job->name, seed, strategy, &job->out->result);
	return false;
}

static bool run_one(struct job *job, uint64_t seed, enum sim_strategy strategy)
{
	job->out->seed = seed;
	job->out->strategy = strategy;
	job->out->schedules++;
	return job->has_state ? run_apart(job, seed, strategy) : run_here(job, seed, strategy);
}

/* The schedules before are run too: the path to a number leads over all smaller ones. */
static void run_in_turn(struct job *job, uint64_t most)
{
	uint64_t i;

	for (i = 0; i < most && run_one(job, i, SIM_EXHAUSTIVE); i++)
		;
}

/* What never ends has its own time counted, for others may have the machine; what waits in the
 * kernel has none. */
static void limit_time(void)
{
	const struct itimerval minute = {.it_value.tv_sec = 60};

	setitimer(ITIMER_PROF, &minute, NULL);
	alarm(600);
}

static void run_many(struct job *job)
{
	uint64_t first = number_from("SIM_FIRST", 1), i;
	uint64_t most = number_from("SIM_SCHEDULES", 0), fewer = job->has_state ? FEWER : 1;
	double end = seconds() + (double)number_from("SIM_SECONDS", 2) /
					 (job->has_state ? SHORTER : 1);

	most = (most + fewer - 1) / fewer;
	for (i = 0; !most || i < most; i++) {
		if (!most && i % 16 == 0 && i && seconds() > end)
			break;
		if (i % 64 == 0)
			limit_time();
		if (!run_one(job, first + i, i % 2 ? SIM_PCT : SIM_RANDOM))
			break;
	}
}

/* What the process was at when a signal ended it. */
static const struct job *under_way;

static void on_crash(int number)
{
	static const char text[] = "sim: the process was killed; the last steps:\n";

	signal(number, SIG_DFL);
	sim.running = false;
	sc_os_write_stderr(text, sizeof(text) - 1);
	sim.result.verdict = SIM_CHECK;
	/* Not safe in a signal handler, but there is nothing left to lose. */
	snprintf(sim.result.message, sizeof(sim.result.message), "signal %d", number);
	sim_report(under_way->name, under_way->out->seed, sim.strategy, &sim.result);
	sim_print_trace();
	raise(number);
}

/* Runs `work` in a process of its own, which a failing schedule may leave in any state.
 * What a signal ended counts as a failed check. */
static void in_child(struct job *job, void (*work)(struct job *job, uint64_t number),
		     uint64_t number)
{
	static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGALRM,
				      SIGPROF};
	int status = 0;
	unsigned i;
	pid_t pid;

	memset(job->out, 0, sizeof(*job->out));
	fflush(NULL);
	pid = getenv("SIM_NO_FORK") ? 0 : fork();
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (i = 0; i < sizeof(crashes) / sizeof(crashes[0]); i++)
			signal(crashes[i], on_crash);
		under_way = job;
		work(job, number);
		job->out->ended = true;
		fflush(NULL);
		if (getenv("SIM_NO_FORK"))
			return;
		_exit(0);
	}
	while (pid > 0 && waitpid(pid, &status, 0) != pid)
		;
	if (job->out->ended)
		return;
	job->out->result.verdict = SIM_CHECK;
	snprintf(job->out->result.message, sizeof(job->out->result.message),
		 "the process ended with status %#x", (unsigned)status);
	fprintf(stderr, "sim: %s: seed=%llu strategy=%s: %s\n", job->name,
		(unsigned long long)job->out->seed, sim_strategy_name(job->out->strategy),
		job->out->result.message);
}

static void work_many(struct job *job, uint64_t number)
{
	(void)number;
	run_many(job);
}

static void work_in_turn(struct job *job, uint64_t most)
{
	run_in_turn(job, most);
}

/* number: 0 random, 1 pct; the seed is what the findings said before. */
static uint64_t again_seed;
static void work_again(struct job *job, uint64_t number)
{
	run_one(job, again_seed, (enum sim_strategy)number);
	if (getenv("SIM_SEED")) {
		sim_report(job->name, again_seed, (enum sim_strategy)number, &job->out->result);
		sim_print_trace();
	}
}

static void job_init(struct job *job, const char *name, sim_scenario_fn *scenario, void *arg)
{
	snprintf(job->name, sizeof(job->name), "%s%s", strchr(name, '/') ? "" : "sim/", name);
	job->scenario = scenario;
	job->arg = arg;
	job->has_state = false;
	job->out = mmap(NULL, sizeof(*job->out), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cr_assert(job->out != MAP_FAILED);
}

static void fail_if_bad(const struct findings *found)
{
	cr_assert(found->result.verdict == SIM_OK, "seed=%llu strategy=%s: %s",
		  (unsigned long long)found->seed, sim_strategy_name(found->strategy),
		  found->result.message);
}

static void explore(struct job *job)
{
	struct findings found;
	const char *name = job->name;
	double start = seconds();
	bool same;

	if (getenv("SIM_SEED")) {
		again_seed = number_from("SIM_SEED", 1);
		if (strategy_from_environment() == SIM_EXHAUSTIVE)
			in_child(job, work_in_turn, again_seed + 1);
		else
			in_child(job, work_again, strategy_from_environment());
		fail_if_bad(job->out);
		return;
	}
	in_child(job, work_many, 0);
	found = *job->out;
	printf("# %s: %llu schedules in %.1f s, %.0f/s\n", name,
	       (unsigned long long)found.schedules, seconds() - start,
	       (double)found.schedules / (seconds() - start));
	if (found.result.verdict != SIM_OK)
		keep_failure(job, &found);
	if (found.ended) {
		/* In a process with another history the schedule has to be the same. */
		again_seed = found.seed;
		if (found.result.verdict != SIM_OK)
			fprintf(stderr, "sim: %s: once more in a new process:\n", name);
		in_child(job, work_again, found.strategy);
		same = job->out->result.trace == found.result.trace &&
		       job->out->result.verdict == found.result.verdict;
		cr_expect(same, "seed=%llu strategy=%s gave trace %016llx, then %016llx",
			  (unsigned long long)found.seed, sim_strategy_name(found.strategy),
			  (unsigned long long)found.result.trace,
			  (unsigned long long)job->out->result.trace);
	}
	munmap(job->out, sizeof(*job->out));
	fail_if_bad(&found);
}

void sim_explore(const char *name, sim_scenario_fn *scenario, void *arg)
{
	struct job job;

	job_init(&job, name, scenario, arg);
	explore(&job);
}

void sim_explore_with_state(const char *name, sim_scenario_fn *scenario, void *arg)
{
	struct job job;

	job_init(&job, name, scenario, arg);
	job.has_state = true;
	explore(&job);
}

uint64_t sim_exhaust(const char *name, sim_scenario_fn *scenario, void *arg,
		     unsigned preemptions, uint64_t most)
{
	struct sim_limits limits = {
		.preemptions = preemptions, .none_preempted = !preemptions, .steady_clock = 1};
	struct findings found;
	struct job job;
	bool all;

	job_init(&job, name, scenario, arg);
	sim_set_limits(&limits);
	in_child(&job, work_in_turn, most);
	limits = (struct sim_limits){0};
	sim_set_limits(&limits);
	found = *job.out;
	munmap(job.out, sizeof(*job.out));
	all = found.result.verdict == SIM_END;
	if (all) {
		found.schedules--;
		found.result.verdict = SIM_OK;
	}
	printf("# %s: %llu schedules, %s with %u preemptions\n", name,
	       (unsigned long long)found.schedules, all ? "all" : "not all", preemptions);
	fail_if_bad(&found);
	return found.schedules;
}
