/* tests/model/monitor.cc: models of the monitor, runtime/sched/monitor.c, and of threads that
 * send each other signals while they come and go, start.c.
 */
#include "sched.hpp"

static struct sc_worker workers[3];
static struct sc_slot slots[2];
static SC_WORD(uint32_t) delivered;

/* Without a deadline the monitor sleeps until it is nudged; its ticks end the model. */
static void wait_as_monitor(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t deadline)
{
	if (deadline == SC_NEVER)
		model::futex_wait(word, expected, deadline);
	else
		at_store_rlx(&sc_sched.stop, 1);
}

static void deliver_last(int signal, unsigned count)
{
	at_store_rlx(&delivered, (uint32_t)signal + count);
	at_store_rlx(&sc_sched.stop, 1);
	sc_monitor_nudge();
}

template <class T> struct monitor_test : model::test<T, 2> {
	struct sc_strand strand;

	void set_up(unsigned count)
	{
		model::set_up_workers(workers, count);
		model::working = 1;
		sc_os.wait = wait_as_monitor;
		sc_hooks.signal = deliver_last;
		delivered = 0;
		model::set_up_strand(&strand);
	}
};

/* ---- falling asleep ---- */

/* The only worker turns back from its sleep and computes from then on. */
struct awake : monitor_test<awake> {
	void set_up()
	{
		monitor_test<awake>::set_up(1);
		sc_sched.idle = SC_SEARCHING;
		sc_sched.inbox.list.first = sc_sched.inbox.list.last = &strand.item;
		sc_sched.inbox.list.count = sc_sched.inbox.count = 1;
	}
	void thread(unsigned index)
	{
		if (index)
			monitor(NULL);
		else
			sc_idle_sleep(workers);
	}
};
static model::bound<awake> awake("monitor/it_ticks_as_long_as_a_worker_is_awake", 3);

/* All are asleep, for good: nothing but the signal's own nudge ends the monitor's sleep. */
struct signalled : monitor_test<signalled> {
	void set_up()
	{
		monitor_test<signalled>::set_up(1);
		model::set_asleep(workers);
	}
	void thread(unsigned index)
	{
		if (index)
			monitor(NULL);
		else
			on_signal(2);
	}
	void check()
	{
		MODEL_CHECK(delivered == 2 + 1);
	}
};
static model::full<signalled> signalled("monitor/a_signal_is_delivered_while_all_sleep");

/* What was stored before the nudge is seen after it: the end is. */
struct ended : monitor_test<ended> {
	void set_up()
	{
		monitor_test<ended>::set_up(1);
		model::set_asleep(workers);
	}
	void thread(unsigned index)
	{
		if (index) {
			monitor(NULL);
			return;
		}
		at_store_rlx(&sc_sched.stop, 1);
		sc_monitor_nudge();
	}
};
static model::full<ended> ended("monitor/it_ends_when_the_workers_have_left");

/* ---- signals between threads ---- */

static SC_PLAIN(uint32_t) joined; /* thread 2 has been */

static int start_thread(struct sc_thread *thread, void (*)(void *), void *)
{
	thread->handle = 7;
	return 0;
}

static void signal_thread(struct sc_thread thread)
{
	MODEL_CHECK(thread.handle == 7);
	MODEL_CHECK(joined == 0);
}

static void join_thread(struct sc_thread *)
{
	joined = 1;
}

template <class T> struct signal_test : monitor_test<T> {
	void set_up(unsigned count, unsigned victim)
	{
		monitor_test<T>::set_up(count);
		sc_os.wait = model::futex_wait;
		sc_os.thread_start = start_thread;
		sc_os.thread_signal = signal_thread;
		sc_os.thread_join = join_thread;
		joined = 0;
		workers[victim].bottom.top = &slots[1];
		workers[victim].bottom.split = &slots[0];
	}
};

struct started_and_ticked : signal_test<started_and_ticked> {
	void set_up()
	{
		signal_test<started_and_ticked>::set_up(2, 1);
		model::set_asleep(workers);
	}
	void thread(unsigned index)
	{
		unsigned started;

		if (index)
			tick_worker(&workers[1]);
		else
			start_threads(&started);
	}
	void check()
	{
		MODEL_CHECK(workers[1].known == 1);
	}
};
static model::full<started_and_ticked> started_and_ticked(
	"start/the_monitor_knows_a_thread_before_it_signals_it");

struct started_and_asked : signal_test<started_and_asked> {
	void set_up()
	{
		signal_test<started_and_asked>::set_up(3, 2);
	}
	void thread(unsigned index)
	{
		unsigned started;

		if (index)
			ask(&workers[1], 1);
		else
			start_threads(&started);
	}
};
static model::full<started_and_asked> started_and_asked(
	"start/a_worker_knows_a_thread_before_it_signals_it");

/* Worker 2 has left, worker 1 still signals it; then the first worker joins both. */
struct left : signal_test<left> {
	void set_up()
	{
		signal_test<left>::set_up(3, 2);
		workers[2].thread.handle = 7;
		workers[2].known = 1;
		sc_sched.inside = 2;
	}
	void thread(unsigned index)
	{
		if (index) {
			ask(&workers[1], 1);
			leave_loop();
			return;
		}
		leave_loop();
		wait_until_all_left();
		sc_os.thread_join(&workers[2].thread);
	}
};
static model::full<left> left_behind("start/no_thread_is_signalled_once_it_may_be_joined");
