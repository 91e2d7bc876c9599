/* tests/model/idle.cc: models of falling asleep and waking, runtime/sched/idle.c and the loop's
 * ends of a search.  A lost wake-up is a deadlock here, or a parker that nobody notified.
 */
#include "sched.hpp"

template <class T, int threads> struct idle_test : model::test<T, threads> {
	struct sc_worker workers[2];
	struct sc_strand strands[2], spare;

	void set_up(unsigned count)
	{
		unsigned i;

		model::set_up_workers(workers, count);
		for (i = 0; i < 2; i++) {
			model::set_up_strand(&strands[i]);
			workers[i].spare = &spare; /* what is queued can run */
		}
	}

	/* What a worker does that finds nothing, until it finds this strand. */
	void search_for(struct sc_worker *worker, struct sc_strand *wanted)
	{
		struct sc_strand *strand = find(worker);

		MODEL_CHECK(strand == wanted);
		strand->reason = SC_RUNNING;
	}

	void check_all_awake()
	{
		unsigned i;

		MODEL_CHECK(sc_sched.idle == 0);
		for (i = 0; i < sc_sched.count; i++)
			MODEL_CHECK(workers[i].parker == SC_AWAKE);
	}
};

/* ---- one falls asleep while there is something to wake up for ---- */

template <class T> struct falling_asleep : idle_test<T, 2> {
	void set_up()
	{
		idle_test<T, 2>::set_up(1);
	}
	void thread(unsigned index)
	{
		if (index)
			static_cast<T *>(this)->wake_up();
		else
			this->search_for(this->workers, this->strands);
	}
	void check()
	{
		this->check_all_awake();
	}
};

struct queued : falling_asleep<queued> {
	void wake_up()
	{
		sc_ready(strands);
	}
};
static model::bound<queued> queued("idle/what_is_queued_is_seen_or_wakes_the_sleeper", 3);

struct pinned : falling_asleep<pinned> {
	void wake_up()
	{
		strands[0].pinned = workers;
		sc_ready(strands);
	}
};
static model::bound<pinned> pinned("idle/what_is_pinned_is_seen_or_wakes_its_worker", 3);

struct stopped : idle_test<stopped, 2> {
	void set_up()
	{
		idle_test<stopped, 2>::set_up(1);
	}
	void thread(unsigned index)
	{
		if (index)
			sc_sched_stop();
		else
			sc_worker_loop(workers);
	}
	void check()
	{
		check_all_awake();
	}
};
static model::bound<stopped> stopped("idle/a_stop_is_seen_or_wakes_the_sleeper", 3);

/* It sleeps because something outside may still wake a task: a deadlock is to be named when
 * that has gone. */
struct left_alone : idle_test<left_alone, 2> {
	static bool named;

	static void name_it()
	{
		MODEL_CHECK(model::newest(&sc_sched.outside[SC_CALL]) == 0);
		named = true;
	}
	void set_up()
	{
		idle_test<left_alone, 2>::set_up(1);
		sc_sched.flags = SC_SCHED_DETECT;
		sc_sched.outside[SC_CALL] = 1;
		sc_sched.idle = SC_SEARCHING;
		sc_hooks.deadlock = name_it;
		named = false;
	}
	void thread(unsigned index)
	{
		if (index)
			sc_outside(SC_CALL, -1);
		else
			while (!named)
				sc_idle_sleep(workers);
	}
};
bool left_alone::named;
static model::bound<left_alone> left_alone("idle/the_last_call_outside_wakes_who_decides", 3);

/* ---- who searches may be the one that finds it, or has to hand the search on ---- */

/* Nobody is woken for the item as long as one searches, who has just found another. */
struct handed_on : idle_test<handed_on, 2> {
	void set_up()
	{
		idle_test<handed_on, 2>::set_up(2);
		model::working = 1;
		sc_sched.idle = SC_SEARCHING;
		model::set_asleep(&workers[1]);
	}
	void thread(unsigned index)
	{
		if (index)
			sc_ready(strands);
		else
			end_search(workers);
	}
	void check()
	{
		MODEL_CHECK(workers[1].parker == SC_NOTIFIED);
		MODEL_CHECK(sc_sched.idle == SC_SLEEPING + SC_SEARCHING);
	}
};
static model::bound<handed_on> handed_on("idle/the_last_searcher_hands_on_what_was_queued", 4);

/* ---- the decision of the last sleeper ---- */

/* Worker 0 decides while worker 1 turns back, runs the only item, which leaves something that can
 * move, and sleeps again. */
template <class T> struct decision_test : idle_test<T, 2> {
	void set_up()
	{
		idle_test<T, 2>::set_up(2);
		this->strands[0].on_resume = T::run_item;
		this->workers[0].spare = NULL; /* the item is for worker 1 */
		model::set_asleep(this->workers);
		sc_sched.idle += SC_SEARCHING;
		sc_sched.inbox.list.first = sc_sched.inbox.list.last = &this->strands[0].item;
		sc_sched.inbox.list.count = sc_sched.inbox.count = 1;
	}
	void take_item()
	{
		struct sc_strand *strand;

		sc_idle_sleep(&this->workers[1]);
		strand = sc_pick(&this->workers[1]);
		MODEL_CHECK(strand == this->strands);
		run(&this->workers[1], strand);
	}
};

/* The item arms an alarm: until that went off nothing may be decided. */
static bool fired;

static void expire_once(struct sc_alarm *)
{
	MODEL_CHECK(!fired);
	fired = true;
}

static void name_once_fired(void)
{
	MODEL_CHECK(fired);
}

struct alarm_armed : decision_test<alarm_armed> {
	struct sc_alarm alarm;

	static void run_item(struct sc_worker *worker, struct sc_strand *strand)
	{
		MODEL_CHECK(!fired);
		sc_alarm_arm(worker, &SC_CONTAINER(strand, alarm_armed, strands)->alarm, 3);
	}
	void set_up()
	{
		decision_test<alarm_armed>::set_up();
		sc_sched.flags = SC_SCHED_VIRTUAL | SC_SCHED_DETECT;
		sc_hooks.expire = expire_once;
		sc_hooks.deadlock = name_once_fired;
		fired = false;
		memset((void *)&alarm, 0, sizeof alarm);
		alarm.kind = SC_ALARM_CALL;
	}
	void thread(unsigned index)
	{
		if (!index) {
			last_one(workers);
			return;
		}
		take_item();
		while (!fired) /* else worker 0 has woken it once more, for the item */
			sc_idle_sleep(&workers[1]);
	}
	void check()
	{
		MODEL_CHECK(fired);
	}
};
static model::bound<alarm_armed> alarm_armed("idle/nothing_is_decided_while_somebody_can_move", 3);

/* The item leaves a call outside under way, which no fence follows: no deadlock is named. */
static void never_name(void)
{
	MODEL_CHECK(!"nothing will wake anybody");
}

static void leave_instead(const SC_WORD(uint32_t) *, uint32_t, int64_t)
{
	at_store_rlx(&sc_sched.stop, 1);
}

struct call_begun : decision_test<call_begun> {
	static void run_item(struct sc_worker *, struct sc_strand *)
	{
		sc_outside(SC_CALL, 1);
	}
	void set_up()
	{
		decision_test<call_begun>::set_up();
		sc_sched.flags = SC_SCHED_DETECT;
		sc_hooks.deadlock = never_name;
		sc_os.wait = leave_instead;
	}
	void thread(unsigned index)
	{
		if (!index) {
			last_one(workers);
		} else {
			take_item();
			sc_idle_sleep(&workers[1]);
		}
	}
};
static model::bound<call_begun> call_begun("idle/who_decides_sees_what_was_begun_outside", 2);
