/* runtime/deque/deque.h: the join deque, private at one end, shared at the other.
 *
 *        0            tail          split           top
 *        | taken ......| exposed .....| private .....| free ...
 *          thieves copy   anyone takes   owner only
 *
 * The owner pushes and pops at `top` with plain accesses while it stays above `split`:
 * no fence, no locked instruction.  Thieves take from `tail`, the oldest first, by one CAS
 * on the word {tail, split} and copy the slots *after* it.  The owner moves `split` up to
 * expose work and down to take it back, by a CAS on the same word.
 *
 *   Order     0 <= tail <= split <= top <= capacity
 *   Reuse     a slot below tail is written again only after sc_deque_reset, which waits
 *             until every claimed slot was copied
 *   ABA       a CAS that succeeds against a word that was left and came back claims the
 *             slots that are exposed now; they are copied after the CAS, so that is right
 *
 * The private part holds only slots of the fiber that runs on the worker: whoever puts the
 * fiber aside exposes everything first.
 *
 * Memory order
 *   [deque.expose]  owner cas_rel(word) in expose -> thief cas_acq(word) in take: who claims
 *                   slot i sees it written.  Other CAS on the word, relaxed or not, are
 *                   read-modify-writes, so they continue the release sequence.
 *   [deque.copied]  thief add_rel(copied) after the copy -> owner load_acq(copied) in
 *                   reset: the owner overwrites a slot only after its thief read it
 *
 * A signal handler on the owner's thread may expose at any instruction.  So the owner's pop
 * stores top first and looks at split afterwards, and operations that move split or reset
 * run with `busy` set, which makes the handler leave a note instead.
 */
#ifndef SC_DEQUE_DEQUE_H
#define SC_DEQUE_DEQUE_H

#include "base/atomic.h"
#include "base/base.h"

/* An unstarted task, by value. */
struct sc_slot {
	int (*fn)(void *arg);
	const void *site; /* return address of the spawn */
	SC_PLAIN(void *) arg;
	SC_PLAIN(void *) scope;
};

/* The owner's end; in the owner's hottest cache line. */
struct sc_bottom {
	SC_WORD(struct sc_slot *) top;   /* owner; others peek, relaxed */
	SC_WORD(struct sc_slot *) lim;   /* owner; anyone stores 0 to call for attention */
	SC_WORD(struct sc_slot *) split; /* owner and its signal handler; others peek, relaxed */
};

struct sc_deque {
	SC_WORD(uint64_t) word;   /* tail in the low half, split in the high half */
	SC_WORD(uint64_t) copied; /* slots that thieves have copied since the reset */
	struct sc_slot *slots;    /* const after start */
	uint32_t capacity;        /* const after start */
	SC_PLAIN(uint32_t) busy;  /* owner: split is being moved, handler stays out */
	SC_PLAIN(uint32_t) asked; /* handler: expose when busy ends */
	uint32_t resets;          /* owner: tells slots of now from slots of before a reset */
};

void sc_deque_init(struct sc_deque *deque, struct sc_bottom *bottom, struct sc_slot *slots,
		   uint32_t capacity);

/* Owner: makes `count` of the oldest private slots stealable (all: UINT32_MAX). */
void sc_deque_expose(struct sc_deque *deque, struct sc_bottom *bottom, uint32_t count);

/* Owner's signal handler: exposes all, or leaves a note; true if it exposed something. */
int sc_deque_expose_async(struct sc_deque *deque, struct sc_bottom *bottom);

/* Owner, nothing private: takes about half of the exposed slots back, none below `floor`.
 * False if every slot at or above floor was taken by thieves. */
int sc_deque_reclaim(struct sc_deque *deque, struct sc_bottom *bottom, struct sc_slot *floor);

/* Owner, nothing private: starts again at slot 0 if all was taken and copied. */
void sc_deque_reset(struct sc_deque *deque, struct sc_bottom *bottom);

/* Anyone: takes up to half of the exposed slots, at most `most`, oldest first; how many. */
unsigned sc_deque_take(struct sc_deque *deque, struct sc_slot *out, unsigned most);

/* Owner: some slot below `floor` is exposed and not taken. */
SC_INLINE int sc_deque_exposed_below(struct sc_deque *deque, struct sc_slot *floor)
{
	uint64_t word = at_load_rlx(&deque->word);
	uint32_t tail = (uint32_t)word;

	return (uint32_t)(word >> 32) > tail && deque->slots + tail < floor;
}

/* Anyone: exposed slots at this moment. */
SC_INLINE uint32_t sc_deque_exposed(struct sc_deque *deque)
{
	uint64_t word = at_load_rlx(&deque->word);
	return (uint32_t)(word >> 32) - (uint32_t)word;
}

#endif
