/* runtime/sched/wait.h: one word decides who ends a wait.
 *
 *   PREPARING --commit--> WAITING
 *       |                    |
 *       +------ claim -------+----> EVENT | CANCEL | TIMEOUT | SHUTDOWN
 *
 * The strand's waiter is published (in a scope, in a wheel) while the word is PREPARING, on
 * the next stack, after the strand's context was saved.  Any number of parties may try to
 * claim; exactly one wins.  Who wins from WAITING continues the strand; who wins from
 * PREPARING leaves that to the committer, who finds its commit refused.  A loser touches
 * nothing more.  The strand itself takes its waiter off every list before it goes on.
 *
 * Memory order
 *   [wait.claim]  cas_acqrel of the claimer <-> cas_acqrel of the committer, or its store_rel if
 *                 nobody can have claimed yet: whoever is second
 *                 continues the strand and sees what the other wrote before.  The strand, once
 *                 continued, is behind both
 */
#ifndef SC_SCHED_WAIT_H
#define SC_SCHED_WAIT_H

#include "sched/worker.h"

SC_INLINE void sc_wait_prepare(struct sc_strand *strand)
{
	struct sc_card *card = sc_card(strand);

	at_store_rlx(&card->waits_softly, 0);
	at_store_rlx(&card->alarm.timer.when, SC_NEVER);
	at_store_rlx(&card->wait, SC_WAIT_PREPARING); /* [wait.again] */
}

/* On the next stack: true if the strand is parked, false if it was claimed already and the
 * caller has to continue it. */
SC_INLINE int sc_wait_commit(struct sc_strand *strand)
{
	struct sc_card *card = sc_card(strand);
	uint32_t seen = SC_WAIT_PREPARING;

	return at_cas_acqrel(&card->wait, &seen, SC_WAIT_WAITING); /* [wait.claim] */
}

/* What a claim found: who won from WAITING has to continue card->strand. */
enum sc_claim { SC_CLAIM_LOST, SC_CLAIM_WON, SC_CLAIM_WON_PARKED };

SC_INLINE enum sc_claim sc_card_try(struct sc_card *card, enum sc_wait outcome)
{
	uint32_t seen = at_load_rlx(&card->wait);

	while (seen == SC_WAIT_PREPARING || seen == SC_WAIT_WAITING) {
		int parked = seen == SC_WAIT_WAITING;

		if (at_cas_acqrel(&card->wait, &seen, (uint32_t)outcome)) /* [wait.claim] */
			return parked ? SC_CLAIM_WON_PARKED : SC_CLAIM_WON;
	}
	return SC_CLAIM_LOST;
}

/* In place of a commit: true if the wait is off, false if it was claimed.  For who claimed under a
 * lock that the caller takes next, by which it sees what that one wrote. */
SC_INLINE int sc_wait_take_back(struct sc_strand *strand)
{
	uint32_t seen = SC_WAIT_PREPARING;

	return at_cas_rlx(&sc_card(strand)->wait, &seen, SC_WAIT_NONE);
}

/* True if the caller won and has to continue card->strand. */
SC_INLINE int sc_card_claim(struct sc_card *card, enum sc_wait outcome)
{
	return sc_card_try(card, outcome) == SC_CLAIM_WON_PARKED;
}

SC_INLINE int sc_wait_claim(struct sc_strand *strand, enum sc_wait outcome)
{
	return sc_card_claim(sc_card(strand), outcome);
}

SC_INLINE enum sc_wait sc_wait_outcome(struct sc_strand *strand)
{
	struct sc_card *card = sc_card(strand);

	return (enum sc_wait)at_load_rlx(&card->wait);
}

#endif
