/* tests/model/wait.cc: models of waits, runtime/sched/wait.h, and of the alarms that end them,
 * runtime/sched/timers.c and wheel.c.
 */
#include "runtime.hpp"

#include "sched/timers.c"
#include "sched/wheel.c"

/* A strand that somebody made ready goes on; how often is counted. */
static SC_WORD(uint32_t) ready;

void sc_ready_batch(struct sc_batch *batch)
{
	if (batch->first)
		at_add_acqrel(&ready, 1);
}

void sc_notify(void) {}
void sc_wake_worker(struct sc_worker *) {}
unsigned sc_ring_steal(struct sc_ring *, struct sc_item **, unsigned)
{
	return 0;
}

template <class T, int threads> struct wait_test : model::test<T, threads> {
	struct sc_worker worker;
	struct sc_strand strand;
	struct sc_card card;
	SC_PLAIN(uint32_t) saved;  /* stands for the context of the strand */
	SC_PLAIN(uint32_t) result; /* what the winner leaves for it */

	void set_up()
	{
		model::set_up_workers(&worker, 1);
		model::set_up_strand(&strand, &card);
		ready = 0;
		saved = 0;
		result = 0;
	}

	/* Another party: if it wins from WAITING it continues the strand. */
	void claim(enum sc_wait outcome)
	{
		if (sc_wait_claim(&strand, outcome)) {
			MODEL_CHECK(saved == 1);
			at_add_acqrel(&ready, 1);
		}
	}

	/* On the next stack: the context is saved. */
	void publish()
	{
		saved = 1;
	}

	void commit()
	{
		if (!sc_wait_commit(&strand))
			at_add_acqrel(&ready, 1);
	}

	/* The strand, once somebody continued it. */
	enum sc_wait go_on(uint32_t times)
	{
		while (at_load_acq(&ready) < times)
			model::yield();
		return sc_wait_outcome(&strand);
	}
};

/* ---- who ends a wait ---- */

struct three_parties : wait_test<three_parties, 3> {
	void thread(unsigned index)
	{
		if (index) {
			while (at_load_acq(&card.wait) == SC_WAIT_NONE)
				model::yield();
			claim(index == 1 ? SC_WAIT_EVENT : SC_WAIT_CANCEL);
			return;
		}
		publish();
		/* What registering the waiter under a lock does for who finds it there. */
		at_store_rel(&card.wait, SC_WAIT_PREPARING);
		commit();
		MODEL_CHECK(go_on(1) >= SC_WAIT_EVENT);
	}
	void check()
	{
		MODEL_CHECK(ready == 1);
	}
};
static model::bound<three_parties> three_parties("wait/event_and_cancel_have_one_winner", 3);

/* The winner's writes reach the strand, whether it was parked already or not. */
struct handed_over : wait_test<handed_over, 2> {
	void set_up()
	{
		wait_test<handed_over, 2>::set_up();
		sc_wait_prepare(&strand);
		saved = 1;
	}
	void thread(unsigned index)
	{
		if (index) {
			result = 7;
			claim(SC_WAIT_EVENT);
			return;
		}
		commit();
		MODEL_CHECK(go_on(1) == SC_WAIT_EVENT);
		MODEL_CHECK(result == 7);
	}
	void check()
	{
		MODEL_CHECK(ready == 1);
	}
};
static model::full<handed_over> handed_over("wait/the_strand_sees_what_the_winner_wrote");

/* Who takes its wait back and who claims it agree: the claimer, who does so under a lock that the
 * other takes then, is seen if it won. */
struct taken_back : wait_test<taken_back, 2> {
	struct sc_lock lock;
	uint32_t off;

	void set_up()
	{
		wait_test<taken_back, 2>::set_up();
		memset((void *)&lock, 0, sizeof lock);
		sc_wait_prepare(&strand);
		off = 0;
	}
	void thread(unsigned index)
	{
		if (index == 0)
			off = (uint32_t)sc_wait_take_back(&strand);
		sc_lock_take(&lock);
		if (index == 1) {
			claim(SC_WAIT_EVENT);
			if (sc_wait_outcome(&strand) == SC_WAIT_EVENT)
				result = 7;
		} else if (!off) {
			MODEL_CHECK(result == 7);
		}
		sc_lock_drop(&lock);
	}
	void check()
	{
		MODEL_CHECK(ready == 0);
		MODEL_CHECK(sc_wait_outcome(&strand) == (off ? SC_WAIT_NONE : SC_WAIT_EVENT));
	}
};
static model::full<taken_back> taken_back("wait/a_wait_is_taken_back_or_claimed");

/* What the strand's worker wrote last, its alarm for one, reaches who continues it, even if that
 * one found the waiter before. */
struct parked_late : wait_test<parked_late, 2> {
	void set_up()
	{
		wait_test<parked_late, 2>::set_up();
		sc_wait_prepare(&strand);
	}
	void thread(unsigned index)
	{
		if (index) {
			claim(SC_WAIT_CANCEL);
			return;
		}
		publish();
		commit();
	}
	void check()
	{
		MODEL_CHECK(ready == 1);
	}
};
static model::full<parked_late> parked_late("wait/who_continues_the_strand_sees_all_it_wrote");

/* The committer finds its commit refused and continues the strand itself, at once. */
struct refused_commit : wait_test<refused_commit, 2> {
	void set_up()
	{
		wait_test<refused_commit, 2>::set_up();
		sc_wait_prepare(&strand);
		saved = 1;
	}
	void thread(unsigned index)
	{
		if (index) {
			result = 7;
			claim(SC_WAIT_EVENT);
		} else if (!sc_wait_commit(&strand)) {
			MODEL_CHECK(result == 7);
			at_add_acqrel(&ready, 1);
		}
	}
	void check()
	{
		MODEL_CHECK(ready == 1);
	}
};
static model::full<refused_commit> refused_commit("wait/a_refused_committer_sees_it_too");

/* ---- alarms ---- */

static SC_PLAIN(uint32_t) *expired;

static void expire(struct sc_alarm *)
{
	*expired = 1;
}

/* A deadline that is due while its scope closes: afterwards nobody uses the scope. */
struct call_off : wait_test<call_off, 2> {
	struct sc_alarm alarm;
	SC_PLAIN(uint32_t) scope;

	void set_up()
	{
		wait_test<call_off, 2>::set_up();
		memset((void *)&alarm, 0, sizeof alarm);
		alarm.kind = SC_ALARM_CALL;
		scope = 0;
		expired = &scope;
		sc_hooks.expire = expire;
		sc_alarm_arm(&worker, &alarm, 1);
	}
	void thread(unsigned index)
	{
		if (index) {
			sc_timers_poll(&worker.timers, 1);
			return;
		}
		sc_alarm_disarm(&alarm);
		scope = 2;
		alarm.timer.when = 0;
	}
	void check()
	{
		MODEL_CHECK(scope == 2 && worker.timers.next == SC_NEVER);
	}
};
static model::bound<call_off> call_off("timers/a_call_is_over_when_its_alarm_is_off", 5);

/* A sleep that is cancelled as its time comes; then the strand sleeps again. */
struct timeout_or_cancel : wait_test<timeout_or_cancel, 3> {
	void thread(unsigned index)
	{
		unsigned round;

		if (index == 1) {
			sc_timers_poll(&worker.timers, 1);
			return;
		}
		if (index == 2) {
			while (at_load_acq(&card.wait) == SC_WAIT_NONE)
				model::yield();
			claim(SC_WAIT_CANCEL);
			return;
		}
		for (round = 1; round <= 1; round++) {
			publish();
			at_store_rel(&card.wait, SC_WAIT_PREPARING);
			card.alarm.kind = SC_ALARM_WAKE;
			sc_alarm_arm(&worker, &card.alarm, 1);
			commit();
			if (go_on(round) != SC_WAIT_TIMEOUT)
				sc_alarm_disarm(&card.alarm);
			saved = 0;
			card.alarm.timer.when = 0;
		}
	}
	void check()
	{
		MODEL_CHECK(ready == 1);
	}
};
static model::random<timeout_or_cancel> timeout_or_cancel(
	"timers/timeout_and_cancel_have_one_winner", 40000);

/* Two polls of one wheel: each alarm goes off once. */
struct two_polls : wait_test<two_polls, 2> {
	struct sc_strand other;
	struct sc_card other_card;

	void set_up()
	{
		wait_test<two_polls, 2>::set_up();
		model::set_up_strand(&other, &other_card);
		sc_wait_prepare(&strand);
		sc_wait_commit(&strand);
		sc_wait_prepare(&other);
		sc_wait_commit(&other);
		card.alarm.kind = other_card.alarm.kind = SC_ALARM_WAKE;
		sc_alarm_arm(&worker, &card.alarm, 1);
		sc_alarm_arm(&worker, &other_card.alarm, 2);
	}
	void thread(unsigned index)
	{
		sc_timers_poll(&worker.timers, 1 + index);
	}
	void check()
	{
		sc_timers_poll(&worker.timers, 2);
		MODEL_CHECK(card.wait == SC_WAIT_TIMEOUT && other_card.wait == SC_WAIT_TIMEOUT);
		MODEL_CHECK(worker.timers.wheel.count == 0 && worker.timers.next == SC_NEVER);
	}
};
static model::bound<two_polls> two_polls("timers/two_polls_fire_each_alarm_once", 4);
