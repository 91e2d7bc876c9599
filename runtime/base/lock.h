/* runtime/base/lock.h: a small spin lock for sections of a few dozen instructions.
 *
 * Memory order
 *   [lock.hold]  cas_acq in take -> store_rel in drop: what it guards belongs to the holder.
 *                store_rel in drop -> load_acq of who only has to know that the holder left
 */
#ifndef SC_BASE_LOCK_H
#define SC_BASE_LOCK_H

#include "base/atomic.h"

struct sc_lock {
	SC_WORD(uint32_t) word; /* 0 free, 1 held */
};

/* One turn of waiting; installed by who starts the runtime (it may give the CPU away). */
extern void (*sc_relax)(unsigned turn);

SC_INLINE void sc_lock_take(struct sc_lock *lock)
{
	uint32_t expected = 0;
	unsigned turn = 0;

	while (!at_cas_acq(&lock->word, &expected, 1)) { /* [lock.hold] */
		expected = 0;
		sc_relax(turn++);
	}
}

SC_INLINE void sc_lock_drop(struct sc_lock *lock)
{
	at_store_rel(&lock->word, 0); /* [lock.hold] */
}

/* Whether nobody holds it; then who held it before has left what it guards [lock.hold]. */
SC_INLINE int sc_lock_is_free(struct sc_lock *lock)
{
	return at_load_acq(&lock->word) == 0; /* [lock.hold] */
}

#endif
