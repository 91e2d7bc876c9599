/* tests/model/keeper.cc: models of the sleeper that watches the clock, runtime/sched/idle.c and
 * timers.c: no alarm is slept through.
 */
#include "sched.hpp"

static struct sc_worker workers[2];

/* ---- time: it comes when everybody else has done what there is to do ---- */

static int64_t clock_now;
static bool all_done;

static int64_t now()
{
	return clock_now;
}

/* Who sleeps until then may not have missed an earlier alarm. */
static void sleep_until(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t deadline)
{
	unsigned i;

	if (!model::still_is(word, expected))
		return;
	if (!all_done) {
		model::fall_asleep(word);
		if (!model::still_is(word, expected))
			return;
	}
	for (i = 0; i < sc_sched.count; i++)
		MODEL_CHECK(model::newest(&workers[i].timers.next) >= deadline);
	clock_now = deadline;
}

static void time_passes()
{
	all_done = true;
	model::futex_wake(&workers[0].parker, 1);
}

static void expire_in_time(struct sc_alarm *alarm)
{
	MODEL_CHECK(clock_now >= alarm->timer.when);
}

template <class T> struct keeper_test : model::test<T, 2> {
	struct sc_alarm alarm, late;
	struct sc_strand strand;

	void set_up(unsigned count)
	{
		model::set_up_workers(workers, count);
		model::working = 1;
		sc_os.wait = sleep_until;
		sc_os.now = now;
		sc_hooks.expire = expire_in_time;
		clock_now = 0;
		all_done = false;
		sc_sched.idle = SC_SEARCHING;
		memset((void *)&alarm, 0, sizeof alarm);
		memset((void *)&late, 0, sizeof late);
		alarm.kind = late.kind = SC_ALARM_CALL;
		model::set_up_strand(&strand);
	}
};

/* An alarm is armed while a worker falls asleep until a later one. */
struct armed : keeper_test<armed> {
	void set_up()
	{
		keeper_test<armed>::set_up(1);
		sc_alarm_arm(workers, &late, 5);
	}
	void thread(unsigned index)
	{
		if (index) {
			sc_alarm_arm(workers, &alarm, 3);
			time_passes();
		} else {
			sc_idle_sleep(workers);
		}
	}
	void check()
	{
		MODEL_CHECK(sc_sched.timekeeper == 0 && sc_sched.armed_until == SC_NEVER);
		MODEL_CHECK(sc_sched.idle == SC_SEARCHING);
	}
};
static model::bound<armed> armed("keeper/no_alarm_is_slept_through", 3);

/* An alarm is armed while the keeper, worker 1, goes to work: either it sees the alarm and that
 * another has to watch the clock, or who arms sees that nobody watches.  Not so if both see
 * nothing: if who arms takes worker 1, which here counts as asleep to show it, for the keeper. */
struct handed_over : keeper_test<handed_over> {
	void set_up()
	{
		keeper_test<handed_over>::set_up(2);
		sc_sched.timekeeper = 2;
		model::set_asleep(&workers[0]);
		workers[1].parker = SC_ASLEEP;
		sc_sched.inbox.list.first = sc_sched.inbox.list.last = &strand.item;
		sc_sched.inbox.list.count = sc_sched.inbox.count = 1;
	}
	void thread(unsigned index)
	{
		if (index)
			sc_alarm_arm(workers, &alarm, 3);
		else
			drop_time(&workers[1]);
	}
	void check()
	{
		MODEL_CHECK(sc_sched.timekeeper == 0);
		MODEL_CHECK(workers[1].parker == SC_ASLEEP || workers[0].parker == SC_NOTIFIED);
	}
};
static model::bound<handed_over> handed_over("keeper/who_goes_to_work_sees_what_was_armed", 4);
