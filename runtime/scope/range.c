/* runtime/scope/range.c: ranges on the join deque, and scope_spawn_n; see range.h. */
#include "scope/range.h"
#include "scope/fast.h"
#include "scope/joiner.h"
#include <errno.h>

/* A part should take about this long: long against its overhead, short against a wait. */
#define PART_NS 20000

/* The runner of a range and where its slot lies on the deque. */
struct runner {
	struct sc_worker *worker;
	struct sc_scope *s;
	struct sc_slot *slot;
	int64_t units; /* of s, -1: never flushed; each flush moves it */
};

int sc_range_push(struct sc_worker *worker, struct sc_scope *s, struct sc_range *range,
		  const void *site)
{
	struct sc_slot slot = {sc_range_entry, site, range, s};

	return sc_push(worker, &slot);
}

static int64_t flushes(struct sc_scope *s)
{
	return sc_state(s) & SC_FLUSHED ? s->units : -1;
}

static void put_back(struct runner *runner)
{
	at_signal_fence();
	at_store_rlx(&runner->worker->bottom.top, runner->slot + 1);
}

/* As the pop of close: first off, then a look at split.  False: others have it. */
static int take_off(struct runner *runner)
{
	struct sc_worker *worker = runner->worker;

	for (;;) {
		at_store_rlx(&worker->bottom.top, runner->slot);
		at_signal_fence();
		if (SC_LIKELY(worker->bottom.split <= runner->slot))
			return 1;
		put_back(runner);
		if (!sc_deque_reclaim(&worker->deque, &worker->bottom, runner->slot))
			return 0;
	}
}

/* Whether the slot is still where the runner put it: it did not park meanwhile. */
static int unmoved(struct runner *runner)
{
	return sc_self() == runner->worker && runner->worker->bottom.top == runner->slot + 1 &&
	       flushes(runner->s) == runner->units;
}

/* The slot is off.  The right half takes its place and can be exposed, the left half goes
 * on top.  False without memory. */
static int halve(struct runner *runner, struct sc_range *range)
{
	size_t middle = range->low + (range->high - range->low) / 2;
	struct sc_range *right = range->split(range, middle, range->high);
	const void *site = runner->slot->site;

	if (!right)
		return 0;
	range->high = middle;
	runner->slot->arg = right;
	put_back(runner);
	sc_push_at(runner->worker, runner->slot + 1, runner->s, sc_range_entry, range, site);
	return 1;
}

/* The slot is off.  Somebody calls: true if it was left on the deque, to the loop of close,
 * which comes back with whatever is on top. */
static int answer(struct runner *runner, struct sc_range *range)
{
	struct sc_worker *worker = runner->worker;
	int called = at_load_rlx(&worker->stack_limit) == UINTPTR_MAX;

	if (SC_LIKELY(!called && at_load_rlx(&worker->bottom.lim) != NULL))
		return 0;
	if (!called && sc_deque_exposed(&worker->deque) > 0)
		return 0; /* the hungry one has something to take */
	if (!(sc_hungry() && range->high - range->low > 1 &&
	      runner->slot + 2 < worker->deque.slots + worker->deque.capacity &&
	      halve(runner, range)))
		put_back(runner);
	if (sc_attend(worker) && sc_others_wait(worker))
		sc_give_way(worker, 1);
	return 1;
}

static void next_step(struct sc_range *range, int64_t *since)
{
	int64_t now = sc_os.now();

	if (range->grain)
		range->step = range->grain;
	else if (now - *since < PART_NS / 2)
		range->step *= 2;
	else if (now - *since > PART_NS * 2 && range->step > 1)
		range->step /= 2;
	*since = now;
}

/* Whether the rest may be left out (R0). */
static int left_out(struct sc_scope *s)
{
	if (sc_state(sc_counted(s)) & SC_FAILED)
		return 1;
	if (!sc_self()->strand->cancelled || !sc_effective(s))
		return 0;
	sc_hit(s);
	return 1;
}

static void finish(struct sc_range *range)
{
	if (range->done)
		range->done(range);
}

void sc_range_refused(void *range)
{
	finish(range);
}

/* What a child of s returned; s->running was set by the caller.  Inlined: a call would write its
 * frame over the scopes that the child may have left open (S11). */
SC_IN_FRAME void look_at_result(struct sc_scope *s, int rc)
{
	if (sc_child_is_odd(sc_self(), s, rc))
		sc_child_odd(sc_self(), s, rc);
}

/* The slot is off.  Runs tasks as long as nothing happens but that they return 0; returns
 * with the slot off and at least one task left, or with 0: the slot is not the runner's any
 * more, or was left to the loop of close.
 *
 * As soon as the slot is back on the deque a thief may use the record up: nothing in it is
 * read until the slot is off again.  `plain` is a state of s in which nobody has flushed it:
 * then the runner never parked and is still on this worker; and in which no child has left
 * marks in `running`, which are taken off before each. */
static SC_NOINLINE int run_quiet(struct runner *runner, struct sc_range *range)
{
	struct sc_worker *worker = runner->worker;
	struct sc_slot *slot = runner->slot;
	struct sc_scope *s = runner->s;
	scope_task_fn *fn = range->fn;
	size_t low = range->low, last = range->high - 1, stride = range->stride;
	char *arg = range->base + low * stride;
	uint32_t plain = sc_state(s) & ~(uint32_t)(SC_FLUSHED | SC_TAINT);

	for (; low != last; arg += stride) {
		int rc;

		range->low = ++low;
		at_signal_fence();
		at_store_rlx(&worker->bottom.top, slot + 1);
		rc = fn(arg);
		if (SC_UNLIKELY(sc_state(s) != plain || worker->bottom.top != slot + 1) ||
		    sc_child_is_odd(worker, s, rc)) {
			look_at_result(s, rc);
			return unmoved(runner) && take_off(runner);
		}
		at_store_rlx(&worker->bottom.top, slot);
		at_signal_fence();
		if (SC_UNLIKELY(worker->bottom.split > slot) && !take_off(runner))
			return 0;
		/* What calls for attention leaves lim at 0. */
		if (SC_UNLIKELY(sc_at_limit(worker, slot + 1)) && answer(runner, range))
			return 0;
	}
	return 1;
}

static void run_each(struct runner *runner, struct sc_range *range)
{
	struct sc_scope *s = runner->s;
	struct sc_running running = {range->what, (uintptr_t)runner->slot->site};
	scope_task_fn *fn = range->fn;

	do {
		/* Also takes the mark of an earlier child's error record off. */
		s->running = running;
		if (!run_quiet(runner, range))
			return;
	} while (range->high - range->low > 1);
	{
		char *arg = range->base + range->low * range->stride;

		s->running = running;
		finish(range);
		look_at_result(s, fn(arg));
	}
}

/* Parts of a loop, whose records live until close. */
static void run_parts(struct runner *runner, struct sc_range *range)
{
	struct sc_scope *s = runner->s;
	int64_t since = sc_os.now();

	SC_INVARIANT(range->low != range->high);
	while (!left_out(s)) {
		size_t begin = range->low;
		int last = range->high - begin <= range->step;

		range->low = last ? range->high : begin + range->step;
		s->running = (struct sc_running){range->what, (uintptr_t)runner->slot->site};
		if (last) {
			look_at_result(s, range->part(range, begin, range->high));
			break;
		}
		put_back(runner);
		look_at_result(s, range->part(range, begin, begin + range->step));
		if (!unmoved(runner) || !take_off(runner))
			return;
		next_step(range, &since);
		if (answer(runner, range))
			return;
	}
	finish(range);
}

/* In the close of s, which popped the slot. */
static void run_range(struct sc_worker *worker, struct sc_scope *s, struct sc_range *range)
{
	struct runner runner = {worker, s, worker->bottom.top, flushes(s)};

	if (range->each)
		run_each(&runner, range);
	else
		run_parts(&runner, range);
}

/* Where the deque is full and nobody can be given a share: the whole, one after the other.
 * Queueing it would need memory, without which tasks that were accepted would be lost. */
static void run_alone(struct sc_scope *s, struct sc_range *range, const void *site)
{
	while (range->low != range->high && (range->each || !left_out(s))) {
		size_t begin = range->low, length = range->high - begin;

		range->low += range->each ? 1 : length < range->step ? length : range->step;
		s->running = (struct sc_running){range->what, (uintptr_t)site};
		look_at_result(s, range->each ? range->fn(range->base + begin * range->stride)
					      : range->part(range, begin, range->low));
	}
	finish(range);
}

/* A thief's share: one unit of the scope, joined in a transparent scope of its own. */
static int run_share(struct sc_worker *worker, struct sc_range *range)
{
	struct sc_scope share;
	struct sc_range *mine = range;

	if (!range->each) {
		/* The first runner may still be in a part of this record. */
		mine = range->split(range, range->low, range->high);
		if (!mine)
			return -ENOMEM;
	}
	sc_open_share(worker, &share);
	if (SC_UNLIKELY(worker->bottom.top == worker->deque.slots + worker->deque.capacity)) {
		worker->cur = (uintptr_t)&share | 1;
		run_alone(&share, mine, worker->strand->slot.site);
		sc_self()->cur = (uintptr_t)&share;
		scope_close((struct scope *)&share);
		return 0;
	}
	/* At least one part is run before the rest can be taken: else thieves could pass the
	 * range on for ever, each a scope deeper. */
	*worker->bottom.top = (struct sc_slot){sc_range_entry, worker->strand->slot.site, mine,
					       &share};
	worker->cur = (uintptr_t)&share | 1;
	run_range(worker, &share, mine);
	sc_self()->cur = (uintptr_t)&share;
	/* Errors went to the scope above, and close has noted a hit.  A share is no task: handing
	 * on -ECANCELED would be a failure if a shield went on meanwhile. */
	scope_close((struct scope *)&share);
	return 0;
}

int sc_range_entry(void *arg)
{
	struct sc_worker *worker = sc_self();

	if (!(worker->cur & 1))
		return run_share(worker, arg);
	run_range(worker, sc_untag(worker->cur), arg);
	return 0;
}

/* ---- scope_spawn_n ------------------------------------------------------------------------ */

static struct sc_range *split_tasks(struct sc_range *range, size_t low, size_t high)
{
	struct sc_range *right = sc_os.alloc(sizeof *right);

	if (!right)
		return NULL;
	*right = *range;
	right->low = low;
	right->high = high;
	return right;
}

static void free_tasks(struct sc_range *range)
{
	sc_os.free(range);
}

static struct sc_range *new_tasks(scope_task_fn *fn, void *base, size_t stride, size_t count)
{
	struct sc_range *range = sc_os.alloc(sizeof *range);

	if (range)
		*range = (struct sc_range){.high = count,
					   .step = 1,
					   .grain = 1,
					   .split = split_tasks,
					   .done = free_tasks,
					   .what = (const void *)fn,
					   .each = 1,
					   .fn = fn,
					   .base = base,
					   .stride = stride};
	return range;
}

/* From a task that is not the owner: one queued task that runs the range. */
static int queue_tasks(struct sc_scope *s, struct sc_range *tasks, const void *site)
{
	struct sc_task *task = sc_os.alloc(sizeof *task);

	if (!task)
		return -ENOMEM;
	*task = (struct sc_task){0};
	task->slot = (struct sc_slot){sc_range_entry, site, tasks, s};
	task->owns_record = 1;
	sc_accept(task);
	return 0;
}

static void free_list(struct sc_task *tasks)
{
	while (tasks) {
		struct sc_task *task = tasks;

		tasks = sc_task_next(task);
		sc_os.free(task);
	}
}

/* Into a scope that looks at each: a record for each. */
static int spawn_each(struct sc_scope *s, scope_task_fn *fn, void *base, size_t stride,
		      size_t count, const void *site)
{
	uint32_t most = sc_joiner(s)->max_tasks;
	struct sc_task *tasks = NULL, *task;
	size_t i;

	if (count > (most ? most : UINT32_MAX))
		return -EINVAL;
	for (i = count; i-- > 0; tasks = task) {
		task = sc_os.alloc(sizeof *task);
		if (!task) {
			free_list(tasks);
			sc_failed(s, -ENOMEM, 0, site, "no memory to spawn tasks");
			return -ENOMEM;
		}
		*task = (struct sc_task){0};
		task->slot = (struct sc_slot){fn, site, (char *)base + i * stride, s};
		task->owns_record = 1;
		task->item.next = (struct sc_item *)tasks;
	}
	return sc_joiner_spawn_all(s, tasks, count);
}

SC_INLINE int spawn_n(struct sc_worker *worker, struct sc_scope *s, scope_task_fn *fn, void *base,
		      size_t stride, size_t count, const void *site)
{
	struct sc_range *tasks;
	int rc = sc_refused(worker, s);

	if (rc < 0 || count == 0)
		return rc;
	if (sc_is_joined(s))
		return spawn_each(s, fn, base, stride, count, site);
	tasks = new_tasks(fn, base, stride, count);
	if (tasks) {
		int own = sc_untag(worker->cur) == s;

		rc = own ? sc_range_push(worker, s, tasks, site) : queue_tasks(s, tasks, site);
		if (rc == 0)
			return 0;
		sc_os.free(tasks);
		if (own)
			return rc; /* which recorded it */
	}
	sc_failed(s, -ENOMEM, 0, site, "no memory to spawn tasks");
	return -ENOMEM;
}

int scope_spawn_n(struct scope *public, scope_task_fn *fn, void *base, size_t stride, size_t count)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	size_t bytes;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_spawn_n");
	sc_check_given("spawn into", s);
	sc_check_function("scope_spawn_n of", fn);
	if (__builtin_mul_overflow(stride, count, &bytes) || !s || !fn)
		return -EINVAL;
	if (!sc_begin_use(s))
		return -ESTALE;
	rc = spawn_n(worker, s, fn, base, stride, count, __builtin_return_address(0));
	sc_end_use(s);
	return rc;
}
