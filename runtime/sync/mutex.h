/* runtime/sync/mutex.h: the inside of struct scope_mutex, for mutex.c and cond.c.
 *
 * The word `owner` is the task that holds the mutex (sc_task_of), or 0, and WAITED if there may be
 * waiters.  Locking a free one and unlocking one that nobody waits for is one step on that word;
 * under WAITED it changes only with the lock held, and goes from hand to hand.  If all who waited
 * were cancelled WAITED goes, the lock is dropped, and then it is unlocked in that one step: the
 * next who has it may free its memory, so that is the last access.
 *
 * Memory order
 *   [mutex.hold]  cas_rel(owner) of who unlocks -> cas_acq(owner) of who locks next: what the
 *                 mutex guards.  From hand to hand the wait's claim orders
 */
#ifndef SC_SYNC_MUTEX_H
#define SC_SYNC_MUTEX_H

#include "scope/held.h"
#include "sync/queue.h"
#include <scope_sync.h>

struct sc_mutex {
	SC_WORD(uintptr_t) owner;
	struct sc_lock lock;
	struct sc_queue queue;     /* key: the task */
	struct sc_holding holding; /* owner */
};
_Static_assert(sizeof(struct sc_mutex) <= sizeof(struct scope_mutex), "a mutex fits");

SC_INLINE struct sc_mutex *sc_mutex(struct scope_mutex *mutex)
{
	return (struct sc_mutex *)mutex;
}

int sc_mutex_is_mine(struct sc_mutex *m, uintptr_t task);
/* Locks it for the running task, which does not hold it: 0, what sc_await returns, -EOWNERDEAD. */
int sc_mutex_lock(struct sc_mutex *m, uintptr_t task, const void *site, int shielded);
/* The task has given it back (sc_give_back): frees it or hands it on. */
void sc_mutex_release(struct sc_mutex *m, uintptr_t task, struct sc_batch *woken);

#endif
