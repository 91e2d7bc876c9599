/* tests/model/sync.cc: models of the locks of sync/: who waits is given, told, or goes away. */
#include "runtime.hpp"

SC_WORD(uint64_t) sc_epoch;

static SC_WORD(uint32_t) continued[3];

void sc_ready(struct sc_strand *strand)
{
	at_store_rel(&continued[strand->batch], 1);
}
void sc_ready_batch(struct sc_batch *batch)
{
	struct sc_item *item = batch->first, *next;
	unsigned i;

	for (; item; item = next) {
		struct sc_strand *strand = SC_CONTAINER(item, struct sc_strand, item);
		struct sc_item *pack[SC_PACK];
		unsigned packed = item->packed;

		next = item->next;
		for (i = 0; i < packed; i++)
			pack[i] = strand->pack[i];
		sc_ready(strand);
		for (i = 0; i < packed; i++)
			sc_ready(SC_CONTAINER(pack[i], struct sc_strand, item));
	}
}
void sc_park(struct sc_worker *worker, enum sc_reason,
	     void (*post)(struct sc_worker *, struct sc_strand *))
{
	unsigned me = worker->strand->batch;

	at_store_rlx(&continued[me], 0);
	worker->strand->place = worker->cur;
	post(worker, worker->strand);
	while (!at_load_acq(&continued[me]))
		model::yield();
}
static int lightly; /* const in a model: there is another strand to go on with */

int sc_park_lightly(struct sc_worker *worker, enum sc_reason reason,
		    void (*post)(struct sc_worker *, struct sc_strand *))
{
	if (lightly)
		sc_park(worker, reason, post);
	return lightly;
}
void sc_poke(struct sc_worker *) {}
/* The tree is not in this model: what a cancel does, a thread does by itself. */
void sc_wait_begin(struct sc_worker *worker, int64_t)
{
	sc_wait_prepare(worker->strand);
}
int sc_wait_publish(struct sc_worker *, struct sc_strand *)
{
	return 1;
}
int sc_wait_end(struct sc_scope *)
{
	return sc_wait_outcome(sc_self()->strand) == SC_WAIT_EVENT ? 0 : -ECANCELED;
}
int sc_in_region(struct sc_worker *)
{
	return 0;
}
void sc_wait_forget(struct sc_worker *) {}
void sc_wait_withdraw(struct sc_scope *) {}
int sc_commit_slowly(struct sc_worker *, struct sc_strand *strand, struct sc_scope *, uint32_t)
{
	return sc_wait_commit(strand);
}
int sc_check(struct sc_worker *)
{
	return 0;
}
int64_t sc_now(void)
{
	return 0;
}
void sc_held_sweep(struct sc_host *) {}
void sc_hold_first(struct sc_host *, struct sc_scope *) {}
void sc_select_chose(struct sc_waiter *) {}

#include "sched/wheel.c"
#include "sync/queue.c"
#define take take_mutex
#include "sync/mutex.c"
#undef take
#define take take_event
#include "sync/event.c"
#undef take
#define take take_once
#define run run_once
#include "sync/once.c"
#undef take
#undef run

template <class T, int threads> struct sync_test : model::test<T, threads> {
	struct sc_worker workers[3];
	struct sc_host host[3];
	struct sc_card card[3];
	struct sc_scope node[3];
	SC_PLAIN(int) data;

	void set_up()
	{
		unsigned i;

		model::set_up_workers(workers, 3);
		for (i = 0; i < 3; i++) {
			memset((void *)&host[i], 0, sizeof host[i]);
			memset((void *)&node[i], 0, sizeof node[i]);
			model::set_up_strand(&host[i].strand, &card[i]);
			host[i].strand.batch = i;
			node[i].state = SC_TASK;
			workers[i].strand = &host[i].strand;
			workers[i].cur = (uintptr_t)&node[i];
			continued[i] = 0;
		}
		data = 0;
		lightly = 0;
	}
};

/* ---- mutex ---------------------------------------------------------------------------- */

template <class T, int threads> struct mutex_test : sync_test<T, threads> {
	struct sc_mutex mutex;

	void set_up()
	{
		sync_test<T, threads>::set_up();
		memset((void *)&mutex, 0, sizeof mutex);
	}
	struct scope_mutex *it()
	{
		return (struct scope_mutex *)&mutex;
	}
	/* Adds to what the mutex guards. */
	void add()
	{
		MODEL_CHECK(scope_mutex_lock(it()) == 0);
		this->data = this->data + 1;
		MODEL_CHECK(scope_mutex_unlock(it()) == 0);
	}
};

struct two_at_mutex : mutex_test<two_at_mutex, 2> {
	void thread(unsigned)
	{
		add();
	}
	void check()
	{
		MODEL_CHECK(data == 2 && mutex.owner == 0 && !mutex.queue.first);
	}
};
static model::bound<two_at_mutex> two_at_mutex("sync/a_mutex_goes_from_hand_to_hand", 3);

struct three_at_mutex : mutex_test<three_at_mutex, 3> {
	void thread(unsigned)
	{
		add();
	}
	void check()
	{
		MODEL_CHECK(data == 3 && mutex.owner == 0 && !mutex.queue.first);
	}
};
static model::random<three_at_mutex> three_at_mutex("sync/three_pass_a_mutex_on", 20000);

/* One that comes is cancelled before it waits: the holder finds a mark and nobody. */
struct mark_is_left : mutex_test<mark_is_left, 3> {
	void thread(unsigned index)
	{
		struct sc_await await;

		if (index < 2) {
			add();
			return;
		}
		sc_await_init(&await, &mutex, &mutex.lock, &mutex.queue, take_mutex, 8);
		await.again = 0;
		await.waiter.strand = &host[2].strand;
		host[2].strand.subject = &await;
		sc_enter(&mutex.lock);
		if (take_mutex(&await)) {
			struct sc_batch woken = {NULL, NULL, 0};

			sc_leave(&mutex.lock);
			sc_mutex_release(&mutex, 8, &woken);
			sc_wake(&woken);
		} else {
			sc_leave(&mutex.lock);
		}
	}
	void check()
	{
		MODEL_CHECK(data == 2 && mutex.owner == 0);
	}
};
static model::random<mark_is_left> mark_is_left(
	"sync/a_mutex_that_nobody_waits_for_is_free", 20000);

/* The holder ends: who waits is told, who comes later finds it free. */
struct holder_ends : mutex_test<holder_ends, 2> {
	int told;

	void set_up()
	{
		mutex_test<holder_ends, 2>::set_up();
		told = 0;
	}
	void thread(unsigned index)
	{
		int rc = scope_mutex_lock(it());

		if (index == 0) {
			if (rc == 0) {
				data = 1;
				take_back(&mutex.holding);
			}
			return;
		}
		told = rc == -EOWNERDEAD;
		if (rc == 0) {
			data = data + 1;
			MODEL_CHECK(scope_mutex_unlock(it()) == 0);
		}
	}
	void check()
	{
		MODEL_CHECK(mutex.owner == 0 && !mutex.queue.first);
		MODEL_CHECK(data == (told ? 1 : 2) || data == 1);
	}
};
static model::bound<holder_ends> holder_ends("sync/a_holder_ends_beside_one_that_comes", 3);

/* ---- event, once ---------------------------------------------------------------------- */

struct event_is_set : sync_test<event_is_set, 3> {
	struct sc_event_inside event;

	void set_up()
	{
		sync_test<event_is_set, 3>::set_up();
		memset((void *)&event, 0, sizeof event);
	}
	void thread(unsigned index)
	{
		struct scope_event *it = (struct scope_event *)&event;

		if (index) {
			MODEL_CHECK(scope_event_wait(it) == 0);
			MODEL_CHECK(data == 5);
		} else {
			data = 5;
			scope_event_set(it);
		}
	}
	void check()
	{
		MODEL_CHECK(!event.queue.first);
	}
};
static model::random<event_is_set> event_is_set(
	"sync/who_passes_an_event_sees_what_came_first", 20000);

/* Whoever passes may free the event: what its setter still does there comes before. */
struct event_is_freed : sync_test<event_is_freed, 2> {
	struct sc_event_inside event;

	void set_up()
	{
		sync_test<event_is_freed, 2>::set_up();
		memset((void *)&event, 0, sizeof event);
	}
	void thread(unsigned index)
	{
		if (index) {
			if (sc_event_pass(&event))
				data = 3;
		} else {
			sc_enter(&event.lock);
			at_store_rel(&event.set, 1);
			data = 2; /* stands for the queue */
			sc_leave(&event.lock);
		}
	}
	void check()
	{
	}
};
static model::bound<event_is_freed> event_is_freed(
	"sync/who_passes_an_event_finds_its_setter_gone", 3);

static SC_PLAIN(int) initialised;

static int initialise(void *)
{
	initialised = initialised + 1;
	return 0;
}

struct run_once_only : sync_test<run_once_only, 2> {
	struct once once;

	void set_up()
	{
		sync_test<run_once_only, 2>::set_up();
		memset((void *)&once, 0, sizeof once);
		initialised = 0;
	}
	void thread(unsigned)
	{
		MODEL_CHECK(scope_once_run((struct scope_once *)&once, initialise, NULL) == 0);
		MODEL_CHECK(initialised == 1);
	}
	void check()
	{
		MODEL_CHECK(!once.queue.first);
	}
};
static model::bound<run_once_only> run_once_only("sync/once_is_run_once_for_both", 3);

/* ---- a gift, a cancel ----------------------------------------------------------------- */

static uint32_t gifts; /* lock: that nobody has taken */

static int take_gift(struct sc_await *)
{
	if (gifts == 0)
		return 0;
	gifts--;
	return 1;
}

/* One waits, one gives into its frame, one cancels: it has the gift, or it is left. */
struct gift_against_cancel : sync_test<gift_against_cancel, 3> {
	struct sc_await await;
	struct sc_lock lock;
	struct sc_queue queue;
	SC_PLAIN(int) frame;

	void set_up()
	{
		sync_test<gift_against_cancel, 3>::set_up();
		memset((void *)&lock, 0, sizeof lock);
		memset((void *)&queue, 0, sizeof queue);
		gifts = 0;
		frame = 0;
		sc_await_init(&await, &queue, &lock, &queue, take_gift, (uintptr_t)&frame);
		await.again = 0;
		await.waiter.strand = &host[0].strand;
		host[0].strand.subject = &await;
		sc_wait_prepare(&host[0].strand); /* a cancel may be the first of all */
	}
	void give()
	{
		struct sc_batch woken = {NULL, NULL, 0};
		struct sc_waiter *waiter;

		sc_enter(&lock);
		waiter = sc_queue_claim(&queue, &woken);
		if (waiter)
			*(SC_PLAIN(int) *)waiter->key = 7;
		else
			gifts++;
		sc_leave(&lock);
		sc_wake(&woken);
	}
	void thread(unsigned index)
	{
		if (index == 1) {
			give();
		} else if (index == 2) {
			if (sc_wait_claim(&host[0].strand, SC_WAIT_CANCEL))
				sc_ready(&host[0].strand);
		} else {
			sc_park_in_place(&workers[0], SC_IN_EVENT, publish);
			if (sc_wait_outcome(&host[0].strand) != SC_WAIT_EVENT)
				give_up(&await);
			else
				data = frame + 1; /* 1: taken, 8: given */
			frame = 0; /* the frame is gone */
		}
	}
	void check()
	{
		int has = sc_wait_outcome(&host[0].strand) == SC_WAIT_EVENT;

		MODEL_CHECK(!queue.first);
		MODEL_CHECK(gifts == !has);
		MODEL_CHECK(!has || data == 8 || data == 1);
	}
};
static model::bound<gift_against_cancel> gift_against_cancel(
	"sync/a_gift_is_taken_or_left_beside_a_cancel", 3);

/* The same of a wait where the last one was, which keeps the lock until it is committed. */
struct kept_gift_against_cancel : sync_test<kept_gift_against_cancel, 3> {
	struct sc_lock lock;
	struct sc_queue queue;
	SC_PLAIN(int) frame;
	int rc;

	void set_up()
	{
		sync_test<kept_gift_against_cancel, 3>::set_up();
		memset((void *)&lock, 0, sizeof lock);
		memset((void *)&queue, 0, sizeof queue);
		gifts = 0;
		frame = 0;
		rc = 1;
		lightly = 1;
		node[0].state = SC_TASK | SC_FLUSHED | SC_WAITER;
		node[0].base = workers[0].bottom.top;
		sc_wait_prepare(&host[0].strand);
		sc_wait_claim(&host[0].strand, SC_WAIT_EVENT);
	}
	void give()
	{
		struct sc_strand *woken = NULL;
		struct sc_waiter *waiter;

		sc_enter(&lock);
		waiter = sc_queue_take(&queue, &woken);
		if (waiter)
			*(SC_PLAIN(int) *)waiter->key = 7;
		else
			gifts++;
		sc_leave(&lock);
		if (woken)
			sc_ready(woken);
	}
	void thread(unsigned index)
	{
		if (index == 1) {
			give();
		} else if (index == 2) {
			if (sc_wait_claim(&host[0].strand, SC_WAIT_CANCEL))
				sc_ready(&host[0].strand);
		} else {
			sc_enter(&lock);
			if (take_gift(NULL)) {
				sc_leave(&lock);
				rc = 0;
			} else {
				rc = sc_await_keeping(&queue, &lock, &queue, (uintptr_t)&frame,
						      SC_IN_EVENT, take_gift);
				data = frame;
			}
			frame = 0; /* the frame is gone */
		}
	}
	void check()
	{
		MODEL_CHECK(!queue.first);
		MODEL_CHECK(rc == 0 || rc == -ECANCELED);
		MODEL_CHECK(gifts == (uint32_t)(rc != 0));
		MODEL_CHECK(rc != 0 || data == 7 || data == 0);
	}
};
static model::bound<kept_gift_against_cancel> kept_gift_against_cancel(
	"sync/a_gift_is_taken_or_left_beside_a_cancel_of_who_kept_the_lock", 3);
