/* runtime/sync/once.c: a function that is to succeed once, for all who need it. */
#include "sync/queue.h"
#include <errno.h>
#include <scope_sync.h>

enum { IDLE, RUNNING, DONE };

/*
 * Memory order
 *   [once.done]  store_rel(state, DONE) of who ran it -> load_acq(state) of who comes later
 */
struct once {
	struct sc_lock lock;
	SC_WORD(uint32_t) state;   /* written under lock */
	SC_WORD(uintptr_t) runner; /* RUNNING: the task; written under lock */
	struct sc_queue queue;     /* key: the task */
};
_Static_assert(sizeof(struct once) <= sizeof(struct scope_once), "a once fits");

enum { RUN_IT = 1 }; /* a waiter's result: it is the runner now */

/* lock */
static int take(struct sc_await *await)
{
	struct once *once = await->thing;
	uint32_t state = at_load_rlx(&once->state);

	if (state == RUNNING)
		return 0;
	if (state == IDLE) {
		at_store_rlx(&once->state, RUNNING);
		at_store_rlx(&once->runner, await->waiter.key);
		await->waiter.result = RUN_IT;
	}
	return 1;
}

/* It failed: the next one is to try, whoever has waited longest. */
static void pass_on(struct once *once, struct sc_batch *woken)
{
	struct sc_waiter *waiter = sc_queue_claim(&once->queue, woken);

	if (waiter)
		waiter->result = RUN_IT;
	else
		at_store_rlx(&once->state, IDLE);
	at_store_rlx(&once->runner, waiter ? waiter->key : 0);
}

static int run(struct once *once, scope_task_fn *fn, void *arg)
{
	struct sc_batch woken = {NULL, NULL, 0};
	int rc = fn(arg);

	sc_enter(&once->lock);
	if (rc != 0) {
		pass_on(once, &woken);
	} else {
		at_store_rel(&once->state, DONE); /* [once.done] */
		at_store_rlx(&once->runner, 0);
		sc_queue_serve_all(&once->queue, 0, &woken);
	}
	sc_leave(&once->lock);
	sc_wake(&woken);
	return rc;
}

int scope_once_run(struct scope_once *public, scope_task_fn *fn, void *arg)
{
	struct once *once = (struct once *)public;
	struct sc_await await;
	uintptr_t task;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_once_run");
	rc = sc_check(worker);
	if (rc < 0 || at_load_acq(&once->state) == DONE) /* [once.done] */
		return rc;
	task = sc_task_of(sc_self()->cur);
	if (at_load_rlx(&once->runner) == task)
		return -EDEADLK;
	sc_await_init(&await, once, &once->lock, &once->queue, take, task);
	rc = sc_await_not(&await) ? await.waiter.result : sc_await(&await, SC_IN_ONCE);
	return rc == RUN_IT ? run(once, fn, arg) : rc;
}
