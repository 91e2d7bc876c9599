/* runtime/io/pool.c: threads for calls that block: they come when needed and go when idle.
 *
 * Not libuv's pool: it has a fixed number of threads, shared with whatever else in the process
 * uses libuv, which calls that hang use up; it ends the process if it can't start them; it does
 * not say which thread runs a call, so that none can be interrupted; at the end it waits for
 * calls without limit; and results come by way of a loop that somebody has to run.
 *
 * Threads end before the run does, for they touch the scheduler when they hand a result over.
 * One that runs an abandoned call never does: if it does not end in time it is left behind as a
 * stray, which a later run joins when its call has returned.
 */
#include "io/pool.h"

#include <errno.h>

enum { MOST_THREADS = 64 };
#define IDLE_NS INT64_C(5000000000)

struct thread {
	struct thread *next, **link; /* lock: in the list of all */
	struct sc_thread handle;     /* const once it runs */
	struct sc_call *call;        /* lock: what it runs */
	uint32_t stray;              /* lock: the run it belonged to is over */
};

static struct {
	struct sc_lock lock;
	struct sc_call *first, *last; /* lock: waiting calls, no bound */
	struct thread *all;           /* lock */
	struct thread *ended;         /* lock: to be joined */
	/* lock.  Strays are not counted. */
	unsigned queued, idle, threads, orphans;
	int stopping;
	/* lock.  Futexes: a word that was read under the lock has moved if there is news. */
	SC_WORD(uint32_t) work; /* a call was queued */
	SC_WORD(uint32_t) left; /* a thread has ended */
	int eintr;              /* lock: the signal that interrupts was taken */
} pool;

/* lock */
static void move(SC_WORD(uint32_t) *word)
{
	at_store_rlx(word, *word + 1);
}

/* ---- the queue: under the lock ------------------------------------------------------------- */

static void put(struct sc_call *call)
{
	call->next = NULL;
	call->state = SC_CALL_QUEUED;
	if (pool.first)
		pool.last->next = call;
	else
		pool.first = call;
	pool.last = call;
	pool.queued++;
	move(&pool.work);
}

static void take_back(struct sc_call *call, int why)
{
	struct sc_call **link = &pool.first, *before = NULL;

	for (; *link != call; link = &before->next)
		before = *link;
	*link = call->next;
	if (pool.last == call)
		pool.last = before;
	pool.queued--;
	call->state = SC_CALL_REFUSED;
	call->result = why;
}

/* ---- threads ------------------------------------------------------------------------------- */

/* lock */
static void unlist(struct thread *thread)
{
	*thread->link = thread->next;
	if (thread->next)
		thread->next->link = thread->link;
}

/* Frees what threads left that have ended. */
static void join_ended(void)
{
	struct thread *thread;

	for (;;) {
		sc_lock_take(&pool.lock);
		thread = pool.ended;
		if (thread)
			pool.ended = thread->next;
		sc_lock_drop(&pool.lock);
		if (!thread)
			return;
		sc_os.thread_join(&thread->handle);
		sc_os.free(thread);
	}
}

/* lock, released meanwhile: the next call, or NULL when it is time to end. */
static struct sc_call *next_call(struct thread *self)
{
	int64_t until = sc_os.now() + IDLE_NS;
	struct sc_call *call;

	while (!pool.first) {
		uint32_t word = at_load_rlx(&pool.work);

		if (self->stray || pool.stopping || sc_os.now() >= until)
			return NULL;
		pool.idle++;
		sc_lock_drop(&pool.lock);
		sc_os.wait(&pool.work, word, until);
		sc_lock_take(&pool.lock);
		pool.idle--;
	}
	call = pool.first;
	pool.first = call->next;
	pool.queued--;
	return call;
}

static int run(struct sc_call *call)
{
	int result;

	if (call->by_signal)
		sc_os_eintr_block(0);
	result = call->fn(call->arg);
	if (call->by_signal)
		sc_os_eintr_block(1);
	return result;
}

/* lock, released meanwhile. */
static void end_orphan(struct thread *self, struct sc_call *call)
{
	sc_lock_drop(&pool.lock);
	if (call->drop)
		call->drop(call->arg, call->result);
	sc_os.free(call);
	sc_lock_take(&pool.lock);
	if (!self->stray)
		pool.orphans--;
	self->call = NULL;
}

/* lock, released meanwhile. */
static void serve(struct thread *self, struct sc_call *call)
{
	struct sc_strand *strand = call->strand;
	int result, won;

	call->state = SC_CALL_RUNNING;
	self->call = call;
	sc_lock_drop(&pool.lock);
	result = run(call);
	sc_lock_take(&pool.lock);
	call->result = result;
	if (call->interrupted)
		sc_sched_watch(-1);
	if (call->state == SC_CALL_ABANDONED) {
		end_orphan(self, call);
		return;
	}
	self->call = NULL;
	call->state = SC_CALL_DONE;
	won = sc_wait_claim(strand, SC_WAIT_EVENT);
	sc_lock_drop(&pool.lock);
	if (won)
		sc_ready(strand);
	sc_lock_take(&pool.lock);
}

static void thread_main(void *arg)
{
	struct thread *self = arg;
	struct sc_call *call;

	sc_lock_take(&pool.lock);
	self->handle = sc_os.thread_self();
	while ((call = next_call(self)))
		serve(self, call);
	unlist(self);
	self->next = pool.ended;
	pool.ended = self;
	if (!self->stray)
		pool.threads--;
	move(&pool.left);
	sc_lock_drop(&pool.lock);
	sc_os.wake(&pool.left, 1);
}

/* The thread is counted.  True if it runs. */
static int start_thread(void)
{
	struct thread *thread = sc_os.alloc(sizeof *thread);
	struct sc_thread handle; /* it sets its own before anybody looks */

	if (!thread)
		return 0;
	*thread = (struct thread){0};
	sc_lock_take(&pool.lock);
	thread->next = pool.all;
	thread->link = &pool.all;
	if (thread->next)
		thread->next->link = &thread->next;
	pool.all = thread;
	sc_lock_drop(&pool.lock);
	if (sc_os.thread_start(&handle, thread_main, thread) == 0)
		return 1;
	sc_lock_take(&pool.lock);
	unlist(thread);
	sc_lock_drop(&pool.lock);
	sc_os.free(thread);
	return 0;
}

/* ---- calls --------------------------------------------------------------------------------- */

static void pool_stop(void);
static void send_signals(void);
static size_t list_orphans(const void **fns, size_t most);

static const struct sc_service service = {pool_stop, send_signals, list_orphans};

/* No thread is there and none can be had: nobody will run what waits.  True if `own`, whose
 * strand is not parked yet, is among that; the others' tasks are woken. */
static int refuse_all(struct sc_call *own)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_call *call;
	int mine = 0;

	sc_lock_take(&pool.lock);
	pool.threads--;
	while (pool.threads == 0 && (call = pool.first)) {
		take_back(call, -EAGAIN);
		if (call == own)
			mine = 1;
		else if (sc_wait_claim(call->strand, SC_WAIT_EVENT))
			sc_batch_add(&woken, &call->strand->item);
	}
	sc_lock_drop(&pool.lock);
	sc_ready_batch(&woken);
	return mine;
}

/* lock.  Whether a thread has to be started for the call, which is queued. */
static int enqueue(struct sc_call *call)
{
	unsigned limit = sc_run.offload_threads ? sc_run.offload_threads : MOST_THREADS;
	int start;

	put(call);
	start = pool.queued > pool.idle && pool.threads < limit;
	pool.threads += (unsigned)start;
	return start;
}

int sc_pool_submit(struct sc_call *call)
{
	int start = 0, rc = 0;

	at_store_rlx(&sc_run.service[SC_POOL], &service);
	sc_lock_take(&pool.lock);
	if (call->by_signal && !pool.eintr) {
		rc = sc_os_eintr_install();
		pool.eintr = rc == 0;
	}
	if (rc == 0)
		start = enqueue(call);
	sc_lock_drop(&pool.lock);
	if (rc < 0) {
		call->state = SC_CALL_REFUSED;
		call->result = -EAGAIN;
		return 0;
	}
	if (!start) {
		sc_os.wake(&pool.work, 1);
		return 1;
	}
	join_ended();
	return start_thread() || !refuse_all(call);
}

enum sc_call_state sc_pool_cancel(struct sc_call *call, int abandon)
{
	enum sc_call_state state;

	sc_lock_take(&pool.lock);
	if (call->state == SC_CALL_QUEUED) {
		take_back(call, -ECANCELED);
	} else if (call->state == SC_CALL_RUNNING && abandon) {
		call->state = SC_CALL_ABANDONED;
		pool.orphans++;
	}
	state = call->state;
	sc_lock_drop(&pool.lock);
	return state;
}

int sc_pool_wait_again(struct sc_call *call)
{
	int running;

	sc_lock_take(&pool.lock);
	running = call->state == SC_CALL_RUNNING;
	if (running)
		sc_wait_prepare(call->strand);
	sc_lock_drop(&pool.lock);
	return running;
}

/* ---- interrupting -------------------------------------------------------------------------- */

/* A signal that comes just before the system call is lost: it is sent until fn has returned.
 * Under the lock, so that none is on its way when the thread runs its next call. */
static void send_signals(void)
{
	struct thread *thread;

	sc_lock_take(&pool.lock);
	for (thread = pool.all; thread; thread = thread->next)
		if (thread->call && thread->call->interrupted)
			sc_os_eintr_send(thread->handle);
	sc_lock_drop(&pool.lock);
}

void sc_pool_interrupt(struct sc_call *call)
{
	sc_lock_take(&pool.lock);
	call->interrupted = call->state == SC_CALL_RUNNING;
	if (call->interrupted)
		sc_sched_watch(1);
	sc_lock_drop(&pool.lock);
	send_signals();
}

static size_t list_orphans(const void **fns, size_t most)
{
	struct thread *thread;
	size_t count = 0;

	sc_lock_take(&pool.lock);
	for (thread = pool.all; thread; thread = thread->next) {
		if (!thread->call || thread->call->state != SC_CALL_ABANDONED)
			continue;
		if (count < most)
			fns[count] = (const void *)thread->call->fn;
		count++;
	}
	sc_lock_drop(&pool.lock);
	return count;
}

/* ---- the end of a run ---------------------------------------------------------------------- */

/* No task is left: all calls have ended or are abandoned. */
static void pool_stop(void)
{
	const int64_t until = sc_run.orphans_until;
	struct thread *thread;

	sc_lock_take(&pool.lock);
	pool.stopping = 1;
	move(&pool.work);
	while (pool.threads > 0) {
		uint32_t word = at_load_rlx(&pool.left);
		int64_t limit = pool.threads > pool.orphans ? SC_NEVER : until;

		if (sc_os.now() >= limit)
			break;
		sc_lock_drop(&pool.lock);
		sc_os.wake(&pool.work, INT32_MAX);
		sc_os.wait(&pool.left, word, limit);
		sc_lock_take(&pool.lock);
	}
	for (thread = pool.all; thread; thread = thread->next)
		thread->stray = 1;
	pool.threads = pool.orphans = 0;
	pool.stopping = 0;
	if (pool.eintr)
		sc_os_eintr_uninstall();
	pool.eintr = 0;
	sc_lock_drop(&pool.lock);
	join_ended();
}
