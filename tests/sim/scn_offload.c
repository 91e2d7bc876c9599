/* tests/sim/scn_offload.c: offloaded calls that end while they are cancelled: B1, B2, B3. */
#include "scn.h"

#include <scope_offload.h>

/* A call and what became of it; lives in the root task's frame, so as long as the run. */
struct outcome {
	const struct scope_offload_options *options;
	unsigned ran, dropped;
	int returned, dropped_result;
};

static int blocking(void *arg)
{
	struct outcome *outcome = arg;

	sim_check(++outcome->ran == 1, "a call runs %u times", outcome->ran);
	pause_randomly();
	return 7;
}

static void drop(void *arg, int result)
{
	struct outcome *outcome = arg;

	sim_check(++outcome->dropped == 1, "a call is dropped %u times", outcome->dropped);
	outcome->dropped_result = result;
}

static int body_offload(struct job *job)
{
	struct outcome *outcome = job->pointer;

	outcome->returned = scope_offload(blocking, outcome, outcome->options);
	if (outcome->returned == -ECANCELED)
		sim_check(scope_checkpoint() == -ECANCELED, "a cancel went away");
	return outcome->returned == -ECANCELED || outcome->returned == -EAGAIN ? outcome->returned
									       : 0;
}

/* One call for each mode; the owner cancels at any time. */
static void offload_and_cancel(const struct scope_offload_options *options, struct outcome *outcome,
			       unsigned count)
{
	struct job job[4];
	struct group g;
	unsigned i;
	int rc;

	group_open(&g);
	for (i = 0; i < count; i++) {
		outcome[i] = (struct outcome){.options = options};
		job[i].pointer = &outcome[i];
		group_spawn_with(&g, &job[i], body_offload,
				 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
	}
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	scope_cancel(&g.scope);
	rc = group_close(&g);
	sim_check(rc == 0, "close gave %d", rc);
}

static int finish_against_cancel(void *arg)
{
	struct outcome outcome[3];
	unsigned i;

	(void)arg;
	offload_and_cancel(NULL, outcome, 3);
	for (i = 0; i < 3; i++)
		if (outcome[i].returned == -ECANCELED)
			sim_check(outcome[i].ran == 0, "a call ran and its result was lost");
		else
			sim_check(outcome[i].ran == 1 && outcome[i].returned == 7,
				  "a call gave %d", outcome[i].returned);
	return 0;
}

Test(sim, an_offloaded_call_ends_while_it_is_cancelled)
{
	explore("an_offloaded_call_ends_while_it_is_cancelled", finish_against_cancel, 0);
}

static struct outcome abandoned[3]; /* the calls may outlive the root task */

static int abandon_against_finish(void *arg)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_ABANDON,
							     .drop = drop};
	(void)arg;
	offload_and_cancel(&options, abandoned, 3);
	return 0;
}

/* When the run has ended, so have the calls: they do not take a second. */
static void abandon(void *arg)
{
	struct scope_config config = {.stack_size = 64 << 10,
				      .flags = SCOPE_NO_SIGNALS,
				      .workers = 1 + (unsigned)sim_random(2),
				      .orphan_grace_ns = SCOPE_NEVER};
	int rc = scope_run(abandon_against_finish, arg, &config);
	unsigned i;

	sim_check(rc == 0, "scope_run gave %d", rc);
	for (i = 0; i < 3; i++) {
		struct outcome *outcome = &abandoned[i];

		if (outcome->returned == 7)
			sim_check(outcome->ran == 1 && outcome->dropped == 0, "result dropped");
		else
			sim_check(outcome->dropped == 1 &&
					  outcome->dropped_result ==
						  (outcome->ran ? 7 : -ECANCELED),
				  "dropped %u times with %d", outcome->dropped,
				  outcome->dropped_result);
	}
}

Test(sim, an_abandoned_call_races_the_end_of_the_run)
{
	sim_explore("an_abandoned_call_races_the_end_of_the_run", abandon, NULL);
}

static unsigned interrupts;

static void interrupt(void *arg)
{
	struct outcome *outcome = arg;

	sim_check(outcome->ran == 1, "a call that does not run is interrupted");
	interrupts++;
}

static int interrupt_against_finish(void *arg)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_INTERRUPT,
							     .interrupt_fn = interrupt};
	struct outcome outcome[2];
	unsigned i;

	(void)arg;
	interrupts = 0;
	offload_and_cancel(&options, outcome, 2);
	for (i = 0; i < 2; i++)
		sim_check(outcome[i].returned == (outcome[i].ran ? 7 : -ECANCELED),
			  "a call gave %d", outcome[i].returned);
	sim_check(interrupts <= 2, "%u interrupts", interrupts);
	return 0;
}

Test(sim, an_offloaded_call_ends_while_it_is_interrupted)
{
	explore("an_offloaded_call_ends_while_it_is_interrupted", interrupt_against_finish, 0);
}

/* The start of the nth thing fails: a thread, or memory for one.  Some call may run all the
 * same, on a thread that another started. */
static int refused_threads(void *arg)
{
	struct outcome outcome[3];
	struct group g;
	struct job job[3];
	unsigned i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		outcome[i] = (struct outcome){0};
		job[i].pointer = &outcome[i];
		group_spawn(&g, &job[i], body_offload);
	}
	sim_refuse(1 + sim_random(6), sim_random(2));
	scope_wait_until(&g.scope, SCOPE_NEVER);
	sim_refuse(0, false);
	group_close(&g);
	for (i = 0; i < 3; i++)
		if (outcome[i].ran)
			sim_check(outcome[i].returned == 7, "a call gave %d", outcome[i].returned);
	return 0;
}

Test(sim, a_call_is_refused_while_no_thread_can_be_started)
{
	explore("a_call_is_refused_while_no_thread_can_be_started", refused_threads, WITH_TIMERS);
}
