/* runtime/sync/mutex.c: the mutex, which goes from hand to hand: rule X6; see mutex.h. */
#include "sync/mutex.h"
#include <errno.h>

/* Tasks are at least four bytes apart: nodes and scopes are aligned to eight, bit 0 is the tag. */
#define WAITED ((uintptr_t)2)

SC_INLINE int is_owner(struct sc_mutex *m, uintptr_t task)
{
	return (at_load_rlx(&m->owner) & ~WAITED) == task;
}

/* Inlined siblings have one name: was it an earlier one, who has ended, it is taken back first. */
SC_INLINE int is_mine(struct sc_mutex *m, uintptr_t task)
{
	if (!is_owner(m, task))
		return 0;
	if (SC_LIKELY(sc_has_held(task)))
		return 1;
	sc_held_sweep(sc_host(sc_self()->strand));
	return 0;
}

int sc_mutex_is_mine(struct sc_mutex *m, uintptr_t task)
{
	return is_mine(m, task);
}

/* One step from free to held and back; false: it is held, somebody waits. */
SC_INLINE int take_free(struct sc_mutex *m, uintptr_t task)
{
	uintptr_t seen = 0;

	if (!sc_solo())
		return at_cas_acq(&m->owner, &seen, task); /* [mutex.hold] */
	if (at_load_rlx(&m->owner))
		return 0;
	at_store_rlx(&m->owner, task);
	return 1;
}

SC_INLINE int set_free(struct sc_mutex *m, uintptr_t task)
{
	if (!sc_solo())
		return at_cas_rel(&m->owner, &task, 0); /* [mutex.hold] */
	if (at_load_rlx(&m->owner) != task)
		return 0;
	at_store_rlx(&m->owner, 0);
	return 1;
}

/* lock.  Leaves word that there is a waiter. */
static int take(struct sc_await *await)
{
	struct sc_mutex *m = await->thing;
	uintptr_t owner = at_load_rlx(&m->owner);

	for (;;) {
		if (owner == 0) {
			if (at_cas_acq(&m->owner, &owner, await->waiter.key)) /* [mutex.hold] */
				return 1;
		} else if ((owner & WAITED) || at_cas_rlx(&m->owner, &owner, owner | WAITED)) {
			return 0;
		}
	}
}

/* Its holder has ended: all who wait hear of it, none of them holds it. */
static void take_back(struct sc_holding *holding)
{
	struct sc_mutex *m = SC_CONTAINER(holding, struct sc_mutex, holding);
	struct sc_batch woken = {NULL, NULL, 0};
	uintptr_t task = holding->task;

	do {
		sc_enter(&m->lock);
		sc_queue_serve_all(&m->queue, -EOWNERDEAD, &woken);
		at_store_rlx(&m->owner, task); /* nobody waits */
		sc_leave(&m->lock);
	} while (!set_free(m, task));
	sc_wake(&woken);
}

SC_INLINE void hold(struct sc_mutex *m, uintptr_t task, const void *site)
{
	m->holding.task = task;
	m->holding.site = site;
	m->holding.take_back = take_back;
	sc_hold(sc_self(), &m->holding);
}

int sc_mutex_lock(struct sc_mutex *m, uintptr_t task, const void *site, int shielded)
{
	int rc = 0;

	if (SC_UNLIKELY(!take_free(m, task))) {
		struct sc_await await;

		sc_await_init(&await, m, &m->lock, &m->queue, take, task);
		await.shielded = shielded;
		rc = sc_await(&await, SC_IN_MUTEX);
	}
	if (SC_LIKELY(rc == 0))
		hold(m, task, site);
	return rc;
}

static SC_NOINLINE void hand_on(struct sc_mutex *m, uintptr_t task, struct sc_batch *woken)
{
	struct sc_waiter *waiter;

	do {
		sc_enter(&m->lock);
		waiter = sc_queue_claim(&m->queue, woken);
		at_store_rlx(&m->owner,
			     waiter ? waiter->key | (m->queue.first ? WAITED : 0) : task);
		sc_leave(&m->lock);
	} while (!waiter && !set_free(m, task));
}

void sc_mutex_release(struct sc_mutex *m, uintptr_t task, struct sc_batch *woken)
{
	if (SC_UNLIKELY(!set_free(m, task)))
		hand_on(m, task, woken);
}

/* ---- public ------------------------------------------------------------------------- */

int scope_mutex_lock(struct scope_mutex *mutex)
{
	struct sc_worker *worker = sc_self();
	struct sc_mutex *m = sc_mutex(mutex);
	uintptr_t task;
	int rc;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_mutex_lock");
	if (SC_UNLIKELY(sc_is_due(worker)) && (rc = sc_check(worker)) < 0)
		return rc;
	task = sc_task_of(sc_self()->cur);
	if (SC_UNLIKELY(is_mine(m, task)))
		return -EDEADLK;
	return sc_mutex_lock(m, task, __builtin_return_address(0), 0);
}

int scope_mutex_try_lock(struct scope_mutex *mutex)
{
	struct sc_worker *worker = sc_self();
	struct sc_mutex *m = sc_mutex(mutex);
	uintptr_t task;

	if (worker->cur == 0)
		return sc_not_connected("scope_mutex_try_lock");
	task = sc_task_of(worker->cur);
	if (is_mine(m, task))
		return -EDEADLK;
	if (!take_free(m, task))
		return -EBUSY;
	hold(m, task, __builtin_return_address(0));
	return 0;
}

int scope_mutex_unlock(struct scope_mutex *mutex)
{
	struct sc_batch woken = {NULL, NULL, 0};
	struct sc_worker *worker = sc_self();
	struct sc_mutex *m = sc_mutex(mutex);
	uintptr_t task;

	if (SC_UNLIKELY(worker->cur == 0))
		return sc_not_connected("scope_mutex_unlock");
	task = sc_task_of(worker->cur);
	if (SC_UNLIKELY(!is_mine(m, task)))
		return -EPERM;
	sc_give_back(worker, &m->holding);
	sc_mutex_release(m, task, &woken);
	sc_wake(&woken);
	return 0;
}
