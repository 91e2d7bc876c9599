/* tests/sim/scn_storm.c: many cancels, errors and shares of ranges at a time. */
#include "scn.h"

#include <scope_parallel.h>
#include <string.h>

/* ---- cancels ----------------------------------------------------------------------- */

enum { LEVELS = 3 };

static struct group *level[LEVELS];

/* Cancels scopes that it is below of, in any order, and itself is cancelled by others. */
static int body_storm(struct job *job)
{
	int i;

	for (i = 0; i < 2; i++) {
		scope_cancel(&level[sim_random(job->number + 1)]->scope);
		if (sim_random(2))
			scope_yield();
	}
	return 0;
}

static int body_level(struct job *job)
{
	struct group g;
	struct job storm, sleeper, deeper;
	int rc;

	group_open(&g);
	level[job->number] = &g;
	group_spawn(&g, &sleeper, body_for_ever);
	if (job->number + 1 < LEVELS) {
		deeper.number = job->number + 1;
		group_spawn(&g, &deeper, body_level);
	}
	storm.number = job->number;
	group_spawn(&g, &storm, body_storm);
	if (sim_random(2))
		scope_yield();
	/* Storms from below may have missed this level. */
	scope_cancel(&g.scope);
	rc = group_close(&g);
	sim_check(rc == 0 || rc == -ECANCELED, "close gave %d", rc);
	return rc;
}

static int cancel_storm(void *arg)
{
	struct group g;
	struct job job[2] = {{0}, {0}};
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		level[i] = &g;
	group_spawn(&g, &job[0], body_level);
	group_spawn(&g, &job[1], body_for_ever);
	scope_cancel(&g.scope);
	rc = group_close(&g);
	sim_check(rc == 0, "an own cancel gave %d", rc);
	return 0;
}

Test(sim, cancels_of_nested_scopes_meet)
{
	explore("cancels_of_nested_scopes_meet", cancel_storm, 0);
}

/* ---- errors ------------------------------------------------------------------------ */

static int body_error(struct job *job)
{
	if (job->number % 2)
		scope_yield();
	return -(int)(EIO + job->number);
}

/* Hands its own errors up, as one record with the others behind it. */
static int body_errors(struct job *job)
{
	const struct scope_error *error, *more;
	struct group g;
	struct job child[3];
	unsigned records = 0, failed = 0;
	int i, rc;

	(void)job;
	group_open(&g);
	for (i = 0; i < 3; i++) {
		child[i].number = (uint64_t)i;
		failed += group_spawn(&g, &child[i], body_error) == 0;
	}
	rc = group_close(&g);
	if (failed == 0)
		return rc;
	sim_check(rc <= -EIO && rc >= -(EIO + 2), "close gave %d", rc);
	error = scope_last_error();
	sim_check(error && error->code == rc, "no record of %d", rc);
	for (more = error->suppressed; more; more = more->next)
		records++;
	sim_check(records + 1 == failed, "%u records of %u errors", records + 1, failed);
	return rc;
}

static int error_storm(void *arg)
{
	const struct scope_error *error;
	struct group g;
	struct job job[2];
	int i, rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 2; i++)
		group_spawn(&g, &job[i], body_errors);
	rc = group_close(&g);
	sim_check(rc <= -EIO && rc >= -(EIO + 2), "close gave %d", rc);
	error = scope_last_error();
	sim_check(error && error->code == rc, "no record of %d", rc);
	return 0;
}

Test(sim, errors_are_handed_up_while_scopes_close)
{
	explore("errors_are_handed_up_while_scopes_close", error_storm, 0);
}

/* ---- ranges ------------------------------------------------------------------------ */

enum { CELLS = 16 };

static unsigned char done[CELLS];

static int fill(size_t begin, size_t end, void *arg)
{
	int *result = arg;

	for (; begin < end; begin++) {
		sim_check(begin < CELLS && ++done[begin] == 1, "cell %zu twice", begin);
		pause_randomly();
		if (sim_random(6) == 0)
			scope_yield();
		if (*result && begin == CELLS / 2)
			return *result;
	}
	return 0;
}

/* A loop whose parts are stolen while one fails, or while it is cancelled from outside. */
static int body_loop(struct job *job)
{
	int result = job->number == 1 ? -EIO : 0, rc, i;

	memset(done, 0, sizeof(done));
	rc = scope_for(0, CELLS, sim_random(2) * 3, fill, &result);
	if (result)
		sim_check(rc == -EIO || rc == -ECANCELED, "a loop that failed gave %d", rc);
	else
		sim_check(rc == 0 || rc == -ECANCELED, "a loop gave %d", rc);
	for (i = 0; rc == 0 && i < CELLS; i++)
		sim_check(done[i] == 1, "cell %d was left out", i);
	return rc == -EIO ? 0 : rc;
}

static int loop_storm(void *arg)
{
	struct group g;
	struct job loop = {.number = sim_random(3)}, canceller = {0};
	int rc;

	(void)arg;
	group_open(&g);
	group_spawn(&g, &loop, body_loop);
	if (loop.number == 2)
		group_spawn(&g, &canceller, body_cancel);
	rc = group_close(&g);
	sim_check(rc == 0, "close gave %d", rc);
	return 0;
}

Test(sim, loops_are_stolen_from_while_they_fail)
{
	explore("loops_are_stolen_from_while_they_fail", loop_storm, 0);
}

struct span {
	size_t low, high; /* empty: both 0 */
};

static void span_init(void *accumulator, void *arg)
{
	(void)arg;
	*(struct span *)accumulator = (struct span){0, 0};
}

static int span_body(size_t begin, size_t end, void *accumulator, void *arg)
{
	struct span *span = accumulator;

	(void)arg;
	sim_check(span->low == span->high || span->high == begin, "a chunk out of order");
	if (span->low == span->high)
		span->low = begin;
	span->high = end;
	pause_randomly();
	if (sim_random(5) == 0)
		scope_yield();
	return 0;
}

static void span_combine(void *left, const void *right, void *arg)
{
	struct span *l = left;
	const struct span *r = right;

	(void)arg;
	if (r->low == r->high)
		return;
	sim_check(l->low == l->high || l->high == r->low, "combined out of order");
	if (l->low == l->high)
		l->low = r->low;
	l->high = r->high;
}

static int reduction(void *arg)
{
	struct scope_reducer reducer = {
		.size = sizeof(struct span), .init = span_init, .body = span_body,
		.combine = span_combine};
	struct span span;
	int rc;

	(void)arg;
	rc = scope_reduce(3, 3 + CELLS, sim_random(2) * 2, &reducer, &span);
	sim_check(rc == 0, "reduce gave %d", rc);
	sim_check(span.low == 3 && span.high == 3 + CELLS, "[%zu, %zu)", span.low, span.high);
	return 0;
}

Test(sim, a_reduction_keeps_its_order)
{
	explore("a_reduction_keeps_its_order", reduction, 0);
}

/* ---- both -------------------------------------------------------------------------- */

static int part(void *arg)
{
	unsigned *runs = arg;

	++*runs;
	pause_randomly();
	return sim_random(3) ? 0 : scope_yield();
}

static int both_root(void *arg)
{
	unsigned runs[4] = {0};
	int i;

	(void)arg;
	for (i = 0; i < 4; i += 2)
		sim_check(scope_both(part, &runs[i], part, &runs[i + 1]) == 0, "an error");
	for (i = 0; i < 4; i++)
		sim_check(runs[i] == 1, "a part ran %u times", runs[i]);
	return 0;
}

Test(sim, both_parts_run_once)
{
	explore("both_parts_run_once", both_root, 0);
}
