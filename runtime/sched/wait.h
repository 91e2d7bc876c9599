/* runtime/sched/wait.h: one word decides who ends a wait.
 *
 *   PREPARING --commit--> WAITING
 *       |                    |
 *       +------ claim -------+----> EVENT | CANCEL | TIMEOUT
 *
 * The strand's waiter is published (in a scope, in a wheel) while the word is PREPARING, on
 * the next stack, after the strand's context was saved.  Any number of parties may try to
 * claim; exactly one wins.  Who wins from WAITING continues the strand; who wins from
 * PREPARING leaves that to the committer, who finds its commit refused.  A loser touches
 * nothing more.  The strand itself takes its waiter off every list before it goes on.
 *
 * Memory order
 *   [wait.claim]  cas_acqrel of the claimer -> cas_acqrel of the committer, or the strand's
 *                 own load_acq after it was continued: it sees what the claimer wrote before
 */
#ifndef SC_SCHED_WAIT_H
#define SC_SCHED_WAIT_H

#include "sched/worker.h"

enum { SC_WAIT_BITS = 3, SC_WAIT_MASK = (1 << SC_WAIT_BITS) - 1 };

/* Starts a wait; its generation, so that a late claimer can't hit the next one. */
SC_INLINE uint32_t sc_wait_prepare(struct sc_strand *strand)
{
	uint32_t generation = (at_load_rlx(&strand->wait) | SC_WAIT_MASK) + 1;

	at_store_rlx(&strand->wait, generation | SC_WAIT_PREPARING);
	return generation;
}

/* On the next stack: true if the strand is parked, false if it was claimed already and the
 * caller has to continue it. */
SC_INLINE int sc_wait_commit(struct sc_strand *strand)
{
	uint32_t seen = at_load_rlx(&strand->wait);

	if ((seen & SC_WAIT_MASK) != SC_WAIT_PREPARING)
		return 0;
	return at_cas_acqrel(&strand->wait, &seen, (seen & ~(uint32_t)SC_WAIT_MASK) | SC_WAIT_WAITING); /* [wait.claim] */
}

enum { SC_CLAIM_LOST, SC_CLAIM_WON, SC_CLAIM_LEFT };

/* WON: the caller has to continue the strand.  LEFT: it won too, the committer continues. */
SC_INLINE int sc_wait_claim_one(struct sc_strand *strand, uint32_t generation, enum sc_wait outcome)
{
	uint32_t seen = generation | SC_WAIT_WAITING;

	if (at_cas_acqrel(&strand->wait, &seen, generation | (uint32_t)outcome)) /* [wait.claim] */
		return SC_CLAIM_WON;
	while (seen == (generation | SC_WAIT_PREPARING) || seen == (generation | SC_WAIT_WAITING)) {
		int won = seen == (generation | SC_WAIT_WAITING) ? SC_CLAIM_WON : SC_CLAIM_LEFT;

		if (at_cas_acqrel(&strand->wait, &seen, generation | (uint32_t)outcome)) /* [wait.claim] */
			return won;
	}
	return SC_CLAIM_LOST;
}

/* For who holds a lock that keeps the strand's present wait from ending: true if the caller
 * won and has to continue the strand. */
SC_INLINE int sc_wait_claim(struct sc_strand *strand, enum sc_wait outcome)
{
	uint32_t generation = at_load_rlx(&strand->wait) & ~(uint32_t)SC_WAIT_MASK;

	return sc_wait_claim_one(strand, generation, outcome) == SC_CLAIM_WON;
}

SC_INLINE enum sc_wait sc_wait_outcome(struct sc_strand *strand)
{
	return (enum sc_wait)(at_load_acq(&strand->wait) & SC_WAIT_MASK); /* [wait.claim] */
}

#endif
