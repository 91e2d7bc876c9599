/* tests/sim/core.h: what the parts of the simulation share: threads, choices, the state. */
#ifndef SC_TESTS_SIM_CORE_H
#define SC_TESTS_SIM_CORE_H

#include "arch/arch.h"
#include "os/os.h"
#include "sim.h"

enum { SIM_THREADS = 16, SIM_MARKS = 12, SIM_STACK = 256 << 10 };

enum sim_state {
	SIM_READY,
	SIM_WAITING, /* in sc_os.wait, until woken or `deadline` */
	SIM_JOINING, /* in sc_os.thread_join, until `joined` is done */
	SIM_DONE
};

/* Why a thread comes to the scheduler. */
enum sim_kind {
	SIM_STEP,  /* an access: it may go on */
	SIM_YIELD, /* a turn of a spin loop: another should run */
	SIM_BLOCK  /* it waits: another must run */
};

/* One step, for reports. */
struct sim_mark {
	const void *site; /* return address of the access */
	uint32_t word;
	uint8_t thread, next;
	int64_t now;
};

struct sim_thread {
	unsigned id;
	enum sim_state state;
	struct sc_context context; /* while another runs */
	void *self;                /* the runtime's pointer to its worker, likewise */
	char *stack;               /* kept from schedule to schedule */
	void (*entry)(void *arg);
	void *arg;
	const uint32_t *word;      /* SIM_WAITING */
	int64_t deadline;          /* SIM_WAITING */
	unsigned joined;           /* SIM_JOINING */
	bool was_joined;
	bool signal_pending;       /* the exposure handler runs when it goes on */
	int64_t priority;          /* SIM_PCT */
	uint64_t could_run_since;  /* SIM_PCT: step number, 0: it ran */
	struct sim_mark mark[SIM_MARKS];
	uint64_t marks;
};

/* All of it is set anew for each schedule, but for the stacks. */
struct sim {
	bool running;
	unsigned quiet; /* in a signal handler: no schedule points */
	struct sim_thread thread[SIM_THREADS];
	unsigned threads;
	struct sim_thread *current;
	struct sc_context driver;
	sim_scenario_fn *scenario;
	void *scenario_arg;
	enum sim_strategy strategy;
	uint64_t rng;
	int64_t now, start;
	bool spurious;       /* waits may end for no reason */
	unsigned jump_odds;  /* one step in so many moves the clock far; 0: never */
	struct sim_limits limits;
	struct sim_result result;
};

extern struct sim sim;

uint64_t sim_next_random(void);
/* Whether the next number is one of so many: without a division, for each step asks. */
static inline bool sim_one_in(unsigned odds)
{
	return (sim_next_random() >> 32) * odds >> 32 == 0;
}

/* core.c: the running thread passes a point; returns when it is its turn again. */
void sim_step(const void *word, const void *site, enum sim_kind kind);
void sim_end(enum sim_verdict verdict) __attribute__((noreturn));
bool sim_runnable(const struct sim_thread *thread);
unsigned sim_thread_new(void (*entry)(void *arg), void *arg);
/* core.c: the last steps of all threads, if SIM_TRACE asks for them. */
void sim_print_trace(void);

/* choose.c */
void sim_choose_init(void);
/* Whether the schedule of that number exists. */
bool sim_choose_begin(uint64_t number);
struct sim_thread *sim_choose(enum sim_kind kind);
/* SIM_EXHAUSTIVE: one of the options, all of them in turn. */
unsigned sim_choose_number(unsigned options);

/* host.c */
void sim_host_reset(void);
/* Runs the handler given to sc_os_expose_install. */
void sim_host_expose(void);

/* table.c: the system, simulated. */
extern const struct sc_os sim_os_table;
void sim_table_reset(void);
/* Whether the call that asks is to be refused, as sim_refuse says. */
bool sim_refused(void);
/* NULL if all was given back, else what was not. */
const char *sim_table_leak(void);

/* poll.c: descriptors. */
void sim_poll_install(struct sc_os *table);
/* True if a thread waits for descriptors and one is ready: the thread can run again. */
bool sim_poll(void);

#endif
