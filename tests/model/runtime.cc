/* tests/model/runtime.cc: models of the whole runtime: two workers run a small program.
 *
 * Every file of deque/, fiber/, sched/ and scope/ is the shipped one, compiled as C++; the
 * system is here.  Strands are real stacks that move between the threads of the checker.
 * The monitor does not run: its tick would hide a lost wake-up, which ends in a deadlock here.
 * Time stands still but for the virtual clock.
 */
#include "model.hpp"

#include "scope/tree.h"

#include <errno.h>
#include <stdio.h>

/* ---- memory: used once in a schedule ---- */

static char arena[64 << 20] SC_ALIGNED(1 << 16);
static size_t arena_used;

static void *reserve(size_t size)
{
	char *memory = arena + arena_used;

	size = (size + 0xfff) & ~(size_t)0xfff;
	if (arena_used + size > sizeof arena)
		return NULL;
	arena_used += size;
	return memory;
}

static void *allocate(size_t size)
{
	char *memory = arena + arena_used;

	arena_used += (size + 63) & ~(size_t)63;
	MODEL_CHECK(arena_used <= sizeof arena);
	return memory;
}

static void free_nothing(void *) {}

static int commit(void *, size_t)
{
	return 0;
}

static void release(void *, size_t) {}

static void unguard(unsigned) {}

/* ---- time: each look at it is late, so that a search is short and no rate limit holds ---- */

static int64_t looks;

static int64_t now(void)
{
	return SCOPE_SEC + looks++ * 100000;
}

uint64_t sc_sim_ticks(void)
{
	return (uint64_t)now() * 2;
}

/* ---- waiting: a futex never wakes for no reason, so that a lost wake-up is a deadlock ---- */

static void wait(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t deadline)
{
	SC_WORD(uint32_t) *cell = (SC_WORD(uint32_t) *)word;
	model::keep_self self;

	/* The kernel looks at the newest value. */
	if (model::cell_of(cell)->fetch_add(0, rl::mo_relaxed, MODEL_HERE) == expected)
		model::cell_of(cell)->wait(rl::ctx(), deadline != INT64_MAX, false, MODEL_HERE);
}

static void wake(const SC_WORD(uint32_t) *word, int count)
{
	model::keep_self self;

	model::cell_of(word)->wake(rl::ctx(), count, MODEL_HERE);
}

static void relax(unsigned)
{
	model::yield();
}

void (*sc_relax)(unsigned turn) = relax;

/* ---- threads: the second one of the model waits to be started ---- */

static struct {
	SC_WORD(uint32_t) state; /* 0, 1: to be run, 2: ended, 3: will not be needed */
	void (*entry)(void *arg);
	void *arg;
} other;

static int thread_start(struct sc_thread *thread, void (*entry)(void *), void *arg)
{
	if (thread == &sc_sched.monitor_thread)
		return 0;
	thread->handle = 1;
	other.entry = entry;
	other.arg = arg;
	at_store_rel(&other.state, 1);
	wake(&other.state, 1);
	return 0;
}

static void thread_join(struct sc_thread *thread)
{
	while (thread != &sc_sched.monitor_thread &&
	       at_load_acq(&other.state) != 2)
		wait(&other.state, 1, INT64_MAX);
}

static struct sc_thread thread_self(void)
{
	struct sc_thread self = {0};

	return self;
}

static void (*expose_handler)(void);

static void expose(void *)
{
	expose_handler();
}

static void thread_signal(struct sc_thread thread)
{
	model::send_interrupt((unsigned)thread.handle, expose, NULL, 1);
}

static int guard(void *, size_t)
{
	return 0;
}

struct sc_os sc_os = {
	.alloc = allocate,
	.free = free_nothing,
	.reserve = reserve,
	.commit = commit,
	.discard = NULL,
	.release = release,
	.guard = guard,
	.unguard = unguard,
	.now = now,
	.thread_start = thread_start,
	.thread_join = thread_join,
	.thread_self = thread_self,
	.thread_signal = thread_signal,
	.wait = wait,
	.wake = wake,
	.relax = relax,
	.random = NULL,
};

/* ---- the rest of the system ---- */

void (*sc_panic_sink)(const char *text, size_t length);

unsigned sc_os_processors(void)
{
	return 2;
}

size_t sc_os_page_size(void)
{
	return 4096;
}

size_t sc_os_main_stack_size(void)
{
	return 64 << 10;
}

size_t sc_os_address_limit(void)
{
	return SIZE_MAX;
}

int sc_os_stack_bounds(char **, char **)
{
	return 0;
}

void sc_os_write_stderr(const char *, size_t) {}

void sc_os_fork_install(void (*)(void)) {}

int sc_os_expose_install(void (*handler)(void))
{
	expose_handler = handler;
	return 0;
}

void sc_os_expose_uninstall(void) {}

int sc_os_sigstack_install(void *)
{
	return 0;
}

void sc_os_sigstack_uninstall(void) {}

int sc_os_fault_install(void (*)(const void *address, const void *sp))
{
	return 0;
}

void sc_os_fault_uninstall(void) {}

void sc_os_raise(int) {}

/* What tells of tasks has no part in what they do. */
void sc_report_tree(const char *) {}

void sc_report_dump(void) {}

void sc_watchdog_reset(void) {}

void sc_watchdog_look(void) {}

void sc_os_last_seconds(unsigned) {}

void sc_os_symbol(const void *, int, char *out, size_t size)
{
	snprintf(out, size, "?");
}

void sc_os_site(const void *, char *out, size_t size)
{
	snprintf(out, size, "?");
}

int sc_os_interrupt_install(int (*)(int signal))
{
	return 0;
}

void sc_os_interrupt_uninstall(void) {}

int sc_os_signal_take(int, int (*)(int))
{
	return 0;
}

void sc_os_signal_give_back(int) {}

void sc_os_signal_block(int, int) {}

void sc_os_interrupt_block(int) {}

/* Written in assembly. */
extern "C" int scope_fail(struct scope *, int, const char *, ...)
{
	model::fail("no program here fails", MODEL_HERE);
}

void *sc_sim_self_get(void);
void sc_sim_self_set(void *self);

struct sc_worker *sc_self(void)
{
	return (struct sc_worker *)sc_sim_self_get();
}

/* ---- programs ---- */

template <class T> struct run_test : model::test<T, 2> {
	SC_PLAIN(uint32_t) data[4];
	SC_WORD(uint32_t) begun;
	int rc;

	/* The child can only be running elsewhere then.  What the monitor does for a long task
	 * every 10 ms, the task does itself. */
	void await_begin()
	{
		while (!at_load_rlx(&begun)) {
			sc_poke(sc_self());
			if (sc_any_work(sc_self()))
				sc_notify();
			scope_checkpoint();
			model::yield();
		}
	}

	void set_up()
	{
		model::read_self = sc_sim_self_get;
		model::write_self = sc_sim_self_set;
		sc_sim_self_set(&sc_worker_none);
		arena_used = 0;
		looks = 0;
		memset(&other, 0, sizeof other);
		begun = 0;
		for (unsigned i = 0; i < 4; i++)
			data[i] = 0;
	}

	static int start(void *arg)
	{
		((T *)arg)->root();
		return 0;
	}

	void thread(unsigned index)
	{
		struct scope_config config;

		sc_sim_self_set(&sc_worker_none);
		if (index) {
			wait(&other.state, 0, INT64_MAX);
			other.entry(other.arg);
			at_store_rel(&other.state, 2);
			wake(&other.state, 1);
			return;
		}
		memset(&config, 0, sizeof config);
		config.workers = 2;
		config.stack_size = 64 << 10;
		config.flags = SCOPE_VIRTUAL_CLOCK | SCOPE_NO_SIGNALS;
		rc = scope_run(start, this, &config);
		MODEL_CHECK(rc == 0);
	}
};

/* The root calls in until the other worker runs the child: what it writes is seen after. */
struct stolen_child : run_test<stolen_child> {
	static int child(void *arg)
	{
		stolen_child *test = (stolen_child *)arg;

		MODEL_CHECK(test->data[0] == 1);
		test->data[1] = 2;
		at_store_rlx(&test->begun, 1);
		return 0;
	}
	void root()
	{
		struct scope s;

		data[0] = 1;
		scope_open(&s);
		scope_spawn(&s, child, this);
		await_begin();
		MODEL_CHECK(scope_close(&s) == 0);
		MODEL_CHECK(data[1] == 2);
		data[1] = 3;
	}
};
static model::random<stolen_child> stolen_child("runtime/close_sees_what_a_stolen_child_wrote",
						10000);

/* Everything sleeps, on both workers: the last one to fall asleep moves the clock. */
struct sleepers : run_test<sleepers> {
	static int child(void *arg)
	{
		sleepers *test = (sleepers *)arg;

		at_store_rlx(&test->begun, 1);
		MODEL_CHECK(scope_sleep_for(SCOPE_SEC) == 0);
		test->data[0] += 1;
		return 0;
	}
	static int brother(void *arg)
	{
		sleepers *test = (sleepers *)arg;

		MODEL_CHECK(scope_sleep_for(2 * SCOPE_SEC) == 0);
		test->data[1] += 1;
		return 0;
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_spawn(&s, child, this);
		scope_spawn(&s, brother, this);
		MODEL_CHECK(scope_close(&s) == 0);
		MODEL_CHECK(data[0] == 1 && data[1] == 1);
		MODEL_CHECK(scope_now() == 3 * SCOPE_SEC);
	}
};
static model::random<sleepers> sleepers("runtime/sleepers_on_two_workers_wake_in_time", 10000);

/* A cancel finds the sleeper wherever it is. */
struct cancelled : run_test<cancelled> {
	static int child(void *arg)
	{
		cancelled *test = (cancelled *)arg;
		int rc;

		at_store_rlx(&test->begun, 1);
		rc = scope_sleep_for(1000 * SCOPE_SEC);
		MODEL_CHECK(rc == -ECANCELED);
		test->data[1] = 1;
		return rc;
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_spawn(&s, child, this);
		await_begin();
		scope_cancel(&s);
		MODEL_CHECK(scope_close(&s) == 0);
		MODEL_CHECK(data[1] == 1);
		MODEL_CHECK(scope_now() == SCOPE_SEC);
	}
};
static model::random<cancelled> cancelled("runtime/cancel_ends_a_sleep_on_the_other_worker", 10000);

/* ... and one that opened a scope of its own, which links itself meanwhile. */
struct cancelled_below : run_test<cancelled_below> {
	static int grandchild(void *)
	{
		return scope_sleep_for(1000 * SCOPE_SEC);
	}
	static int child(void *arg)
	{
		cancelled_below *test = (cancelled_below *)arg;
		struct scope inner;
		int rc;

		at_store_rlx(&test->begun, 1);
		scope_open(&inner);
		scope_spawn(&inner, grandchild, test);
		rc = scope_close(&inner);
		test->data[1] = 1;
		return rc;
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_spawn(&s, child, this);
		await_begin();
		scope_cancel(&s);
		MODEL_CHECK(scope_close(&s) == 0);
		MODEL_CHECK(data[1] == 1);
		MODEL_CHECK(scope_now() == SCOPE_SEC);
	}
};
static model::random<cancelled_below>
	cancelled_below("runtime/cancel_reaches_a_scope_that_links_itself", 10000);

/* The task that is cancelled computes, and asks. */
struct cancelled_computing : run_test<cancelled_computing> {
	static int child(void *arg)
	{
		cancelled_computing *test = (cancelled_computing *)arg;

		at_store_rlx(&test->begun, 1);
		while (!scope_cancelled())
			model::yield();
		test->data[1] = 1;
		return 0;
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_spawn(&s, child, this);
		await_begin();
		scope_cancel(&s);
		scope_close(&s);
		MODEL_CHECK(data[1] == 1);
	}
};
static model::random<cancelled_computing>
	cancelled_computing("runtime/cancel_reaches_a_task_that_computes", 10000);

/* The deadline of a scope ends what another worker waits in. */
struct deadline : run_test<deadline> {
	static int child(void *arg)
	{
		deadline *test = (deadline *)arg;

		at_store_rlx(&test->begun, 1);
		return scope_sleep_for(1000 * SCOPE_SEC);
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_set_deadline(&s, 2 * SCOPE_SEC);
		scope_spawn(&s, child, this);
		await_begin();
		MODEL_CHECK(scope_close(&s) == -ETIMEDOUT);
		MODEL_CHECK(scope_now() == 2 * SCOPE_SEC);
	}
};
static model::random<deadline> deadline("runtime/deadline_ends_a_sleep_on_the_other_worker", 10000);

/* Errors of two tasks on two workers: one is reported, both records are freed. */
struct errors : run_test<errors> {
	static int child(void *arg)
	{
		errors *test = (errors *)arg;

		at_store_rlx(&test->begun, 1);
		return -EIO;
	}
	static int brother(void *)
	{
		return -EPIPE;
	}
	void root()
	{
		struct scope s;
		int rc;

		scope_open(&s);
		scope_spawn(&s, child, this);
		scope_spawn(&s, brother, this);
		await_begin();
		rc = scope_close(&s);
		MODEL_CHECK(rc == -EIO || rc == -EPIPE);
		MODEL_CHECK(scope_last_error() && scope_last_error()->code == rc);
	}
};
static model::random<errors> errors("runtime/errors_of_two_workers_meet_in_the_scope", 10000);

/* The owner waits, not in close: until the child's end or a time. */
struct waited : run_test<waited> {
	static int child(void *arg)
	{
		waited *test = (waited *)arg;

		at_store_rlx(&test->begun, 1);
		test->data[1] = 1;
		return 0;
	}
	void root()
	{
		struct scope s;

		scope_open(&s);
		scope_spawn(&s, child, this);
		await_begin();
		if (scope_wait_until(&s, 2 * SCOPE_SEC) == 0)
			MODEL_CHECK(data[1] == 1);
		MODEL_CHECK(scope_close(&s) == 0);
		MODEL_CHECK(data[1] == 1);
	}
};
static model::random<waited> waited("runtime/wait_until_sees_what_a_stolen_child_wrote", 10000);

/* A range is halved while its tasks run on both workers. */
struct range : run_test<range> {
	struct item {
		range *test;
		unsigned index;
	} items[3];

	static int child(void *arg)
	{
		struct item *item = (struct item *)arg;

		item->test->data[item->index] += 1;
		return 0;
	}
	void root()
	{
		struct scope s;
		unsigned i;

		for (i = 0; i < 3; i++) {
			items[i].test = this;
			items[i].index = i;
		}
		scope_open(&s);
		scope_spawn_n(&s, child, items, sizeof items[0], 3);
		for (i = 0; i < 3; i++) {
			scope_checkpoint();
			model::yield();
		}
		MODEL_CHECK(scope_close(&s) == 0);
		for (i = 0; i < 3; i++)
			MODEL_CHECK(data[i] == 1);
	}
};
static model::random<range> range("runtime/each_task_of_a_range_runs_once", 10000);
