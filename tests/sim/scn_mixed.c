/* tests/sim/scn_mixed.c: all kinds of locks and channels at random, beside cancels: X1 to X6. */
#include "scn.h"

#include <scope_chan.h>
#include <scope_ref.h>
#include <scope_sync.h>

enum { WORKERS = 4, TURNS = 5, PERMITS = 2 };

/* What the tasks share, and what must be true of it. */
static struct things {
	struct scope_mutex mutex;
	struct scope_cond cond;
	struct scope_rwlock rwlock;
	struct scope_semaphore semaphore;
	struct scope_event event;
	struct scope_barrier barrier;
	struct scope_parker parker;
	struct scope_chan *chan[2];
	int holders, writers, readers, permits;
	uint64_t sent, received;
} *t;

static void check(int rc, int other)
{
	sim_check(rc == 0 || rc == -ECANCELED || rc == -ESHUTDOWN || rc == other,
		  "a call gave %d", rc);
}

static void unlocked(int rc)
{
	sim_check(rc == 0, "unlock gave %d", rc);
}

static void pause_a_little(void)
{
	if (sim_random(2))
		sim_point();
	if (sim_random(4) == 0)
		scope_yield();
}

static void hold(void)
{
	sim_check(t->holders++ == 0, "two hold the mutex");
	pause_a_little();
	t->holders--;
}

/* May end with it. */
static void use_mutex(bool forgetful)
{
	int rc = scope_mutex_lock(&t->mutex);

	check(rc, -EOWNERDEAD);
	if (rc)
		return;
	hold();
	if (sim_random(3) == 0) {
		check(scope_cond_wait(&t->cond, &t->mutex), -EOWNERDEAD);
		hold();
	}
	if (forgetful && sim_random(3) == 0)
		return;
	unlocked(scope_mutex_unlock(&t->mutex));
}

static void use_rwlock(void)
{
	int rc;

	if (sim_random(2)) {
		rc = scope_rwlock_lock(&t->rwlock);
		check(rc, 0);
		if (rc)
			return;
		sim_check(t->writers++ == 0 && t->readers == 0, "a writer is not alone");
		pause_a_little();
		t->writers--;
		unlocked(scope_rwlock_unlock(&t->rwlock));
	} else {
		rc = scope_rwlock_lock_shared(&t->rwlock);
		check(rc, 0);
		if (rc)
			return;
		sim_check(t->writers == 0, "a reader beside a writer");
		t->readers++;
		pause_a_little();
		t->readers--;
		unlocked(scope_rwlock_unlock_shared(&t->rwlock));
	}
}

static void use_semaphore(void)
{
	int rc = scope_semaphore_acquire(&t->semaphore);

	check(rc, 0);
	if (rc)
		return;
	sim_check(++t->permits <= PERMITS, "%d permits of %d", t->permits, PERMITS);
	pause_a_little();
	t->permits--;
	sim_check(scope_semaphore_release(&t->semaphore) == 0, "not released");
}

static void use_channel(void)
{
	struct scope_chan *chan = t->chan[sim_random(2)];
	uint64_t item = 1 + sim_random(1000);
	int64_t until = sim_random(2) ? SCOPE_NEVER : scope_now() + (int64_t)sim_random(2000);
	int rc;

	if (sim_random(2)) {
		rc = scope_chan_send_until(chan, &item, until);
		t->sent += rc == 0 ? item : 0;
	} else {
		rc = scope_chan_recv_until(chan, &item, until);
		t->received += rc == 0 ? item : 0;
	}
	check(rc, -ETIMEDOUT);
}

static void use_select(void)
{
	uint64_t out = 1 + sim_random(1000), in = 0;
	struct scope_case cases[3] = {
		{.kind = SCOPE_CASE_SEND, .object = t->chan[0], .item = &out},
		{.kind = SCOPE_CASE_RECV, .object = t->chan[1], .item = &in},
		{.kind = SCOPE_CASE_EVENT, .object = &t->event},
	};
	int64_t until = sim_random(2) ? SCOPE_NEVER : scope_now() + (int64_t)sim_random(2000);
	int rc;

	if (sim_random(2)) {
		cases[0].object = t->chan[1];
		cases[1].object = t->chan[0];
	}
	rc = scope_select_until(cases, 3, 0, until);
	t->sent += rc == 0 ? out : 0;
	t->received += rc == 1 ? in : 0;
	sim_check(rc < 3, "select gave %d", rc);
	check(rc < 0 ? rc : 0, -ETIMEDOUT);
}

/* `g` is the innermost. */
static void wait_for_end(struct group *g)
{
	uint64_t in = 0;
	struct scope_case cases[4] = {
		{.kind = SCOPE_CASE_END, .object = &g->scope},
		{.kind = SCOPE_CASE_RECV, .object = t->chan[sim_random(2)], .item = &in},
		{.kind = SCOPE_CASE_DEADLINE, .deadline_ns = scope_now() + 1000},
		{.kind = SCOPE_CASE_SHUTDOWN},
	};
	int rc = scope_select_until(cases, 4, 0, SCOPE_NEVER);

	check(rc < 0 ? rc : 0, 0);
	sim_check(rc != 0 || g->ended == g->accepted, "%u of %u had ended", g->ended,
		  g->accepted);
	t->received += rc == 1 ? in : 0;
}

static void use_others(void)
{
	int rc;

	switch (sim_random(7)) {
	case 0:
		rc = scope_barrier_wait(&t->barrier);
		check(rc, 1);
		break;
	case 1:
		check(scope_event_wait_until(&t->event, scope_now() + (int64_t)sim_random(3000)),
		      -ETIMEDOUT);
		break;
	case 2:
		scope_event_set(&t->event);
		pause_a_little();
		scope_event_clear(&t->event);
		break;
	case 3:
		if (sim_random(2))
			scope_cond_broadcast(&t->cond);
		else
			scope_cond_signal(&t->cond);
		break;
	case 4:
		rc = scope_park_until(&t->parker, scope_now() + (int64_t)sim_random(3000));
		check(rc == -EBUSY ? 0 : rc, -ETIMEDOUT);
		break;
	case 5:
		scope_unpark(&t->parker);
		break;
	default:
		check(scope_sleep_for((int64_t)sim_random(2000)), 0);
	}
}

static int use_one(struct job *job)
{
	int64_t before = scope_now(), length = (int64_t)sim_random(500);
	bool region = sim_random(2) && scope_soft_begin() == 0;

	switch (sim_random(6)) {
	case 0: use_mutex(job->number); break;
	case 1: use_rwlock(); break;
	case 2: use_semaphore(); break;
	case 3: use_channel(); break;
	case 4: use_select(); break;
	default: use_others();
	}
	if (sim_random(4) == 0 && scope_sleep_for(length) == 0)
		sim_check(scope_now() >= before + length, "woke early");
	if (region)
		scope_soft_end();
	return 0;
}

static int use_all(struct job *job)
{
	int i;

	for (i = 0; i < TURNS; i++) {
		if (sim_random(3) == 0) {
			struct group g;
			struct job child = {.number = 1};

			group_open(&g);
			group_spawn(&g, &child, use_one);
			if (sim_random(2))
				use_one(job);
			if (sim_random(3) == 0)
				wait_for_end(&g);
			if (sim_random(3) == 0)
				check(scope_wait_until(&g.scope, scope_now() + 1000), -ETIMEDOUT);
			group_close(&g);
		} else {
			use_one(job);
		}
	}
	return 0;
}

static int storm(void *arg)
{
	struct things things = {.writers = 0};
	struct job job[WORKERS];
	uint64_t item;
	struct group g;
	int i, rc;

	(void)arg;
	t = &things;
	scope_semaphore_init(&t->semaphore, PERMITS);
	scope_barrier_init(&t->barrier, 2);
	for (i = 0; i < 2; i++)
		sim_check(scope_chan_new(sizeof(item), (size_t)i, NULL, &t->chan[i]) == 0,
			  "no channel");
	group_open(&g);
	for (i = 0; i < WORKERS; i++) {
		job[i].number = 0;
		group_spawn(&g, &job[i], use_all);
	}
	scope_sleep_for((int64_t)sim_random(20000));
	if (sim_random(2))
		scope_shutdown(&g.scope, (int64_t)sim_random(10000));
	else
		scope_cancel(&g.scope);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ETIMEDOUT, "an error from nowhere: %d", rc);
	for (i = 0; i < 2; i++)
		while (scope_chan_try_recv(t->chan[i], &item) == 0)
			t->received += item;
	sim_check(t->sent == t->received, "%llu were sent, %llu received",
		  (unsigned long long)t->sent, (unsigned long long)t->received);
	sim_check(scope_mutex_try_lock(&t->mutex) == 0, "the mutex is held");
	scope_mutex_unlock(&t->mutex);
	sim_check(scope_rwlock_try_lock(&t->rwlock) == 0, "the rwlock is held");
	scope_rwlock_unlock(&t->rwlock);
	for (i = 0; i < PERMITS; i++)
		sim_check(scope_semaphore_try_acquire(&t->semaphore) == 0, "a permit is lost");
	sim_check(scope_semaphore_try_acquire(&t->semaphore) == -EAGAIN, "a permit came up");
	for (i = 0; i < 2; i++)
		scope_chan_free(t->chan[i]);
	return 0;
}

Test(sim, X1_to_X6_hold_in_a_storm_of_locks_and_channels)
{
	explore("X1_to_X6_hold_in_a_storm_of_locks_and_channels", storm, WITH_TIMERS);
}
