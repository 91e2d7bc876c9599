/* tests/sim/scn_free.c: locks whose memory goes as soon as nobody needs them. */
#include "scn.h"

#include <scope_sync.h>
#include <string.h>

/* Memory that was given back: nobody writes to it any more. */
static void watch(void *memory, size_t size)
{
	const unsigned char *byte = memory;
	size_t i;

	memset(memory, 0xee, size);
	pause_randomly();
	scope_yield();
	for (i = 0; i < size; i++)
		sim_check(byte[i] == 0xee, "byte %zu was written to", i);
}

/* ---- a mutex in what it guards ----------------------------------------------------------- */

struct shared {
	struct scope_mutex mutex;
	unsigned users;
	bool locked, cancelled;
};

/* The last one to leave frees it. */
static void leave(struct shared *shared)
{
	int last = --shared->users == 0;

	sim_check(scope_mutex_unlock(&shared->mutex) == 0, "not unlocked");
	if (last)
		watch(shared, sizeof *shared);
}

/* Who waited for it was cancelled: there is nobody to hand it to. */
static int hold_until_cancelled(struct job *job)
{
	struct shared *shared = job->pointer;

	sim_check(scope_mutex_lock(&shared->mutex) == 0, "not locked");
	shared->locked = true;
	while (!shared->cancelled)
		scope_yield();
	leave(shared);
	return 0;
}

static int wait_for_it(struct job *job)
{
	struct shared *shared = job->pointer;

	sim_check(scope_mutex_lock(&shared->mutex) == -ECANCELED, "locked");
	return 0;
}

static int cancel_and_lock(struct job *job)
{
	struct shared *shared = job->pointer;
	struct job other = {.pointer = shared};
	struct group g;

	while (!shared->locked)
		scope_yield();
	group_open(&g);
	group_spawn(&g, &other, wait_for_it);
	scope_yield();
	scope_cancel(&g.scope);
	group_close(&g);
	shared->cancelled = true;
	pause_randomly();
	sim_check(scope_mutex_lock(&shared->mutex) == 0, "not locked");
	leave(shared);
	return 0;
}

static int use_and_free(void *arg)
{
	struct shared shared = {.users = 2};
	struct job job[2];
	struct group g;

	(void)arg;
	job[0].pointer = job[1].pointer = &shared;
	group_open(&g);
	group_spawn(&g, &job[0], hold_until_cancelled);
	group_spawn(&g, &job[1], cancel_and_lock);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, X6_a_mutex_may_be_freed_by_the_next_who_unlocks_it)
{
	explore("X6_a_mutex_may_be_freed_by_the_next_who_unlocks_it", use_and_free, PARALLEL);
}

/* ---- an event in the frame of who waits -------------------------------------------------- */

static int set_it(struct job *job)
{
	scope_event_set(job->pointer);
	return 0;
}

static int wait_and_forget(void *arg)
{
	struct scope_event event = {{0}};
	struct job job = {.pointer = &event};
	struct group g;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &job, set_it);
	pause_randomly();
	sim_check(scope_event_wait(&event) == 0, "not set");
	watch(&event, sizeof event);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	return 0;
}

Test(sim, an_event_may_be_freed_by_who_waited_for_it)
{
	explore("an_event_may_be_freed_by_who_waited_for_it", wait_and_forget, PARALLEL);
}
