/* tests/model/signal.cc: a model of the end of a stream of signals, runtime/scope/signal.c: the
 * monitor shuts the signal out before the old disposition comes back.
 */
#include "runtime.hpp"

#include "sched/wheel.c"
#include "scope/signal.c"

enum { SIGNAL = SIGUSR1 };

static SC_PLAIN(uint32_t) blocked; /* the mask of the monitor's thread, which the kernel keeps */
static SC_PLAIN(uint32_t) given_back;

void sc_os_signal_block(int, int block)
{
	MODEL_CHECK(block || !given_back);
	blocked = (uint32_t)block;
}

void sc_os_signal_give_back(int)
{
	MODEL_CHECK(blocked == 1);
	given_back = 1;
}

/* ---- what nobody here comes to ---- */

int sc_os_signal_take(int, int (*)(int))
{
	return 0;
}

int sc_check(struct sc_worker *)
{
	return 0;
}

void sc_park(struct sc_worker *, enum sc_reason, void (*)(struct sc_worker *, struct sc_strand *))
{
}

int sc_wait_end(struct sc_scope *)
{
	return 0;
}

int sc_region_begin(struct sc_worker *)
{
	return 0;
}

void sc_region_end(struct sc_worker *) {}
void sc_wait_begin(struct sc_worker *, int64_t) {}
void sc_wait_post(struct sc_worker *, struct sc_strand *) {}
void sc_outside(enum sc_outside, int) {}
void sc_ready(struct sc_strand *) {}
void sc_monitor_nudge(void) {}

/* From when the monitor knows the stream, or does not yet. */
template <bool KNOWN> struct end_of_stream : model::test<end_of_stream<KNOWN>, 2> {
	struct sc_worker worker;
	struct scope_signal stream;

	void set_up()
	{
		model::set_up_workers(&worker, 1);
		worker.cur = (uintptr_t)&worker; /* any place: a task closes it */
		sc_os.free = free_nothing;
		memset(&stream, 0, sizeof stream);
		stream.signal = SIGNAL;
		lock.word = 0;
		streams[SIGNAL] = &stream;
		arrived[SIGNAL] = OPEN;
		let_in[SIGNAL] = KNOWN;
		blocked = !KNOWN;
		given_back = 0;
	}
	static void free_nothing(void *) {}
	void thread(unsigned index)
	{
		if (!index) {
			scope_signal_close(&stream);
			return;
		}
		let_signal_in(SIGNAL);
		while (at_load_rlx(&let_in[SIGNAL])) {
			model::yield();
			let_signal_in(SIGNAL);
		}
	}
	void check()
	{
		MODEL_CHECK(given_back == 1 && arrived[SIGNAL] == 0 && blocked == 1);
	}
};
static model::bound<end_of_stream<true> > known(
	"signal/the_monitor_shuts_a_signal_out_before_its_handler_goes", 3);
static model::bound<end_of_stream<false> > unknown(
	"signal/a_close_before_the_first_look_lets_nothing_in", 3);
