/* tests/sim/scn_edge.c: races so narrow that hardly any program meets them. */
#include "scn.h"

/* ---- a scope that ends and fills again under its watcher ---------------------------------- */

struct watched {
	struct group group;
	struct job first, late;
	int done;
};

/* No member: the scope may have ended when this one spawns into it. */
static int spawn_as_a_stranger(struct job *job)
{
	struct watched *w = job->pointer;

	group_spawn(&w->group, &w->late, body_points);
	w->done = 1;
	return 0;
}

static int watch_beside_a_stranger(void *arg)
{
	struct job stranger = {0};
	struct group outer;
	struct watched w = {.done = 0};
	int rc;

	(void)arg;
	group_open(&outer);
	group_open(&w.group);
	group_spawn(&w.group, &w.first, body_points);
	stranger.pointer = &w;
	group_spawn(&outer, &stranger, spawn_as_a_stranger);
	while (!w.done) {
		rc = scope_wait_until(&w.group.scope, SCOPE_NEVER);
		sim_check(rc == 0, "wait gave %d", rc);
		if (!w.done)
			scope_yield();
	}
	rc = scope_wait_until(&w.group.scope, SCOPE_NEVER);
	sim_check(rc == 0 && w.group.ended == 2, "wait gave %d, %u of 2 had ended", rc,
		  w.group.ended);
	sim_check(group_close(&w.group) == 0, "an error from nowhere");
	sim_check(group_close(&outer) == 0, "an error from nowhere");
	return 0;
}

Test(sim, a_watched_scope_ends_and_fills_again)
{
	explore("a_watched_scope_ends_and_fills_again", watch_beside_a_stranger, PARALLEL);
}

/* ---- a scope is linked while its owner looks at it ---------------------------------------- */

static int link_beside_refresh(void *arg)
{
	struct job canceller = {0}, sleeper[2] = {{0}, {0}};
	struct group outer, middle, inner;
	int i, rc;

	(void)arg;
	group_open(&outer);
	group_spawn(&outer, &canceller, body_cancel);
	group_open(&middle);
	group_spawn(&middle, &sleeper[0], body_for_ever);
	group_open(&inner);
	group_spawn(&inner, &sleeper[1], body_for_ever);
	for (i = 0; i < 4; i++) {
		pause_randomly();
		rc = scope_checkpoint();
		sim_check(rc == 0 || scope_cancel_called(&outer.scope), "checkpoint gave %d", rc);
	}
	group_close(&inner);
	group_close(&middle);
	sim_check(group_close(&outer) == 0, "an own cancel is no error");
	return 0;
}

Test(sim, a_scope_is_linked_while_its_owner_looks_at_it)
{
	explore("a_scope_is_linked_while_its_owner_looks_at_it", link_beside_refresh, PARALLEL);
}
