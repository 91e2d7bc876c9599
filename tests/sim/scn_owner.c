/* tests/sim/scn_owner.c: what an owner of a scope in an object may call while its parent closes. */
#include "scn.h"

#include <string.h>

/* Until cancelled, whether or not the cancel stays: a move may take it off. */
static int body_until_cancelled(struct job *job)
{
	job->saw = scope_sleep_until(SCOPE_NEVER);
	sim_check(job->saw == -ECANCELED, "sleeping for ever gave %d", job->saw);
	return 0;
}

static int (*const bodies[])(struct job *job) = {body_until_cancelled, body_yield, body_points};

static void spawn_some(struct group *g, struct job *job, int count)
{
	struct scope_spawn_options options = {.flags = SCOPE_CONCURRENT};
	int i;

	for (i = 0; i < count; i++) {
		job[i].number = sim_random(3);
		group_spawn_with(g, &job[i], bodies[sim_random(3)],
				 sim_random(2) ? &options : NULL);
	}
}

static int count_one(void *arg)
{
	pause_randomly();
	++*(int *)arg;
	return 0;
}

/* ---- the owner against the parent's close (H1, H4) ------------------------------------------- */

static unsigned opened; /* by owners */

/* Opens a scope in the parent, which is closed meanwhile, as a task of another object there. */
static int body_owner(struct job *job)
{
	struct job inner[3];
	struct group g;
	int rc = 0, counted = 0, many = -ESTALE;

	group_open_in(&g, job->pointer);
	opened++;
	spawn_some(&g, inner, (int)sim_random(4));
	if (sim_random(2))
		many = scope_spawn_n(&g.scope, count_one, &counted, 0, 2);
	pause_randomly();
	switch (sim_random(5)) {
	case 0:
		rc = scope_wait_until(&g.scope, SCOPE_NEVER);
		break;
	case 1:
		rc = scope_fail(&g.scope, -EIO, NULL);
		break;
	case 2:
		rc = scope_set_deadline(&g.scope, SCOPE_NEVER);
		break;
	case 3:
		scope_cancel(&g.scope);
		break;
	}
	sim_check(rc == 0 || rc == -EIO || rc == -ECANCELED || rc == -EBUSY || rc == -ESTALE,
		  "a call of the owner gave %d", rc);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -EIO || rc == -ECANCELED || rc == -ESTALE,
		  "the owner's close gave %d", rc);
	sim_check(counted == (many ? 0 : 2) || g.hits, "%d of 2 ran after %d", counted, many);
	return 0;
}

static int parent_closes(void *arg)
{
	struct group parent, first;
	struct job owner[2];
	int i, rc;

	(void)arg;
	opened = 0;
	group_open(&parent);
	group_open_in(&first, &parent);
	for (i = 0; i < 2; i++) {
		owner[i].pointer = &parent;
		group_spawn(&first, &owner[i], body_owner);
	}
	if (sim_random(2)) /* else they open theirs while the parent waits for `first` */
		while (opened < 2)
			scope_yield();
	pause_randomly();
	rc = scope_close(&parent.scope);
	sim_check(rc == 0 || rc == -EIO, "the parent's close gave %d", rc);
	group_closed(&first, 0);
	group_closed(&parent, rc);
	return 0;
}

Test(sim, an_owner_uses_its_scope_while_the_parent_closes)
{
	explore("an_owner_uses_its_scope_while_the_parent_closes", parent_closes, 0);
}

/* ---- members that open and leave scopes in the closing parent -------------------------------- */

struct left {
	struct group group;
	struct job inner[2], late;
};

/* What it opens outlives it: the parent closes that. */
static int body_leave(struct job *job)
{
	struct left *left = job->pointer;

	group_open_in(&left->group, job->group);
	spawn_some(&left->group, left->inner, 2);
	if (sim_random(2))
		scope_yield();
	left->late.number = 1;
	if (sim_random(2))
		group_spawn(job->group, &left->late, body_yield);
	return 0;
}

static int left_open(void *arg)
{
	struct left left[2];
	struct group parent;
	struct job job[2];
	int i, rc;

	(void)arg;
	group_open(&parent);
	for (i = 0; i < 2; i++) {
		job[i].pointer = &left[i];
		group_spawn(&parent, &job[i], body_leave);
	}
	if (sim_random(3) == 0)
		scope_cancel(&parent.scope);
	rc = scope_close(&parent.scope);
	sim_check(rc == 0, "the parent's close gave %d", rc);
	for (i = 0; i < 2; i++)
		group_closed(&left[i].group, 0);
	group_closed(&parent, rc);
	return 0;
}

Test(sim, scopes_are_left_to_a_closing_parent)
{
	explore("scopes_are_left_to_a_closing_parent", left_open, 0);
}

/* ---- moves (H3) ------------------------------------------------------------------------------ */

struct moved {
	struct group group;
	struct job inner[2];
};

/* Makes a scope in one of its own and moves it out; somebody may cancel either. */
static int body_move(struct job *job)
{
	struct moved *moved = job->pointer;
	struct job canceller = {0};
	struct group own;
	int rc;

	group_open(&own);
	group_open_in(&moved->group, &own);
	spawn_some(&moved->group, moved->inner, 2);
	if (sim_random(2))
		group_spawn(&own, &canceller, body_cancel);
	pause_randomly();
	rc = scope_move(&moved->group.scope, &job->group->scope);
	sim_check(rc == 0, "the move gave %d", rc);
	rc = group_close(&own);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return 0;
}

static int moved_out(void *arg)
{
	struct job mover, canceller = {0};
	struct moved moved = {0};
	struct group outer;
	int rc;

	(void)arg;
	group_open(&outer);
	mover.pointer = &moved;
	group_spawn(&outer, &mover, body_move);
	if (sim_random(2))
		group_spawn(&outer, &canceller, body_cancel);
	rc = scope_wait_until(&outer.scope, SCOPE_NEVER);
	/* The root task is its owner now: it may close it, or leave that to the outer scope. */
	if (rc == 0 && moved.group.open && sim_random(2)) {
		scope_cancel(&moved.group.scope);
		rc = group_close(&moved.group);
		sim_check(rc == 0 || rc == -ECANCELED, "the new owner's close gave %d", rc);
	}
	rc = scope_close(&outer.scope);
	sim_check(rc == 0, "the outer close gave %d", rc);
	if (moved.group.open)
		group_closed(&moved.group, 0);
	group_closed(&outer, rc);
	return 0;
}

Test(sim, a_scope_is_moved_while_its_parents_are_cancelled)
{
	explore("a_scope_is_moved_while_its_parents_are_cancelled", moved_out, 0);
}
