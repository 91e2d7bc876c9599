/* tests/model/run.cc: models of runtime/scope/run.c: who may run, and when the next may. */
#include "runtime.hpp"

#include "scope/run.c"

SC_WORD(uint64_t) sc_epoch;
struct sc_scope sc_root;

static SC_PLAIN(uint32_t) runs; /* what a run writes, the next one finds */
static struct sc_host host;
static struct sc_leaf leaf;

int sc_sched_run(unsigned, struct sc_strand *)
{
	uint32_t before = runs;

	model::linger(2);
	runs = before + 1;
	return 0;
}

/* ---- what a run asks of the rest ---- */

struct sc_fiber *sc_fiber_new(size_t)
{
	host.strand.fiber.card = &leaf.card;
	return &host.strand.fiber;
}

int sc_fiber_init(size_t, size_t, size_t, void (*)(void *fiber), unsigned)
{
	return 0;
}

void sc_fiber_fini(void) {}
void sc_fiber_free(struct sc_fiber *) {}

int sc_fiber_overflowed(const struct sc_fiber *, const void *, const void *)
{
	return 0;
}

void sc_strand_main(void *) {}
void sc_sched_stop(void) {}
void sc_suspend(struct sc_worker *) {}
void sc_resume(struct sc_worker *) {}
void sc_expire(struct sc_alarm *) {}
void sc_cancel(struct sc_scope *, enum scope_cause) {}

struct sc_strand *sc_run_task(struct sc_strand *)
{
	return NULL;
}

struct sc_strand *sc_refuse_task(struct sc_slot *, struct sc_task *)
{
	return NULL;
}

struct scope_error *sc_root_error(void)
{
	return NULL;
}

int sc_was_printed(const struct scope_error *)
{
	return 0;
}

void sc_release_error(struct scope_error *) {}
void sc_report_error(const struct scope_error *) {}
void sc_reporter(scope_report_fn *, void *) {}
void sc_report(const char *, size_t) {}
void sc_reportf(const char *, ...) {}
void sc_report_tree(const char *) {}
void sc_describe(uintptr_t, char *, size_t) {}
void sc_os_raise(int) {}
void sc_os_last_seconds(unsigned) {}
void sc_os_fault_uninstall(void) {}

int sc_os_fault_install(void (*)(const void *address, const void *sp))
{
	return 0;
}

size_t sc_os_main_stack_size(void)
{
	return 1 << 16;
}

unsigned sc_os_processors(void)
{
	return 2;
}

int64_t sc_now(void)
{
	return 0;
}

void sc_numbers_reset(void) {}
void sc_refs_begin(void) {}
void sc_refs_end(void) {}
void sc_watchdog_reset(void) {}

static int nothing(void *)
{
	return 0;
}

/* Two threads run one after the other: the second is refused as long as the first runs, and
 * then finds all that it left. */
struct two_runs : model::test<two_runs, 2> {
	void set_up()
	{
		model::set_up_system();
		running = 0;
		runs = 0;
	}
	void thread(unsigned)
	{
		struct scope_config config;
		int rc;

		memset(&config, 0, sizeof config);
		config.workers = 2;
		config.flags = SCOPE_NO_SIGNALS;
		while ((rc = scope_run(nothing, NULL, &config)) == -EBUSY)
			model::yield();
		MODEL_CHECK(rc == 0);
	}
	void check()
	{
		MODEL_CHECK(runs == 2);
	}
};
static model::bound<two_runs> two_runs("run/one_run_at_a_time", 3);
