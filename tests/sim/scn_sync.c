/* tests/sim/scn_sync.c: hand-over against cancel, close and each other: locks, channels, select. */
#include "scn.h"

#include <scope_chan.h>
#include <scope_sync.h>

static const struct scope_spawn_options concurrent = {.flags = SCOPE_CONCURRENT};

static void spawn(struct group *g, struct job *job, int (*body)(struct job *job), void *pointer)
{
	job->pointer = pointer;
	group_spawn_with(g, job, body, &concurrent);
}

/* ---- mutex: the one who is cancelled while it is handed the lock ---------------------- */

struct counted {
	struct scope_mutex mutex;
	unsigned inside, entered;
};

static int body_locks(struct job *job)
{
	struct counted *counted = job->pointer;
	int i, rc;

	for (i = 0; i < 3; i++) {
		rc = scope_mutex_lock(&counted->mutex);
		if (rc == -ECANCELED) {
			job->group->hits++;
			return rc;
		}
		sim_check(rc == 0, "lock gave %d", rc);
		sim_check(++counted->inside == 1, "%u tasks hold a mutex", counted->inside);
		counted->entered++;
		pause_randomly();
		counted->inside--;
		rc = scope_mutex_unlock(&counted->mutex);
		sim_check(rc == 0, "unlock gave %d", rc);
	}
	return 0;
}

static int lock_against_cancel(void *arg)
{
	struct counted counted = {.inside = 0};
	struct job job[4];
	struct group g, cancelled;
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		spawn(&g, &job[i], body_locks, &counted);
	group_open(&cancelled);
	for (; i < 4; i++)
		spawn(&cancelled, &job[i], body_locks, &counted);
	pause_randomly();
	scope_cancel(&cancelled.scope);
	sim_check(group_close(&cancelled) == 0, "an error from nowhere");
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(counted.entered >= 6, "entered %u times", counted.entered);
	/* It was given back by whoever had it last. */
	sim_check(scope_mutex_try_lock(&counted.mutex) == 0, "a mutex that nobody holds is held");
	sim_check(scope_mutex_unlock(&counted.mutex) == 0, "it can't be unlocked");
	return 0;
}

Test(sim, a_mutex_is_handed_on_while_waiters_are_cancelled)
{
	explore("a_mutex_is_handed_on_while_waiters_are_cancelled", lock_against_cancel, 0);
}

/* A task that ends with it beside those who come for it: each gets it or is told. */
static int body_keeps(struct job *job)
{
	int rc = scope_mutex_lock(job->pointer);

	sim_check(rc == 0 || rc == -EOWNERDEAD, "lock gave %d", rc);
	return 0;
}

static int holder_ends(void *arg)
{
	struct scope_options options = {.policy = SCOPE_AWAIT_ALL};
	struct scope_mutex mutex = {{0}};
	struct job job[3];
	struct group g;
	int i, rc;

	(void)arg;
	group_open_with(&g, &options);
	for (i = 0; i < 3; i++)
		spawn(&g, &job[i], body_keeps, &mutex);
	rc = group_close(&g);
	sim_check(rc == -EPROTO, "who ended with a mutex has not failed: %d", rc);
	sim_check(scope_mutex_try_lock(&mutex) == 0, "the mutex of a task that ended is held");
	scope_mutex_unlock(&mutex);
	return 0;
}

Test(sim, holders_of_a_mutex_end_one_after_the_other)
{
	explore("holders_of_a_mutex_end_one_after_the_other", holder_ends, 0);
}

/* ---- condition: no signal is lost between unlocking and waiting ----------------------- */

struct desk {
	struct scope_mutex mutex;
	struct scope_cond cond;
	unsigned papers;
};

static int body_takes(struct job *job)
{
	struct desk *desk = job->pointer;

	sim_check(scope_mutex_lock(&desk->mutex) == 0, "no lock");
	while (desk->papers == 0) {
		int rc = scope_cond_wait(&desk->cond, &desk->mutex);

		sim_check(rc == 0, "wait gave %d", rc);
	}
	desk->papers--;
	sim_check(scope_mutex_unlock(&desk->mutex) == 0, "not locked after a wait");
	return 0;
}

static int body_puts(struct job *job)
{
	struct desk *desk = job->pointer;

	sim_check(scope_mutex_lock(&desk->mutex) == 0, "no lock");
	desk->papers++;
	if (job->number)
		scope_cond_signal(&desk->cond);
	sim_check(scope_mutex_unlock(&desk->mutex) == 0, "not locked");
	if (!job->number)
		scope_cond_signal(&desk->cond);
	return 0;
}

static int signals_arrive(void *arg)
{
	struct desk desk = {.papers = 0};
	struct job job[4];
	struct group g;
	int i;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 4; i++) {
		job[i].number = sim_random(2);
		spawn(&g, &job[i], i % 2 ? body_puts : body_takes, &desk);
	}
	sim_check(group_close(&g) == 0 && desk.papers == 0, "a signal was lost");
	return 0;
}

Test(sim, a_signal_meets_who_is_about_to_wait)
{
	explore("a_signal_meets_who_is_about_to_wait", signals_arrive, 0);
}

/* ---- barrier: a cancel takes nobody along --------------------------------------------- */

struct meeting {
	struct scope_barrier barrier;
	unsigned passed, left;
};

static int body_meets(struct job *job)
{
	struct meeting *meeting = job->pointer;
	int rc = scope_barrier_wait(&meeting->barrier);

	if (rc == -ECANCELED)
		meeting->left++;
	else
		meeting->passed++;
	return rc == -ECANCELED ? rc : 0;
}

static int meet_against_cancel(void *arg)
{
	struct meeting meeting = {.passed = 0};
	struct job job[3];
	struct group g;
	int i;

	(void)arg;
	scope_barrier_init(&meeting.barrier, 2);
	group_open(&g);
	for (i = 0; i < 3; i++)
		spawn(&g, &job[i], body_meets, &meeting);
	pause_randomly();
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(meeting.passed % 2 == 0 && meeting.passed + meeting.left == 3,
		  "%u of 3 passed a barrier for 2, %u left", meeting.passed, meeting.left);
	return 0;
}

Test(sim, a_barrier_opens_beside_a_cancel)
{
	explore("a_barrier_opens_beside_a_cancel", meet_against_cancel, 0);
}

/* ---- channels ------------------------------------------------------------------------- */

struct pipe {
	struct scope_chan *chan, *other;
	uint64_t sent, received; /* sums of different powers of two */
};

static int body_sends(struct job *job)
{
	struct pipe *pipe = job->pointer;
	uint64_t item = job->number;
	int rc = scope_chan_send(pipe->chan, &item);

	if (rc == 0)
		pipe->sent += item;
	sim_check(rc == 0 || rc == -EPIPE || rc == -ECANCELED, "send gave %d", rc);
	return rc == -ECANCELED ? rc : 0;
}

static int body_receives(struct job *job)
{
	struct pipe *pipe = job->pointer;
	uint64_t item = 0;
	int rc = scope_chan_recv(pipe->chan, &item);

	if (rc == 0)
		pipe->received += item;
	sim_check(rc == 0 || rc == -EPIPE || rc == -ECANCELED, "recv gave %d", rc);
	sim_check((rc == 0) == (item != 0), "recv gave %d and wrote", rc);
	return rc == -ECANCELED ? rc : 0;
}

/* What was sent was received or is in the channel, whatever ended the others. */
static int pipe_against(void (*end)(struct pipe *pipe, struct group *g))
{
	struct pipe pipe = {.sent = 0};
	uint64_t item;
	struct job job[5];
	struct group g;
	int i;

	sim_check(scope_chan_new(sizeof item, (size_t)sim_random(3), NULL, &pipe.chan) == 0,
		  "no channel");
	group_open(&g);
	for (i = 0; i < 5; i++) {
		job[i].number = UINT64_C(1) << i;
		spawn(&g, &job[i], i % 2 ? body_receives : body_sends, &pipe);
	}
	pause_randomly();
	end(&pipe, &g);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	while (scope_chan_try_recv(pipe.chan, &item) == 0)
		pipe.received += item;
	sim_check(pipe.sent == pipe.received, "sent %#llx, received %#llx",
		  (unsigned long long)pipe.sent, (unsigned long long)pipe.received);
	scope_chan_free(pipe.chan);
	return 0;
}

static void cancel_it(struct pipe *pipe, struct group *g)
{
	(void)pipe;
	scope_cancel(&g->scope);
}

static void close_it(struct pipe *pipe, struct group *g)
{
	(void)g;
	sim_check(scope_chan_close(pipe->chan) == 0, "closed before");
}

static int pipe_against_cancel(void *arg)
{
	(void)arg;
	return pipe_against(cancel_it);
}

static int pipe_against_close(void *arg)
{
	(void)arg;
	return pipe_against(close_it);
}

Test(sim, a_cancel_races_items_that_are_handed_over)
{
	explore("a_cancel_races_items_that_are_handed_over", pipe_against_cancel, 0);
}

Test(sim, a_close_races_items_that_are_handed_over)
{
	explore("a_close_races_items_that_are_handed_over", pipe_against_close, 0);
}

/* ---- select --------------------------------------------------------------------------- */

/* Sends or receives at either channel, whatever is first. */
static int body_selects(struct job *job)
{
	struct pipe *pipe = job->pointer;
	uint64_t out = job->number, in[2] = {0, 0};
	struct scope_case cases[4] = {
		{.kind = SCOPE_CASE_SEND, .object = pipe->chan, .item = &out},
		{.kind = SCOPE_CASE_RECV, .object = pipe->chan, .item = &in[0]},
		{.kind = SCOPE_CASE_RECV, .object = pipe->other, .item = &in[1]},
		{.kind = SCOPE_CASE_SEND, .object = pipe->other, .item = &out}};
	int rc = scope_select_until(cases, 4, 0, SCOPE_NEVER);

	sim_check(rc == -ECANCELED || (rc >= 0 && rc < 4 && cases[rc].result == 0),
		  "select gave %d", rc);
	sim_check((in[0] != 0) == (rc == 1) && (in[1] != 0) == (rc == 2),
		  "select gave %d and received %llu, %llu", rc, (unsigned long long)in[0],
		  (unsigned long long)in[1]);
	if (rc == 0 || rc == 3)
		pipe->sent += out;
	else if (rc > 0)
		pipe->received += in[rc - 1];
	return rc == -ECANCELED ? rc : 0;
}

static int select_against_select(void *arg)
{
	struct pipe pipe = {.sent = 0};
	struct job job[5];
	struct group g;
	int i;

	(void)arg;
	sim_check(scope_chan_new(sizeof pipe.sent, 0, NULL, &pipe.chan) == 0, "no channel");
	sim_check(scope_chan_new(sizeof pipe.sent, 0, NULL, &pipe.other) == 0, "no channel");
	group_open(&g);
	for (i = 0; i < 5; i++) {
		job[i].number = UINT64_C(1) << i;
		spawn(&g, &job[i], i == 4 ? body_receives : body_selects, &pipe);
	}
	/* Five at unbuffered channels: two pairs meet, one is left. */
	while (scope_wait_until(&g.scope, 0) == -ETIMEDOUT &&
	       (pipe.received < 1 || sim_random(20)))
		scope_yield();
	scope_cancel(&g.scope);
	sim_check(group_close(&g) == 0, "an error from nowhere");
	sim_check(pipe.sent == pipe.received && pipe.sent, "sent %#llx, received %#llx",
		  (unsigned long long)pipe.sent, (unsigned long long)pipe.received);
	scope_chan_free(pipe.chan);
	scope_chan_free(pipe.other);
	return 0;
}

Test(sim, selects_meet_at_two_channels)
{
	explore("selects_meet_at_two_channels", select_against_select, 0);
}

/* Many things happen at once to one select: an event, a deadline, the end of a scope, a cancel. */
static int body_sets(struct job *job)
{
	scope_event_set(job->pointer);
	return 0;
}

static int many_reasons(void *arg)
{
	struct scope_event event = {{0}};
	struct job job[2];
	struct group outer, g;
	struct scope_case cases[3] = {
		{.kind = SCOPE_CASE_EVENT, .object = &event},
		{.kind = SCOPE_CASE_DEADLINE,
		 .deadline_ns = scope_now() + (int64_t)sim_random(2000)},
		{.kind = SCOPE_CASE_END, .object = &g.scope}};
	int rc;

	(void)arg;
	group_open(&outer);
	group_open(&g);
	spawn(&g, &job[0], body_sets, &event);
	spawn(&outer, &job[1], body_cancel, &outer);
	rc = scope_select_until(cases, 3, 0, SCOPE_NEVER);
	sim_check(rc == -ECANCELED || (rc >= 0 && rc < 3 && cases[rc].result == 0),
		  "select gave %d", rc);
	sim_check(rc != 2 || g.ended == 1, "the end of a scope that has a task");
	sim_check(rc != 0 || scope_event_is_set(&event), "an event that was not set");
	if (rc == -ECANCELED)
		sim_check(scope_checkpoint() == -ECANCELED, "a cancel went away");
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	sim_check(group_close(&outer) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_select_has_many_reasons_to_go_on)
{
	explore("a_select_has_many_reasons_to_go_on", many_reasons, WITH_TIMERS);
}
