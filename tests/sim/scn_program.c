/* tests/sim/scn_program.c: random programs: trees of scopes in which anything may happen. */
#include "scn.h"

enum { MOST_CHILDREN = 3, DEPTH = 3 };

struct node {
	struct job job; /* first: bodies get a pointer to it */
	struct group *above; /* the group of the task that opened job.group, or NULL */
};

/* Tasks that outlive the frame of who spawns them. */
enum { MOST_EXTRAS = 64 };
static struct node extra[MOST_EXTRAS];
static unsigned extras;

static int body_node(struct job *job);

/* What a leaf, or a node on its way, does at a checkpoint. */
static int act(struct group *here)
{
	int rc = 0;

	switch (sim_random(10)) {
	case 0:
	case 1:
		rc = scope_yield();
		break;
	case 2:
		rc = scope_sleep_for((int64_t)sim_random(5000));
		break;
	case 3:
		rc = scope_checkpoint();
		break;
	case 4:
		rc = scope_cancelled() ? -ECANCELED : 0;
		break;
	case 5:
		if (sim_random(3) == 0)
			scope_cancel(&here->scope);
		break;
	case 6:
		if (sim_random(4) == 0)
			return -EIO;
		break;
	default:
		pause_randomly();
	}
	sim_check(rc == 0 || rc == -ECANCELED, "a checkpoint gave %d", rc);
	return rc;
}

static void spawn_node(struct group *group, struct node *node, struct group *above,
		       uint64_t depth)
{
	struct scope_spawn_options options = {0};

	node->above = above;
	node->job.number = depth;
	if (sim_random(4) == 0)
		options.flags = (unsigned)sim_random(4);
	group_spawn_with(group, &node->job, body_node, options.flags ? &options : NULL);
}

static void open_randomly(struct group *g)
{
	struct scope_options options = {0};

	if (sim_random(2)) {
		group_open(g);
		return;
	}
	options.shield = sim_random(3) == 0;
	if (sim_random(3) == 0)
		options.deadline_ns = scope_now() + (int64_t)sim_random(20000);
	options.on_timeout = (unsigned)sim_random(2);
	group_open_with(g, &options);
}

static int body_node(struct job *job)
{
	struct node *node = (struct node *)job;
	struct node child[MOST_CHILDREN];
	struct group g;
	uint64_t i, n;
	int rc = act(job->group);

	if (job->number == 0 || rc)
		return rc;
	open_randomly(&g);
	n = sim_random(MOST_CHILDREN + 1);
	for (i = 0; i < n; i++)
		spawn_node(&g, &child[i], job->group, job->number - 1);
	/* One into the task's own group, from inside the scope that it opened. */
	if (node->above && extras < MOST_EXTRAS && sim_random(4) == 0)
		spawn_node(job->group, &extra[extras++], NULL, 0);
	rc = act(&g);
	if (rc == -EIO)
		sim_check(scope_fail(&g.scope, rc, NULL) == rc, "can't fail");
	if (sim_random(6) == 0)
		scope_set_shield(&g.scope, false);
	if (sim_random(4) == 0)
		scope_wait_until(&g.scope, scope_now() + (int64_t)sim_random(5000));
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT || rc == -EIO, "close gave %d",
		  rc);
	return rc == -ETIMEDOUT ? 0 : rc;
}

static int program(void *arg)
{
	struct node node[2];
	struct group g;
	int i, rc;

	(void)arg;
	extras = 0;
	group_open(&g);
	for (i = 0; i < 2; i++)
		spawn_node(&g, &node[i], NULL, DEPTH);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -EIO, "close gave %d", rc);
	return 0;
}

Test(sim, random_programs)
{
	explore("random_programs", program, WITH_TIMERS);
}
