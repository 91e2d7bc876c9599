/* runtime/base/atomic.h: every access to a shared word, with the order in the name.
 *
 * The only user of the compiler's atomics.  Under SC_SIM each access is a schedule point
 * of the simulation, before the access takes effect.  SC_MODEL names a header that defines
 * everything here for a model checker, which compiles the sources as C++.
 */
#ifndef SC_BASE_ATOMIC_H
#define SC_BASE_ATOMIC_H

#include "base/base.h"

#ifdef SC_MODEL
#include SC_MODEL
#else

/* A word that is reached through at_ operations, and data that one of them guards. */
#define SC_WORD(type)  type
#define SC_PLAIN(type) type
/* Members of which one at a time is valid; a model keeps them apart. */
#define SC_EITHER(one, other) union { one; other; }
/* A bound, and what is enough of it for a model. */
#define SC_BOUND(shipped, modelled) (shipped)

#ifdef SC_SIM
void sc_sim_point(const void *word);
#define SC_POINT(p) sc_sim_point((const void *)(p))
#else
#define SC_POINT(p) ((void)0)
#endif

#define at_load_rlx(p)      (SC_POINT(p), __atomic_load_n((p), __ATOMIC_RELAXED))
#define at_load_acq(p)      (SC_POINT(p), __atomic_load_n((p), __ATOMIC_ACQUIRE))
#define at_store_rlx(p, v)  (SC_POINT(p), __atomic_store_n((p), (v), __ATOMIC_RELAXED))
#define at_store_rel(p, v)  (SC_POINT(p), __atomic_store_n((p), (v), __ATOMIC_RELEASE))
#define at_add_rlx(p, v)    (SC_POINT(p), __atomic_fetch_add((p), (v), __ATOMIC_RELAXED))
#define at_add_rel(p, v)    (SC_POINT(p), __atomic_fetch_add((p), (v), __ATOMIC_RELEASE))
#define at_add_acqrel(p, v) (SC_POINT(p), __atomic_fetch_add((p), (v), __ATOMIC_ACQ_REL))
#define at_add_sc(p, v)     (SC_POINT(p), __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST))
#define at_sub_rlx(p, v)    (SC_POINT(p), __atomic_fetch_sub((p), (v), __ATOMIC_RELAXED))
#define at_sub_rel(p, v)    (SC_POINT(p), __atomic_fetch_sub((p), (v), __ATOMIC_RELEASE))
#define at_sub_acqrel(p, v) (SC_POINT(p), __atomic_fetch_sub((p), (v), __ATOMIC_ACQ_REL))
#define at_or_rlx(p, v)     (SC_POINT(p), __atomic_fetch_or((p), (v), __ATOMIC_RELAXED))
#define at_or_acq(p, v)     (SC_POINT(p), __atomic_fetch_or((p), (v), __ATOMIC_ACQUIRE))
#define at_or_rel(p, v)     (SC_POINT(p), __atomic_fetch_or((p), (v), __ATOMIC_RELEASE))
#define at_and_rlx(p, v)    (SC_POINT(p), __atomic_fetch_and((p), (v), __ATOMIC_RELAXED))
#define at_and_rel(p, v)    (SC_POINT(p), __atomic_fetch_and((p), (v), __ATOMIC_RELEASE))
#define at_swap_acqrel(p, v) (SC_POINT(p), __atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL))

/* Compare and set: true if *p was *expected (a pointer; updated on failure). */
#define at_cas_rlx(p, expected, v)                                                                 \
	(SC_POINT(p), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_RELAXED,       \
						  __ATOMIC_RELAXED))
#define at_cas_acq(p, expected, v)                                                                 \
	(SC_POINT(p), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQUIRE,       \
						  __ATOMIC_RELAXED))
#define at_cas_rel(p, expected, v)                                                                 \
	(SC_POINT(p), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_RELEASE,       \
						  __ATOMIC_RELAXED))
#define at_cas_acqrel(p, expected, v)                                                              \
	(SC_POINT(p), __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_ACQ_REL,       \
						  __ATOMIC_ACQUIRE))

/* A full fence.  On x86-64 a locked instruction: mfence costs five times as much. */
#if defined(__x86_64__) && !defined(SC_SIM)
#define at_fence_sc() __asm__ volatile("lock; orl $0, -8(%%rsp)" ::: "memory", "cc")
#else
#define at_fence_sc() (SC_POINT(0), __atomic_thread_fence(__ATOMIC_SEQ_CST))
#endif

/* Keeps the order of plain accesses against a signal handler on the same thread. */
#define at_signal_fence() __asm__ volatile("" ::: "memory")

#endif /* SC_MODEL */

#endif
