/* tests/model/poll.cc: models of descriptors, runtime/sched/poll.c: no edge is lost, nobody
 * sleeps away from the set, and a number is used by nobody after it was closed.
 */
#include "sched.hpp"

#include "sched/poll.c"

static struct sc_worker workers[2];
static SC_WORD(uint32_t) ready;   /* times that the strand was continued */
static SC_WORD(uint32_t) data;    /* in the kernel, which orders nothing here */
static SC_PLAIN(uint32_t) made;   /* the set of the kernel */
static SC_WORD(uint32_t) in_call; /* system calls with the number that are under way */
static SC_WORD(uint32_t) closed;

static int make_set()
{
	made = 1;
	return 0;
}

static int watch_nothing(int, enum sc_watch, unsigned, uint64_t)
{
	return 0;
}

static void forget_nothing(int) {}

static void close_number(int)
{
	MODEL_CHECK(at_load_rlx(&in_call) == 0);
	MODEL_CHECK(at_add_rlx(&closed, 1) == 0);
}

static unsigned nothing_came(struct sc_event *, unsigned, int64_t)
{
	MODEL_CHECK(made == 1);
	return 0;
}

template <class T, int threads> struct poll_test : model::test<T, threads> {
	struct sc_strand strand;
	struct sc_card card;
	struct sc_fd *fd;
	SC_PLAIN(uint32_t) got;

	/* With a descriptor that is watched and has told of nothing since. */
	void set_up(bool watched)
	{
		unsigned i;

		model::set_up_workers(workers, 2);
		model::set_up_strand(&strand);
		strand.fiber.card = &card;
		memset((void *)&card, 0, sizeof card);
		card.strand = &strand;
		sc_os.poll_open = make_set;
		sc_os.poll_watch = watch_nothing;
		sc_os.poll_forget = forget_nothing;
		sc_os.poll_wait = nothing_came;
		sc_os.close = close_number;
		sc_sched.polling = 0;
		sc_sched.polled = 0;
		opening.word = 0;
		ready = data = in_call = closed = 0;
		made = 0;
		got = 0;
		for (i = 0; i < CHUNKS; i++)
			chunks[i] = NULL;
		if (watched)
			MODEL_CHECK(sc_fd_open(1, 0, &fd) == 0);
	}
	void tear_down()
	{
		unsigned i;

		for (i = 0; i < CHUNKS; i++)
			free((void *)chunks[i]);
	}

	void go_on(struct sc_batch *woken)
	{
		if (woken->first)
			at_add_acqrel(&ready, 1);
	}
	/* The kernel has something, and somebody hears of it. */
	void arrive()
	{
		struct sc_batch woken = {NULL, NULL, 0};
		struct sc_event event;

		at_store_rlx(&data, 1);
		event.tag = (uint64_t)fd->life << 32 | 1;
		event.events = SC_EVENT_IN;
		deliver(&event, &woken);
		go_on(&woken);
	}
	/* What the system call gives. */
	bool receive()
	{
		bool some;

		at_add_rlx(&in_call, 1);
		MODEL_CHECK(at_load_rlx(&closed) == 0);
		some = at_load_rlx(&data) != 0;
		at_sub_rlx(&in_call, 1);
		return some;
	}
	/* As scope_conn_read: until something came, or -EBADF. */
	int read()
	{
		struct sc_use use;
		uint32_t waits = 0;
		int rc = sc_fd_enter(fd, SC_IN, &use);

		if (rc < 0)
			return rc;
		while (!use.ready || !receive()) {
			sc_wait_prepare(&strand);
			rc = sc_fd_wait(&use, &strand);
			use.ready = 1;
			if (rc < 0) {
				sc_fd_leave(&use, 0);
				return rc;
			}
			if (rc == 0)
				continue;
			if (sc_wait_commit(&strand))
				waits++;
			while (at_load_acq(&ready) < waits)
				if (sc_inbox_count(&sc_sched.inbox) &&
				    item_from(&sc_sched.inbox))
					at_add_acqrel(&ready, 1);
				else
					model::yield();
			rc = sc_fd_woken(&use);
			if (rc < 0)
				return rc;
		}
		sc_fd_leave(&use, 0);
		return 0;
	}
};

/* Something comes before the call, between the call and the wait, or during the wait. */
struct edge : poll_test<edge, 2> {
	void set_up()
	{
		poll_test<edge, 2>::set_up(true);
	}
	void thread(unsigned index)
	{
		if (index)
			arrive();
		else
			MODEL_CHECK(read() == 0);
	}
	void check()
	{
		MODEL_CHECK(!fd->side[SC_IN].waiter && !(fd->state & SC_FD_BUSY << SC_IN));
		tear_down();
	}
};
static model::bound<edge> edge("poll/no_edge_is_lost", 3);

/* A reader, and who closes: the reader hears of it, and the number is closed once, when nobody is
 * in a call with it. */
struct closing : poll_test<closing, 2> {
	void set_up()
	{
		poll_test<closing, 2>::set_up(true);
	}
	void thread(unsigned index)
	{
		if (!index) {
			MODEL_CHECK(read() == -EBADF);
			return;
		}
		sc_fd_close(fd);
	}
	void check()
	{
		MODEL_CHECK(closed == 1 && !(fd->state & SC_FD_OWN));
		tear_down();
	}
};
static model::bound<closing> closing("poll/a_number_is_closed_once_and_when_nobody_uses_it", 3);

/* A reader, who closes, and an event: all at once. */
struct closing_edge : poll_test<closing_edge, 3> {
	void set_up()
	{
		poll_test<closing_edge, 3>::set_up(true);
	}
	void thread(unsigned index)
	{
		struct sc_batch woken = {NULL, NULL, 0};
		struct sc_event event;
		int rc;

		if (index == 0) {
			rc = read();
			MODEL_CHECK(rc == 0 || rc == -EBADF);
		} else if (index == 1) {
			sc_fd_close(fd);
		} else {
			at_store_rlx(&data, 1);
			event.tag = UINT64_C(1) << 32 | 1; /* the life that was watched */
			event.events = SC_EVENT_IN;
			deliver(&event, &woken);
			go_on(&woken);
		}
	}
	void check()
	{
		MODEL_CHECK(closed == 1);
		tear_down();
	}
};
static model::random<closing_edge> closing_edge("poll/one_of_event_and_close_ends_the_wait", 20000);

/* Two descriptors of one chunk are watched first, at once. */
struct first : poll_test<first, 2> {
	struct sc_fd *slots[2];

	void set_up()
	{
		poll_test<first, 2>::set_up(false);
		at_store_rlx(&sc_sched.polling, 1);
	}
	void thread(unsigned index)
	{
		int rc;

		slots[index] = slot_of(1, &rc);
		MODEL_CHECK(slots[index] && slots[index]->fd == 1);
	}
	void check()
	{
		MODEL_CHECK(slots[0] == slots[1]);
		tear_down();
	}
};
static model::full<first> first("poll/slots_are_made_once_and_whole");

/* A task watches the first descriptor while another worker looks, and while one falls asleep. */
struct opened : poll_test<opened, 2> {
	SC_PLAIN(uint32_t) asleep;

	void set_up()
	{
		poll_test<opened, 2>::set_up(false);
		sc_sched.idle = SC_SLEEPING;
		workers[1].parker = SC_ASLEEP;
		asleep = 0;
	}
	void thread(unsigned index)
	{
		int rc;

		if (!index) {
			MODEL_CHECK(slot_of(1, &rc) != NULL);
			return;
		}
		keep_time(&workers[1]);
		if (sc_polling())
			nothing_came(NULL, 0, 0);
		else
			asleep = 1; /* at its futex */
	}
	void check()
	{
		MODEL_CHECK(!asleep || workers[1].parker == SC_NOTIFIED);
		tear_down();
	}
};
static model::bound<opened> opened("poll/nobody_sleeps_away_from_the_set", 4);

/* Who wakes a sleeper in the set has not looked whether there is one. */
struct rung : poll_test<rung, 3> {
	struct sc_catch caught;

	static unsigned wait_in_set(struct sc_event *, unsigned, int64_t)
	{
		model::yield();
		return nothing_came(NULL, 0, 0);
	}
	static void ring()
	{
		MODEL_CHECK(made == 1);
	}
	void set_up()
	{
		poll_test<rung, 3>::set_up(false);
		sc_os.poll_wait = wait_in_set;
		sc_os.poll_wake = ring;
		sc_sched.idle = SC_SLEEPING;
		workers[1].parker = SC_ASLEEP;
	}
	void thread(unsigned index)
	{
		int rc;

		if (index == 0)
			MODEL_CHECK(slot_of(1, &rc) != NULL);
		else if (index == 1)
			fall_asleep(&workers[1], 0, &caught);
		else
			sc_wake_worker(&workers[1]);
	}
	void check()
	{
		MODEL_CHECK(workers[1].parker == SC_NOTIFIED);
		tear_down();
	}
};
static model::random<rung> rung("poll/who_rings_finds_the_bell", 20000);
