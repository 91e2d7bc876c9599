/* runtime/scope/run.c: scope_run: configuration, the root, interrupts: rules S2, I1-I3, Z1-Z3. */
#include "scope/path.h"
#include "scope/ref.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static SC_WORD(uint32_t) running; /* a run is under way */
static uint32_t deadlocked; /* deadlocks seen in this run; written by the last idle worker */

enum {
	KNOWN_FLAGS = SCOPE_VIRTUAL_CLOCK | SCOPE_NO_SIGNALS | SCOPE_DETECT_DEADLOCK |
		      SCOPE_UNGUARDED_STACKS
};

/* ---- configuration -------------------------------------------------------------------------- */

/* A variable of the environment that is not what it should be; each is told of once. */
struct variable {
	const char *name, *wanted;
	uint64_t most;
	uint32_t bad, told;
};

static struct variable seed_variable = {"SCOPE_SEED", "a number", UINT64_MAX, 0, 0};
static struct variable workers_variable = {"SCOPE_WORKERS", "a number up to 1024", SC_MAX_WORKERS,
					   0, 0};
static struct variable detect_variable = {"SCOPE_DETECT_DEADLOCK", "0 or 1", 1, 0, 0};

/* 0 if it is not set, or not what it should be. */
static uint64_t from_environment(struct variable *variable)
{
	const char *text = getenv(variable->name);
	char *end;
	uint64_t value;

	if (!text || !*text)
		return 0;
	errno = 0;
	value = strtoull(text, &end, 0);
	/* What begins with a letter ends there, too. */
	variable->bad = *end || *text < '0' || errno != 0 || value > variable->most;
	return variable->bad ? 0 : value;
}

static void tell_of(struct variable *variable)
{
	if (variable->bad && !variable->told)
		sc_reportf("libscope: %s=%.80s in the environment is not %s: it is ignored\n",
			   variable->name, getenv(variable->name), variable->wanted);
	variable->told |= variable->bad;
	variable->bad = 0;
}

static int check_config(const struct scope_config *config)
{
	if (!SC_UNRESERVED(config) || (config->flags & ~(unsigned)KNOWN_FLAGS))
		return -EINVAL;
	if (config->grace_ns < 0 || config->orphan_grace_ns < 0 || config->watchdog_ns < 0 ||
	    config->kill_after_ns < 0 || config->workers > SC_MAX_WORKERS)
		return -EINVAL;
	if (config->stack_size &&
	    (config->stack_size < 16384 || config->stack_size > (size_t)1 << 30))
		return -EINVAL;
	return config->seed && config->workers > 1 ? -EINVAL : 0;
}

/* What the caller left open. */
static void complete_config(struct scope_config *config)
{
	/* The number of workers that a caller asks for goes before a seed of the environment,
	 * and a seed before a number of the environment. */
	if (config->seed == 0 && config->workers <= 1)
		config->seed = from_environment(&seed_variable);
	if (config->workers == 0)
		config->workers = config->seed ? 1 : (unsigned)from_environment(&workers_variable);
	if (config->workers == 0)
		config->workers = sc_os_processors();
	if (from_environment(&detect_variable))
		config->flags |= SCOPE_DETECT_DEADLOCK;
	if (config->stack_size == 0)
		config->stack_size = 256 * 1024;
	if (config->kill_after_ns == 0)
		config->kill_after_ns = 5 * SCOPE_SEC;
	if (config->orphan_grace_ns == 0)
		config->orphan_grace_ns = SCOPE_SEC;
}

/* ---- hooks ----------------------------------------------------------------------------------- */

#define WHAT_TO_DO                                                                                 \
	"one that computes has to call scope_checkpoint() or scope_cancelled(); a cancel does "    \
	"not reach one that waits in the kernel or for a thread's lock: let such waits have a "    \
	"limit of time; nor a call that changes a file or may create one: that ends when the "     \
	"disk, the file server or a pipe's other side lets it"

static int last_words; /* the exit status while the report of a third interrupt is made */
static int64_t grace;  /* const while running: that of the first interrupt */

/* Rule I3.  From a hard cancel on, the monitor watches whether anybody makes progress. */
static void on_signal(int signal, unsigned count)
{
	int64_t now = sc_now();

	if (count == 1 && grace) {
		sc_shutdown(&sc_sched.workers[0], &sc_root,
			    grace < SC_NEVER - now ? now + grace : SC_NEVER);
		return;
	}
	at_store_rlx(&sc_sched.hard_signal, (uint32_t)signal);
	if (count == 1 || count == 2) {
		sc_cancel(&sc_root, SCOPE_CAUSE_INTERRUPT);
		return;
	}
	last_words = 128 + signal;
	sc_report_tree("third interrupt: these tasks did not end; " WHAT_TO_DO);
	_exit(128 + signal);
}

/* The root's only alarm is the end of the grace period. */
static void on_alarm(struct sc_alarm *alarm)
{
	sc_expire(alarm);
	if (alarm != &sc_root.alarm)
		return;
	at_store_rlx(&sc_sched.hard_signal, at_load_rlx(&sc_sched.signals) & SC_SIGNAL_LAST);
	sc_monitor_nudge();
}

static void on_stuck(int signal)
{
	last_words = 128 + signal;
	sc_report_tree("no progress after the interrupt: these tasks did not end; " WHAT_TO_DO);
	_exit(128 + signal);
}

static void on_deadlock(void)
{
	if (deadlocked++) {
		sc_report_tree("deadlock: tasks stay parked although they were cancelled");
		sc_panic("deadlock: cancelling the root did not end these tasks");
	}
	sc_report_tree("deadlock: every task is parked and nothing will wake one; a wait needs a "
		       "deadline, or somebody who ends it");
	sc_cancel(&sc_root, SCOPE_CAUSE_DEADLOCK);
}

struct sc_run sc_run;

/* What tells of itself, or NULL. */
static const struct sc_service *service(unsigned index)
{
	return at_load_rlx(&sc_run.service[index]);
}

static struct sc_strand *run_and_stop(struct sc_strand *strand)
{
	struct sc_strand *to = sc_run_task(strand);
	unsigned i;

	if (strand->own_stack) {
		if (__builtin_add_overflow(sc_os.now(), sc_run.orphan_grace, &sc_run.orphans_until))
			sc_run.orphans_until = SC_NEVER;
		for (i = 0; i < SC_SERVICES; i++)
			if (service(i))
				service(i)->at_end();
		sc_signals_end();
		sc_sched_stop();
	}
	return to;
}

size_t sc_orphans(const void **fns, size_t most)
{
	size_t count = 0;
	unsigned i;

	for (i = 0; i < SC_SERVICES; i++)
		if (service(i))
			count += service(i)->orphans(fns + count, count < most ? most - count : 0);
	return count;
}

/* On the monitor's thread. */
static void look(void)
{
	unsigned i;

	if (sc_run.watchdog)
		sc_watchdog_look();
	for (i = 0; i < SC_SERVICES; i++)
		if (service(i))
			service(i)->look();
}

static void on_fault(const void *address, const void *sp)
{
	struct sc_worker *worker = sc_self();
	char task[1280];

	/* The report walks a tree that lives: if it trips, the program ends all the same. */
	if (last_words)
		_exit(last_words);
	if (!worker->cur || !sc_fiber_overflowed(&worker->strand->fiber, address, sp))
		return;
	/* Names are read with malloc, in which the overflow may have happened. */
	sc_report("libscope: stack overflow\n", 25);
	sc_os_last_seconds(2);
	sc_describe_in_handler(worker->cur, task, sizeof task);
	sc_reportf("libscope: stack overflow in %s: raise stack_size in scope_config, or keep "
		   "large buffers off the stack\n", task);
	abort();
}

static void install(const struct scope_config *config)
{
	sc_hooks = (struct sc_hooks){.run = run_and_stop,
				     .refuse = sc_refuse_task,
				     .suspend = sc_put_aside,
				     .resume = sc_resume,
				     .expire = on_alarm,
				     .deadlock = on_deadlock,
				     .signal = on_signal,
				     .stuck = on_stuck,
				     .dump = sc_report_dump,
				     .look = look,
				     .arrived = sc_signals_arrived};
	sc_run = (struct sc_run){.offload_threads = config->offload_threads,
				 .orphan_grace = config->orphan_grace_ns,
				 .watchdog = config->watchdog_ns};
	sc_watchdog_reset();
	sc_sched.watchers = config->watchdog_ns > 0;
	sc_sched.flags = (config->flags & SCOPE_VIRTUAL_CLOCK ? SC_SCHED_VIRTUAL : 0) |
			 (config->flags & SCOPE_DETECT_DEADLOCK ? SC_SCHED_DETECT : 0) |
			 (config->flags & SCOPE_NO_SIGNALS ? 0 : SC_SCHED_SIGNALS) |
			 (config->seed ? SC_SCHED_SEEDED : 0);
	sc_sched.kill_after = config->kill_after_ns;
	sc_sched.seed = config->seed;
	sc_sched.trace = 0;
	sc_sched.virtual_now = SCOPE_SEC; /* not 0: that means none in options */
	sc_sched.signals = 0;
	sc_epoch = 0;
	deadlocked = 0;
	last_words = 0;
	grace = config->grace_ns;
	memset(&sc_root, 0, sizeof sc_root);
	sc_root.state = SC_LINKED;
	sc_root.count = 1; /* the root task */
	sc_seal(&sc_root);
	sc_numbers_reset();
	sc_reporter(config->report, config->report_arg);
}

/* The root task: its record keeps its name, since what its strand runs is run_main. */
static struct sc_task root_task;
static int root_result;

static int run_main(void *unused)
{
	(void)unused;
	return root_result = root_task.slot.fn(root_task.slot.arg);
}

/* ---- running --------------------------------------------------------------------------------- */

static int run_root(scope_task_fn *main_task, void *arg, const struct scope_config *config)
{
	size_t main_size = sc_os_main_stack_size();
	struct sc_fiber *fiber;
	struct sc_strand *root;
	int rc;

	rc = sc_fiber_init(config->stack_size, sizeof(struct sc_host) - sizeof(struct sc_fiber),
			   sizeof(struct sc_leaf), sc_strand_main,
			   config->flags & SCOPE_UNGUARDED_STACKS ? SC_FIBER_UNGUARDED : 0);
	if (rc < 0)
		return rc;
	fiber = sc_fiber_new(main_size > config->stack_size ? main_size : config->stack_size);
	if (!fiber) {
		sc_fiber_fini();
		return -ENOMEM;
	}
	root = SC_CONTAINER(fiber, struct sc_strand, fiber);
	root->own_stack = 1;
	sc_card(root)->strand = root;
	root->batch = 1;
	root->slot = (struct sc_slot){run_main, NULL, NULL, &sc_root};
	root->task = &root_task;
	root_task = (struct sc_task){.slot = {main_task, NULL, arg, &sc_root}};
	sc_refs_begin();
	rc = sc_sched_run(config->workers, root);
	sc_refs_end();
	sc_fiber_free(fiber);
	sc_fiber_fini();
	return rc;
}

/* How to have that again. */
static void report_seed(uint64_t seed)
{
	if (seed)
		sc_reportf("libscope: SCOPE_SEED=%llu gives this order again (trace %016llx)\n",
			   (unsigned long long)seed, (unsigned long long)sc_sched.trace);
}

static int result(uint64_t seed)
{
	struct scope_error *error = sc_root_error();
	/* An interrupt is told beside the result (I2): that it was felt changes nothing here. */
	int rc = sc_state(&sc_root) & SC_FAILED ? sc_root.code : root_result;
	int told = deadlocked != 0;

	if (error) {
		if (!sc_was_printed(error)) {
			sc_report_error(error);
			told = 1;
		}
		sc_release_error(error);
	}
	if (told)
		report_seed(seed);
	return deadlocked ? -EDEADLK : rc;
}

int scope_run(scope_task_fn *main_task, void *arg, const struct scope_config *given)
{
	struct scope_config config = {0};
	uint32_t expected = 0;
	int rc, seen = 0;

	if (given)
		config = *given;
	if (config.out_signal)
		*config.out_signal = 0;
	rc = check_config(&config);
	if (rc < 0 || !main_task)
		return -EINVAL;
	if (!at_cas_acq(&running, &expected, 1)) /* [run.one] */
		return -EBUSY;
	complete_config(&config);
	install(&config);
	tell_of(&seed_variable);
	tell_of(&workers_variable);
	tell_of(&detect_variable);
	rc = sc_os_fault_install(on_fault);
	if (rc == 0)
		rc = run_root(main_task, arg, &config);
	sc_os_fault_uninstall();
	if (rc == 0)
		rc = result(config.seed);
	if (sc_sched.flags & SC_SCHED_SIGNALS)
		seen = (int)(sc_sched.signals & SC_SIGNAL_LAST);
	sc_sched.flags = 0; /* whoever asks for the time now means the real clock */
	sc_reporter(NULL, NULL); /* its arg may not outlive the call */
	at_store_rel(&running, 0); /* [run.one] */
	if (seen && config.out_signal)
		*config.out_signal = seen;
	else if (seen)
		sc_os_raise(seen);
	return rc;
}
