/* runtime/scope/parallel.c: scope_both, scope_for, scope_reduce: rule R0. */
#include "scope/fast.h"
#include "scope/range.h"
#include <errno.h>
#include <scope_parallel.h>
#include <string.h>

/* ---- both --------------------------------------------------------------------------------- */

/* Not compiled with the fast path's file: its own frame holds the scope. */
static SC_NOINLINE int both_slow(scope_task_fn *f, void *f_arg, scope_task_fn *g, void *g_arg,
				 const void *site)
{
	struct sc_worker *worker = sc_self();
	struct scope public;
	struct sc_scope *s = sc_view(&public);
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_both");
	rc = sc_check_cancel(worker);
	if (rc < 0)
		return rc;
	sc_open_at(sc_self(), s, site);
	/* Accepted together: a thief may have failed in g before f could be spawned, and f runs
	 * all the same. */
	if (sc_spawn_slow(s, g, g_arg, site) == 0)
		sc_push(sc_self(), &(struct sc_slot){f, site, f_arg, s});
	return scope_close(&public);
}

int scope_both(scope_task_fn *f, void *f_arg, scope_task_fn *g, void *g_arg)
{
	struct sc_worker *worker = sc_self();
	struct sc_slot *top = worker->bottom.top;
	const void *site = __builtin_return_address(0);
	struct sc_scope scope, *s = &scope;
	int rc;

	if (SC_UNLIKELY(sc_at_limit(worker, top) || sc_stack_low(worker)))
		return both_slow(f, f_arg, g, g_arg, site);
	sc_open_at(worker, s, site);
	sc_push_at(worker, top, s, g, g_arg, site);
	worker->cur = sc_closing(s);
	s->running.what = (const void *)f;
	s->running.site = (uintptr_t)site;
	rc = f(f_arg);
	worker = sc_self();
	if (sc_child_is_odd(worker, s, rc))
		worker = sc_child_odd(worker, s, rc);
	top = worker->bottom.top - 1;
	if (SC_LIKELY(top == s->base)) {
		at_store_rlx(&worker->bottom.top, top);
		at_signal_fence();
		if (SC_LIKELY(top >= worker->bottom.split && !sc_stack_low(worker))) {
			worker = sc_run_inlined(s, top);
			if (SC_LIKELY(sc_is_plain(s))) {
				SC_INVARIANT(worker->bottom.top == s->base); /* it did not park */
				worker->cur = s->parent;
				return 0;
			}
		} else {
			at_store_rlx(&worker->bottom.top, top + 1);
		}
	}
	/* Something came between: close as any scope is closed. */
	sc_self()->cur = (uintptr_t)s;
	return scope_close((struct scope *)s);
}

/* ---- for ------------------------------------------------------------------------------------ */

struct loop {
	struct sc_range range;
	scope_for_fn *body;
	void *arg;
};

static int run_loop(struct sc_range *range, size_t begin, size_t end)
{
	struct loop *loop = (struct loop *)range;

	return loop->body(begin, end, loop->arg);
}

static struct sc_range *split_loop(struct sc_range *range, size_t low, size_t high)
{
	struct loop *right = sc_os.alloc(sizeof *right);

	if (!right)
		return NULL;
	*right = *(struct loop *)range;
	right->range.low = low;
	right->range.high = high;
	range->next = &right->range;
	return &right->range;
}

/* Runs one range in a scope of its own. */
static int join_range(struct sc_worker *worker, struct sc_range *range, const void *site)
{
	struct sc_scope s;
	int rc = sc_check_cancel(worker);

	if (rc < 0)
		return rc;
	worker = sc_self();
	sc_open_at(worker, &s, site);
	sc_range_push(worker, &s, range, site);
	return scope_close((struct scope *)&s);
}

static void free_records(struct sc_range *range)
{
	struct sc_range *rest;

	for (; range; range = rest) {
		rest = range->next;
		sc_os.free(range);
	}
}

int scope_for(size_t begin, size_t end, size_t grain, scope_for_fn *body, void *arg)
{
	struct sc_worker *worker = sc_self();
	struct loop loop = {.range = {.low = begin,
				      .high = end,
				      .step = grain ? grain : 1,
				      .grain = grain,
				      .part = run_loop,
				      .split = split_loop,
				      .what = (const void *)body},
			    .body = body,
			    .arg = arg};
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_for");
	if (begin > end || !body)
		return -EINVAL;
	if (begin == end)
		return sc_check_cancel(worker);
	rc = join_range(worker, &loop.range, __builtin_return_address(0));
	free_records(loop.range.next);
	return rc;
}

/* ---- reduce --------------------------------------------------------------------------------- */

enum { MOST_ACCUMULATOR = 4096 };

struct fold {
	struct sc_range range; /* next: the list from left to right, in the order of combining */
	const struct scope_reducer *reducer;
	void *accumulator;
};

static int run_fold(struct sc_range *range, size_t begin, size_t end)
{
	struct fold *fold = (struct fold *)range;

	return fold->reducer->body(begin, end, fold->accumulator, fold->reducer->arg);
}

static struct sc_range *split_fold(struct sc_range *range, size_t low, size_t high)
{
	struct fold *left = (struct fold *)range;
	size_t head = (sizeof *left + 15) & ~(size_t)15;
	struct fold *right = sc_os.alloc(head + left->reducer->size);

	if (!right)
		return NULL;
	*right = *left;
	right->range.low = low;
	right->range.high = high;
	right->accumulator = (char *)right + head;
	right->reducer->init(right->accumulator, right->reducer->arg);
	range->next = &right->range;
	return &right->range;
}

static int valid(const struct scope_reducer *r)
{
	return r && r->init && r->body && r->combine && r->size > 0 &&
	       r->size <= MOST_ACCUMULATOR && SC_UNRESERVED(r);
}

int scope_reduce(size_t begin, size_t end, size_t grain, const struct scope_reducer *reducer,
		 void *out_result)
{
	struct sc_worker *worker = sc_self();
	uint64_t accumulator[MOST_ACCUMULATOR / sizeof(uint64_t)] SC_ALIGNED(16);
	struct fold first = {.range = {.low = begin,
				       .high = end,
				       .step = grain ? grain : 1,
				       .grain = grain,
				       .part = run_fold,
				       .split = split_fold},
			     .reducer = reducer,
			     .accumulator = accumulator};
	struct sc_range *right;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_reduce");
	if (begin > end || !valid(reducer) || !out_result)
		return -EINVAL;
	first.range.what = (const void *)reducer->body;
	reducer->init(accumulator, reducer->arg);
	rc = begin == end ? sc_check_cancel(worker)
			  : join_range(worker, &first.range, __builtin_return_address(0));
	for (right = first.range.next; right && rc == 0; right = right->next)
		reducer->combine(accumulator, ((struct fold *)right)->accumulator, reducer->arg);
	free_records(first.range.next);
	if (rc == 0)
		memcpy(out_result, accumulator, reducer->size);
	return rc;
}
