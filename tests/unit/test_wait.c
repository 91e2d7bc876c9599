/* tests/unit/test_wait.c: the word that decides who ends a wait: one winner, no late one. */
#include "harness.h"

#include "fiber/sanitizer.h"
#include "sched/wait.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

TestSuite(wait, .timeout = 60);

static struct sc_strand strand;
static struct sc_card card;

static const enum sc_wait outcomes[] = {SC_WAIT_EVENT, SC_WAIT_CANCEL, SC_WAIT_TIMEOUT};

static void start(int committed)
{
	sc_wait_prepare(&strand);
	cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_PREPARING);
	if (committed) {
		cr_assert(sc_wait_commit(&strand));
		cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_WAITING);
	}
}

Test(wait, committed_first_the_claimer_continues_it)
{
	int i;

	strand.fiber.card = memset(&card, 0, sizeof(card));
	for (i = 0; i < 3; i++) {
		start(1);
		cr_assert(sc_wait_claim(&strand, outcomes[i]));
		cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
	}
}

Test(wait, claimed_first_the_committer_continues_it)
{
	int i;

	strand.fiber.card = memset(&card, 0, sizeof(card));
	for (i = 0; i < 3; i++) {
		start(0);
		cr_assert(!sc_wait_claim(&strand, outcomes[i]), "left to the committer");
		cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
		cr_assert(!sc_wait_commit(&strand));
		cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
	}
}

Test(wait, the_second_claimer_loses_and_changes_nothing)
{
	int i, j, committed;

	strand.fiber.card = memset(&card, 0, sizeof(card));
	for (committed = 0; committed < 2; committed++) {
		for (i = 0; i < 3; i++) {
			start(committed);
			cr_assert_eq(sc_wait_claim(&strand, outcomes[i]), committed);
			for (j = 0; j < 3; j++)
				cr_assert(!sc_wait_claim(&strand, outcomes[j]));
			cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
			cr_assert(!sc_wait_commit(&strand));
		}
	}
}

Test(wait, nobody_claims_what_does_not_wait)
{
	int i;

	strand.fiber.card = memset(&card, 0, sizeof(card));
	for (i = 0; i < 3; i++) {
		cr_assert(!sc_wait_claim(&strand, outcomes[i]));
		cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_NONE);
	}
}

/* ---- many threads ----------------------------------------------------------------------- */

#ifdef SC_CHECKED
enum { ROUNDS = 3000 };
#else
enum { ROUNDS = 50000 };
#endif
enum { CLAIMERS = 2 };

static uint32_t round_now; /* atomic: the wait with this number is published; 0: the end */
static uint32_t answered;  /* atomic: claimers that have tried in this round */
static uint32_t continued; /* atomic: who has to continue the strand, in this round */
static uint64_t notes[CLAIMERS]; /* the round: written before the claim */

static void *claimer(void *arg)
{
	uintptr_t self = (uintptr_t)arg;
	uint32_t last = 0, now;

	for (;;) {
		while ((now = at_load_acq(&round_now)) == last)
			sched_yield();
		if (now == 0)
			return NULL;
		last = now;
		notes[self] = now;
		/* Who wins hands the strand to a queue, which is a release. */
		at_add_rel(&continued, (uint32_t)sc_wait_claim(&strand, self ? SC_WAIT_CANCEL
									    : SC_WAIT_EVENT));
		at_add_rel(&answered, 1);
	}
}

Test(wait, one_of_two_claimers_wins_and_one_party_continues)
{
	pthread_t thread[CLAIMERS];
	uintptr_t i;
	uint32_t round;

	strand.fiber.card = memset(&card, 0, sizeof(card));
	round_now = 0;
	for (round = 1; round <= ROUNDS; round++) {
		volatile unsigned pause;
		enum sc_wait outcome;
		uint64_t seen;
		int committed;

		sc_wait_prepare(&strand);
		at_store_rlx(&answered, 0);
		at_store_rlx(&continued, 0);
		at_store_rel(&round_now, round);
		if (round == 1)
			for (i = 0; i < CLAIMERS; i++)
				cr_assert_eq(pthread_create(&thread[i], NULL, claimer, (void *)i),
					     0);
		for (pause = 0; pause < round % 200; pause++)
			;
		committed = sc_wait_commit(&strand);
		at_add_rlx(&continued, !committed);
		while ((outcome = sc_wait_outcome(&strand)) <= SC_WAIT_WAITING)
			sched_yield();
		if (outcome != SC_WAIT_EVENT && outcome != SC_WAIT_CANCEL)
			cr_assert_fail("outcome %d", (int)outcome);
		while (!at_load_acq(&continued))
			sched_yield();
		/* What the winner wrote before it claimed is there. [wait.claim] */
		seen = notes[outcome == SC_WAIT_CANCEL];
		while (at_load_acq(&answered) != CLAIMERS)
			sched_yield();
		if (at_load_rlx(&continued) != 1 || sc_wait_outcome(&strand) != outcome ||
		    seen != round)
			cr_assert_fail("round %u: %u parties continue it", round, continued);
	}
	at_store_rel(&round_now, 0);
	for (i = 0; i < CLAIMERS; i++)
		pthread_join(thread[i], NULL);
}
