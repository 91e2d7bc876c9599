/* tests/model/join.cc: models of counting and closing, runtime/scope/join.c: the last unit of a
 * scope against its owner, who closes or watches.
 */
#include "runtime.hpp"

static SC_WORD(uint32_t) ready; /* times that the owner's strand was made ready */

#include "deque/deque.c"
#include "sched/seed.c"
#include "sched/wheel.c"
#include "scope/cancel.c"
#include "scope/join.c"
#include "scope/wait.c"

#include "join.hpp"

/* The owner's place is saved and published, then it waits until somebody continues it. */
void sc_park(struct sc_worker *worker, enum sc_reason,
	     void (*post)(struct sc_worker *worker, struct sc_strand *strand))
{
	uint32_t before = at_load_rlx(&ready);

	worker->strand->place = worker->cur;
	post(worker, worker->strand);
	while (at_load_acq(&ready) == before)
		model::yield();
	worker->cur &= ~(uintptr_t)1;
}

void sc_ready(struct sc_strand *)
{
	at_add_acqrel(&ready, 1);
}

void sc_ready_batch(struct sc_batch *batch)
{
	if (batch->first)
		at_add_acqrel(&ready, 1);
}

void sc_poke(struct sc_worker *) {}
void sc_poke_all(void) {}
void sc_notify(void) {}
void sc_offer(struct sc_worker *) {}
void sc_submit(struct sc_task *) {}
int sc_attend(struct sc_worker *)
{
	return 0;
}
int sc_check(struct sc_worker *)
{
	return 0;
}
int sc_in_region(struct sc_worker *)
{
	return 0;
}
int sc_give_way(struct sc_worker *, int)
{
	return 0;
}
int sc_others_wait(struct sc_worker *)
{
	return 0;
}
void sc_land(void) {}
void sc_suspend(struct sc_worker *) {}
void sc_resume(struct sc_worker *) {}
int64_t sc_now(void)
{
	return 0;
}
void sc_alarm_arm(struct sc_worker *, struct sc_alarm *, int64_t) {}
void sc_alarm_disarm(struct sc_alarm *) {}

/* The owner is worker 0; `tasks` of its slots are out of its hands and end on other threads. */
template <class T, int threads> struct join_test : model::test<T, threads> {
	struct sc_worker workers[3];
	struct sc_host host;
	struct sc_card card;
	struct sc_scope top, s;
	SC_PLAIN(uint32_t) left[3]; /* what each task wrote, for the parent */
	bool closed;

	void open(struct sc_scope *scope, struct sc_scope *parent)
	{
		memset((void *)scope, 0, sizeof *scope);
		scope->parent = (uintptr_t)parent;
	}

	void set_up()
	{
		unsigned i;

		model::set_up_workers(workers, 3);
		memset((void *)&host, 0, sizeof host);
		model::set_up_strand(&host.strand, &card);
		open(&sc_root, NULL);
		sc_root.state = SC_LINKED;
		sc_epoch = 0;
		ready = 0;
		open(&top, &sc_root);
		top.state = SC_TASK;
		open(&s, &top);
		workers[0].strand = &host.strand;
		workers[0].cur = (uintptr_t)&s;
		for (i = 0; i < 3; i++)
			left[i] = 0;
		closed = false;
	}

	/* So many slots were stolen: a flush counted them. */
	void flushed(int64_t tasks)
	{
		s.state = SC_FLUSHED;
		s.units = tasks;
	}

	void end_task(unsigned index)
	{
		model::linger(40);
		left[index] = 1;
		go_on(index, sc_units_end(&s, 1));
	}

	/* What the worker's loop does. */
	void go_on(unsigned index, struct sc_strand *to)
	{
		if (!to)
			return;
		MODEL_CHECK(to == &host.strand);
		if (host.strand.on_resume)
			host.strand.on_resume(&workers[index], to);
		else
			at_add_acqrel(&ready, 1);
	}

	/* After the close nobody uses the scope, and the parent sees what its tasks wrote. */
	void close(unsigned tasks)
	{
		int rc = sc_close_finish(&s);
		unsigned i;

		MODEL_CHECK(rc == 0 || (rc == -ECANCELED && (sc_root.state & SC_OWN)));
		for (i = 1; i <= tasks; i++)
			MODEL_CHECK(left[i] == 1);
		closed = true;
		s.count = -99;
		s.waiter = NULL;
	}
	void check()
	{
		MODEL_CHECK(closed && s.count == -99 && !s.waiter);
		MODEL_CHECK(ready <= 1);
	}
};

struct one_task : join_test<one_task, 2> {
	void set_up()
	{
		join_test<one_task, 2>::set_up();
		flushed(1);
	}
	void thread(unsigned index)
	{
		if (index)
			end_task(1);
		else
			close(1);
	}
};
static model::random<one_task> one_task(
	"join/the_last_task_against_the_closing_owner", 20000);

struct two_tasks : join_test<two_tasks, 3> {
	void set_up()
	{
		join_test<two_tasks, 3>::set_up();
		flushed(2);
	}
	void thread(unsigned index)
	{
		if (index)
			end_task(index);
		else
			close(2);
	}
};
static model::random<two_tasks> two_tasks(
	"join/two_last_tasks_continue_the_owner_once", 20000);

/* A member spawns into the scope that is being closed: its own unit keeps the count up. */
struct spawn_into : join_test<spawn_into, 3> {
	struct sc_task task;
	SC_WORD(uint32_t) queued;

	void set_up()
	{
		join_test<spawn_into, 3>::set_up();
		flushed(1);
		memset((void *)&task, 0, sizeof task);
		task.slot.scope = &s;
		queued = 0;
	}
	void thread(unsigned index)
	{
		if (!index) {
			close(2);
		} else if (index == 1) {
			sc_accept(&task);
			at_store_rel(&queued, 1);
			end_task(1);
		} else {
			while (!at_load_acq(&queued))
				model::yield();
			end_task(2);
		}
	}
};
static model::random<spawn_into> spawn_into(
	"join/a_member_spawns_while_the_owner_closes", 20000);

/* ---- scope_wait_until ---- */

template <class T, int threads> struct watch_test : join_test<T, threads> {
	int rc;

	void set_up()
	{
		join_test<T, threads>::set_up();
		join_test<T, threads>::flushed(1);
		rc = 1;
	}
	void watch_and_close(unsigned tasks)
	{
		unsigned i;

		rc = scope_wait_until((struct scope *)&this->s, SC_NEVER);
		for (i = 1; i <= tasks && rc == 0; i++)
			MODEL_CHECK(this->left[i] == 1);
		join_test<T, threads>::close(tasks);
	}
	void check()
	{
		MODEL_CHECK(this->closed && this->s.count == -99 && !this->s.waiter);
		MODEL_CHECK(ready <= 2);
	}
};

struct watched : watch_test<watched, 2> {
	void thread(unsigned index)
	{
		if (index)
			end_task(1);
		else
			watch_and_close(1);
	}
	void check()
	{
		MODEL_CHECK(rc == 0);
		watch_test<watched, 2>::check();
	}
};
static model::random<watched> watched(
	"join/the_last_task_against_the_watching_owner", 20000);

/* What the first of two tasks wrote comes to the owner by the count alone. */
struct two_watched : watch_test<two_watched, 3> {
	void set_up()
	{
		watch_test<two_watched, 3>::set_up();
		flushed(2);
	}
	void thread(unsigned index)
	{
		if (index)
			end_task(index);
		else
			watch_and_close(2);
	}
	void check()
	{
		MODEL_CHECK(rc == 0);
		watch_test<two_watched, 3>::check();
	}
};
static model::random<two_watched> two_watched(
	"join/two_last_tasks_against_the_watching_owner", 20000);

/* The owner of a counted scope is at a place of its own, whose lock tells the task nothing. */
struct watched_elsewhere : watch_test<watched_elsewhere, 2> {
	struct sc_scope body;

	void set_up()
	{
		watch_test<watched_elsewhere, 2>::set_up();
		open(&s, &top);
		s.state = SC_SHARED;
		s.count = 1;
		open(&body, &top);
		workers[0].cur = (uintptr_t)&body;
	}
	void thread(unsigned index)
	{
		if (index) {
			end_task(1);
			return;
		}
		rc = wait_until(&s, SC_NEVER);
		MODEL_CHECK(rc == 0 && left[1] == 1 && s.count == 0);
		closed = true;
		s.count = -99;
		s.waiter = NULL;
	}
};
static model::random<watched_elsewhere> watched_elsewhere(
	"join/the_last_task_against_an_owner_who_watches_from_elsewhere", 20000);

/* The watch ends by a cancel instead, and the task ends while the owner stops watching. */
struct watch_cancelled : watch_test<watch_cancelled, 3> {
	void cancel()
	{
		model::linger(40);
		sc_cancel(&sc_root, SCOPE_CAUSE_EXPLICIT);
	}
	void thread(unsigned index)
	{
		if (!index)
			watch_and_close(1);
		else if (index == 1)
			end_task(1);
		else
			cancel();
	}
	void check()
	{
		MODEL_CHECK(rc == 0 || rc == -ECANCELED);
		watch_test<watch_cancelled, 3>::check();
	}
};
static model::random<watch_cancelled> watch_cancelled(
	"join/task_and_cancel_against_the_watching_owner", 30000);

/* ---- scopes that a task left open ---- */

/* The worker of the task joins them, or whoever ends the last task in one. */
template <class T, int threads> struct leak_test : join_test<T, threads> {
	struct sc_scope outer;

	void set_up()
	{
		join_test<T, threads>::set_up();
		this->open(&outer, &this->top);
		this->host.strand.place = (uintptr_t)&this->s;
	}

	/* The task goes on, on whichever worker; its scopes are its own again. */
	void leave(unsigned tasks)
	{
		unsigned i;

		sc_leak_begin(&this->workers[0], &this->host.strand);
		while (!at_load_acq(&ready))
			model::yield();
		for (i = 1; i <= tasks; i++)
			MODEL_CHECK(this->left[i] == 1);
		this->s.count = outer.count = -99;
	}
	void check()
	{
		MODEL_CHECK(ready == 1 && this->host.strand.place == (uintptr_t)&this->top);
		MODEL_CHECK(!this->host.strand.on_resume);
		MODEL_CHECK(this->s.count == -99 && outer.count == -99);
	}
};

struct one_leak : leak_test<one_leak, 2> {
	void set_up()
	{
		leak_test<one_leak, 2>::set_up();
		flushed(1);
	}
	void thread(unsigned index)
	{
		if (index)
			end_task(1);
		else
			leave(1);
	}
};
static model::random<one_leak> one_leak(
	"join/the_last_task_against_the_scope_that_was_left_open", 20000);

/* One in the other, a task in each. */
struct two_leaks : leak_test<two_leaks, 3> {
	void set_up()
	{
		leak_test<two_leaks, 3>::set_up();
		flushed(1);
		s.parent = (uintptr_t)&outer;
		outer.state = SC_FLUSHED;
		outer.units = 1;
	}
	void thread(unsigned index)
	{
		if (!index) {
			leave(2);
		} else if (index == 1) {
			end_task(1);
		} else {
			model::linger(40);
			left[2] = 1;
			go_on(2, sc_units_end(&outer, 1));
		}
	}
};
static model::random<two_leaks> two_leaks(
	"join/two_scopes_that_were_left_open_one_in_the_other", 20000);
