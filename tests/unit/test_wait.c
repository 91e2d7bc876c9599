/* tests/unit/test_wait.c: the word that decides who ends a wait: one winner, no late one. */
#include "harness.h"

#include "fiber/sanitizer.h"
#include "sched/wait.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

TestSuite(wait, .timeout = 60);

static struct sc_strand strand;

static const enum sc_wait outcomes[] = {SC_WAIT_EVENT, SC_WAIT_CANCEL, SC_WAIT_TIMEOUT};

Test(wait, committed_first_the_claimer_continues_it)
{
	uint32_t generation;
	int i;

	memset(&strand, 0, sizeof(strand));
	for (i = 0; i < 3; i++) {
		generation = sc_wait_prepare(&strand);
		cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_PREPARING);
		cr_assert(sc_wait_commit(&strand));
		cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_WAITING);
		cr_assert_eq(sc_wait_claim_one(&strand, generation, outcomes[i]), SC_CLAIM_WON);
		cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
	}
}

Test(wait, claimed_first_the_committer_continues_it)
{
	uint32_t generation;
	int i;

	memset(&strand, 0, sizeof(strand));
	for (i = 0; i < 3; i++) {
		generation = sc_wait_prepare(&strand);
		cr_assert_eq(sc_wait_claim_one(&strand, generation, outcomes[i]), SC_CLAIM_LEFT);
		cr_assert(!sc_wait_commit(&strand));
		cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
	}
}

Test(wait, the_second_claimer_loses_and_changes_nothing)
{
	uint32_t generation;
	int i, j, early;

	memset(&strand, 0, sizeof(strand));
	for (early = 0; early < 2; early++) {
		for (i = 0; i < 3; i++) {
			generation = sc_wait_prepare(&strand);
			if (!early)
				cr_assert(sc_wait_commit(&strand));
			cr_assert_neq(sc_wait_claim_one(&strand, generation, outcomes[i]),
				      SC_CLAIM_LOST);
			for (j = 0; j < 3; j++)
				cr_assert_eq(sc_wait_claim_one(&strand, generation, outcomes[j]),
					     SC_CLAIM_LOST);
			cr_assert_eq(sc_wait_outcome(&strand), outcomes[i]);
		}
	}
}

Test(wait, a_late_claimer_misses_the_next_wait)
{
	uint32_t before, generation;

	memset(&strand, 0, sizeof(strand));
	before = sc_wait_prepare(&strand);
	cr_assert(sc_wait_commit(&strand));
	cr_assert_eq(sc_wait_claim_one(&strand, before, SC_WAIT_EVENT), SC_CLAIM_WON);
	generation = sc_wait_prepare(&strand);
	cr_assert_neq(before, generation);
	cr_assert_eq(sc_wait_claim_one(&strand, before, SC_WAIT_CANCEL), SC_CLAIM_LOST);
	cr_assert(sc_wait_commit(&strand));
	cr_assert_eq(sc_wait_claim_one(&strand, before, SC_WAIT_CANCEL), SC_CLAIM_LOST);
	cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_WAITING);
	cr_assert(sc_wait_claim(&strand, SC_WAIT_TIMEOUT));
	cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_TIMEOUT);
}

Test(wait, generations_wrap)
{
	uint32_t generation;
	int i;

	memset(&strand, 0, sizeof(strand));
	strand.wait = UINT32_MAX - 3 * (SC_WAIT_MASK + 1);
	for (i = 0; i < 8; i++) {
		generation = sc_wait_prepare(&strand);
		cr_assert_eq(generation & SC_WAIT_MASK, 0);
		cr_assert(sc_wait_commit(&strand));
		cr_assert_eq(sc_wait_claim_one(&strand, generation, SC_WAIT_EVENT), SC_CLAIM_WON);
	}
}

Test(wait, under_a_lock_a_claim_tells_whether_to_continue)
{
	memset(&strand, 0, sizeof(strand));
	sc_wait_prepare(&strand);
	cr_assert(sc_wait_commit(&strand));
	cr_assert(sc_wait_claim(&strand, SC_WAIT_CANCEL));
	cr_assert(!sc_wait_claim(&strand, SC_WAIT_TIMEOUT));
	sc_wait_prepare(&strand);
	cr_assert(!sc_wait_claim(&strand, SC_WAIT_CANCEL), "left to the committer");
	cr_assert(!sc_wait_commit(&strand));
	cr_assert_eq(sc_wait_outcome(&strand), SC_WAIT_CANCEL);
}

/* ---- many threads ----------------------------------------------------------------------- */

#ifdef SC_CHECKED
enum { ROUNDS = 3000 };
#else
enum { ROUNDS = 50000 };
#endif
enum { CLAIMERS = 2 };

static uint32_t round_now;  /* atomic: the wait with this number is published; 0: the end */
static uint32_t generation; /* of that wait */
static uint32_t answered;   /* atomic: claimers that have tried in this round */
static uint32_t winners;    /* atomic: claims that were not lost, in this round */
static uint32_t continued;  /* atomic: who has to continue the strand, in this round */
static uint64_t notes[CLAIMERS]; /* the round: written before the claim */

static void *claimer(void *arg)
{
	uintptr_t self = (uintptr_t)arg;
	uint32_t last = 0, now;
	int claim;

	for (;;) {
		while ((now = at_load_acq(&round_now)) == last)
			sched_yield();
		if (now == 0)
			return NULL;
		last = now;
		notes[self] = now;
		claim = sc_wait_claim_one(&strand, generation,
					  self ? SC_WAIT_CANCEL : SC_WAIT_EVENT);
		at_add_rlx(&winners, claim != SC_CLAIM_LOST);
		at_add_rlx(&continued, claim == SC_CLAIM_WON);
		at_add_rel(&answered, 1);
	}
}

Test(wait, one_of_two_claimers_wins_and_one_party_continues)
{
	pthread_t thread[CLAIMERS];
	uintptr_t i;
	uint32_t round;

	memset(&strand, 0, sizeof(strand));
	round_now = 0;
	for (round = 1; round <= ROUNDS; round++) {
		volatile unsigned pause;
		enum sc_wait outcome;
		uint64_t seen;
		int committed;

		generation = sc_wait_prepare(&strand);
		at_store_rlx(&answered, 0);
		at_store_rlx(&winners, 0);
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
		/* What the winner wrote before it claimed is there. [wait.claim] */
		seen = notes[outcome == SC_WAIT_CANCEL];
		while (at_load_acq(&answered) != CLAIMERS)
			sched_yield();
		if (at_load_rlx(&winners) != 1 || at_load_rlx(&continued) != 1 || seen != round)
			cr_assert_fail("round %u: %u winners, %u continue it", round, winners,
				       continued);
	}
	at_store_rel(&round_now, 0);
	for (i = 0; i < CLAIMERS; i++)
		pthread_join(thread[i], NULL);
}
