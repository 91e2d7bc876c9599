/* runtime/scope/supervise.c: what a supervisor does: starts, stops and closes its children; its
 * spawner.  See supervise.h.
 */
#include "scope/ref.h"
#include "scope/supervise.h"
#include <errno.h>
#include <string.h>

/* ---- children ------------------------------------------------------------------------------- */

/* The end of a run's task. */
static struct sc_strand *run_ended(struct sc_between *between, int rc)
{
	struct sc_child *child = (struct sc_child *)between;
	struct sc_supervisor *sup = child->supervisor;

	(void)rc;
	child->next = NULL;
	sc_lock_take(&sup->lock);
	*sup->ended_end = child;
	sup->ended_end = &child->next;
	sc_lock_drop(&sup->lock);
	scope_unpark(&sup->parker);
	return sc_units_end(&sup->between.scope, 1);
}

void sc_child_wait(struct sc_child *child, int64_t due)
{
	struct sc_supervisor *sup = child->supervisor;

	child->running = 0;
	child->due = due;
	if (due < sup->next_due)
		sup->next_due = due;
}

void sc_child_start(struct sc_child *child)
{
	struct sc_supervisor *sup = child->supervisor;

	memset((void *)&child->between.scope, 0, sizeof child->between.scope);
	child->between.scope.state = SC_BETWEEN | SC_SHIELD;
	child->running = child->has_run = 1;
	child->asked = 0;
	child->started_at = sc_now();
	child->task->result = 0;
	sc_hang(sc_self(), &child->between.scope, &sup->between.scope, 0, child->task->slot.site);
	at_add_rlx(&sup->between.scope.count, 1);
	sc_accept(child->task);
}

void sc_child_ask(struct sc_child *child, int64_t grace)
{
	child->asked = 1;
	if (grace > 0)
		scope_shutdown((struct scope *)&child->between.scope, grace);
	else
		sc_cancel(&child->between.scope, SCOPE_CAUSE_SUPERVISOR);
}

static void free_child(struct sc_child *child)
{
	if (!child->service)
		sc_drop_units(sc_supervised(child->supervisor), 1);
	sc_os.free(child->task);
	sc_os.free(child);
}

void sc_child_gone(struct sc_child *child)
{
	struct sc_supervisor *sup = child->supervisor;

	if (sup->cursor == child)
		sup->cursor = child->before;
	if (child->before)
		child->before->after = child->after;
	else
		sup->first = child->after;
	if (child->after)
		child->after->before = child->before;
	else
		sup->last = child->before;
	free_child(child);
}

/* ---- the supervisor's task ------------------------------------------------------------------ */

static struct sc_child *take_fresh(struct sc_supervisor *sup)
{
	struct sc_child *child;

	sc_lock_take(&sup->lock);
	child = sup->fresh;
	sup->fresh = NULL;
	sup->fresh_end = &sup->fresh;
	sc_lock_drop(&sup->lock);
	return child;
}

static void welcome(struct sc_supervisor *sup)
{
	struct sc_child *child, *next;

	for (child = take_fresh(sup); child; child = next) {
		next = child->next;
		child->serial = ++sup->serial;
		child->before = sup->last;
		if (sup->last)
			sup->last->after = child;
		else
			sup->first = child;
		sup->last = child;
		sc_child_wait(child, 0);
	}
}

/* The next child whose end can be dealt with now, or NULL. */
static struct sc_child *take_ended(struct sc_supervisor *sup)
{
	struct sc_child **link, *child;

	sc_lock_take(&sup->lock);
	for (link = &sup->ended; (child = *link); link = &child->next)
		if (!sup->grouped || sc_restart_in_group(sup, child))
			break;
	if (child) {
		*link = child->next;
		if (!*link)
			sup->ended_end = link;
	}
	sc_lock_drop(&sup->lock);
	return child;
}

static void hear(struct sc_supervisor *sup)
{
	struct sc_child *child;

	welcome(sup);
	while ((child = take_ended(sup)))
		sc_restart_hear(sup, child);
}

/* Those whose time has come, in their order. */
static void start_due(struct sc_supervisor *sup)
{
	int64_t now = sc_now();
	struct sc_child *child;

	if (now < sup->next_due)
		return;
	sup->next_due = SC_NEVER;
	for (child = sup->first; child; child = child->after) {
		if (child->running || sc_restart_in_group(sup, child))
			continue;
		if (child->due <= now)
			sc_child_start(child);
		else
			sc_child_wait(child, child->due);
	}
}

/* Until there is to be no supervisor any more: -ECANCELED, -ESHUTDOWN. */
static int watch(struct sc_supervisor *sup)
{
	int rc;

	do {
		hear(sup);
		rc = scope_checkpoint(); /* a cancelled place starts nobody */
		if (rc < 0)
			return rc;
		if (sup->grouped && sc_restart_group(sup))
			continue; /* others may have ended meanwhile */
		start_due(sup);
		rc = scope_park_until(&sup->parker, sup->next_due);
	} while (rc == 0 || rc == -ETIMEDOUT);
	return rc;
}

/* Softly stopped: waits for the children, and has those end that have a grace period of their
 * own, until all of this is cancelled. */
static void watch_them_leave(struct sc_supervisor *sup)
{
	do {
		hear(sup);
		start_due(sup);
		if (sup->last && !sup->last->asked && sup->last->grace > 0)
			sc_child_ask(sup->last, sup->last->grace);
	} while (scope_park(&sup->parker) == 0);
}

/* Cancelled: ends all, one at a time, the last first.  Spawns are refused by now; who was about to
 * be accepted is either there when the first look is taken, or refused too. */
static void end_all(struct sc_supervisor *sup, int at_once)
{
	struct scope_options options = {.shield = true};
	struct scope aside;

	scope_open_with(&aside, &options);
	sc_lock_take(&sup->lock);
	sup->over = 1;
	sc_lock_drop(&sup->lock);
	for (;;) {
		hear(sup);
		start_due(sup);
		if (!sup->last)
			break;
		if (!sup->last->ending) {
			sup->last->ending = 1;
			sc_child_ask(sup->last, at_once ? 0 : sup->last->grace);
		}
		scope_park(&sup->parker);
	}
	scope_close(&aside);
}

static int supervise(void *arg)
{
	struct sc_supervisor *sup = arg;
	int rc;

	scope_soft_begin();
	rc = watch(sup);
	scope_soft_end();
	sc_restart_stop(sup);
	if (rc == -ESHUTDOWN)
		watch_them_leave(sup);
	end_all(sup, rc == -ESHUTDOWN);
	sc_forget_errors(&sup->between.scope);
	return 0;
}

/* ---- the spawner ---------------------------------------------------------------------------- */

static struct sc_child *new_child(struct sc_supervisor *sup, scope_task_fn *fn, void *arg,
				  const struct scope_spawn_options *options, const void *site)
{
	struct sc_child *child = sc_os.alloc(sizeof *child);

	if (!child)
		return NULL;
	memset((void *)child, 0, sizeof *child);
	child->task = sc_new_task(arg, options ? options->copy_size : 0, options);
	if (!child->task) {
		sc_os.free(child);
		return NULL;
	}
	child->task->owns_record = 0; /* it runs again */
	child->task->slot = (struct sc_slot){fn, site, child->task->slot.arg,
					     &child->between.scope};
	child->between.ended = run_ended;
	child->supervisor = sup;
	child->restart = sup->options.restart;
	child->grace = sup->options.grace_ns;
	if (options && options->restart)
		child->restart = options->restart;
	if (options && options->grace_ns)
		child->grace = options->grace_ns;
	if (options && (options->flags & SCOPE_PINNED))
		child->task->pinned = sc_self();
	child->service = options && (options->flags & SCOPE_SERVICE);
	return child;
}

/* Takes it over. */
static int hand_in(struct sc_supervisor *sup, struct sc_child *child)
{
	int over;

	if (!child->service)
		at_add_rlx(&sc_supervised(sup)->count, 1);
	child->next = NULL;
	sc_lock_take(&sup->lock);
	over = sup->over;
	if (!over) {
		*sup->fresh_end = child;
		sup->fresh_end = &child->next;
	}
	sc_lock_drop(&sup->lock);
	if (over) {
		free_child(child);
		sc_hit(&sup->between.scope);
		return -ECANCELED;
	}
	scope_unpark(&sup->parker);
	return 0;
}

static int add_child(struct sc_supervisor *sup, scope_task_fn *fn, void *arg,
		     const struct scope_spawn_options *options, const void *site)
{
	struct sc_child *child;
	int rc = sc_refused(sc_self(), &sup->between.scope);

	if (rc < 0)
		return rc;
	child = new_child(sup, fn, arg, options, site);
	if (!child) {
		sc_failed(sc_supervised(sup), -ENOMEM, 0, site, "no memory for a child");
		return -ENOMEM;
	}
	rc = hand_in(sup, child);
	if (rc == 0 && options && (options->flags & SCOPE_CONCURRENT))
		sc_look_soon(sc_self());
	return rc;
}

static int spawn_child(const struct sc_spawner *spawner, scope_task_fn *fn, void *arg,
		       const struct scope_spawn_options *options, const void *site)
{
	struct sc_scope *held;
	int rc;

	sc_check_function("spawn of", fn);
	if (!fn || (options && (options->restart > SCOPE_TEMPORARY || options->grace_ns < 0)))
		return -EINVAL;
	held = sc_hold(&spawner->right);
	if (!held)
		return -ESTALE;
	rc = add_child(spawner->data, fn, arg, options, site);
	sc_drop_units(held, 1);
	return rc;
}

/* ---- its beginning -------------------------------------------------------------------------- */

/* The supervisor's task. */
static struct sc_strand *task_ended(struct sc_between *between, int rc)
{
	(void)rc;
	return sc_units_end(&between->scope, 1);
}

/* No stack can be had for the task, so nothing has run yet. */
static void task_refused(void *arg)
{
	struct sc_supervisor *sup = arg;
	struct sc_child *child, *next;

	sc_lock_take(&sup->lock);
	sup->over = 1;
	sc_lock_drop(&sup->lock);
	for (child = take_fresh(sup); child; child = next) {
		next = child->next;
		if (child->task->drop)
			child->task->drop(child->task->slot.arg);
		free_child(child);
	}
	sc_pass_error(&sup->between.scope, -ENOMEM, sc_supervised(sup));
	sc_forget_errors(&sup->between.scope);
}

static int valid(const struct scope_supervise_options *options)
{
	return SC_UNRESERVED(options) && options->strategy <= SCOPE_REST_FOR_ONE &&
	       options->restart <= SCOPE_TEMPORARY &&
	       (options->max_restarts <= 10000 || options->max_restarts == UINT_MAX) &&
	       options->period_ns >= 0 && options->backoff_ns >= 0 &&
	       options->max_backoff_ns >= 0 && options->max_backoff_ns <= SCOPE_NEVER / 2 &&
	       options->grace_ns >= 0;
}

static void set_defaults(struct scope_supervise_options *options)
{
	if (!options->name)
		options->name = "supervisor";
	if (!options->restart)
		options->restart = SCOPE_PERMANENT;
	if (!options->max_restarts)
		options->max_restarts = 1;
	if (!options->period_ns)
		options->period_ns = 5 * SCOPE_SEC;
	if (!options->max_backoff_ns)
		options->max_backoff_ns = 30 * SCOPE_SEC;
}

static struct sc_supervisor *new_supervisor(const struct scope_supervise_options *options,
					    const void *site)
{
	unsigned most = options->max_restarts == UINT_MAX ? 0 : options->max_restarts;
	size_t size = sizeof(struct sc_supervisor) + most * sizeof(int64_t);
	struct sc_supervisor *sup = sc_os.alloc(size);

	if (!sup)
		return NULL;
	memset((void *)sup, 0, size);
	sup->between.scope.state = SC_BETWEEN;
	sup->between.ended = task_ended;
	sup->between.service = 1;
	sup->options = *options;
	sup->fresh_end = &sup->fresh;
	sup->ended_end = &sup->ended;
	sup->next_due = SC_NEVER;
	sup->task.slot = (struct sc_slot){supervise, site, sup, &sup->between.scope};
	sup->task.name = options->name;
	sup->task.drop = task_refused;
	return sup;
}

/* s is in use. */
static int begin(struct sc_worker *worker, struct sc_scope *s,
		 const struct scope_supervise_options *options, const void *site,
		 struct sc_spawner *out)
{
	struct sc_supervisor *sup;
	int rc = sc_refused(worker, s);

	if (rc < 0)
		return rc;
	sup = new_supervisor(options, site);
	if (!sup || sc_count_service(s, 1) < 0)
		goto fail;
	sc_hang(worker, &sup->between.scope, s, 0, site);
	*out = (struct sc_spawner){spawn_child, {NULL, 0}, sup};
	if (sc_right_of(&sup->between.scope, 0, &out->right) < 0)
		goto fail_hung;
	sup->between.scope.extra->name = options->name;
	sc_accept(&sup->task);
	return 0;

fail_hung:
	sc_take_down(&sup->between.scope);
fail:
	sc_os.free(sup);
	sc_failed(s, -ENOMEM, 0, site, "no memory for a supervisor");
	return -ENOMEM;
}

/* *out stays what it is unless there is a supervisor. */
static int supervise_in(struct sc_scope *s, const struct scope_supervise_options *given,
			const void *site, struct sc_spawner *out)
{
	struct scope_supervise_options options = {0};
	int rc;

	if (given)
		options = *given;
	if (!s || !valid(&options))
		return -EINVAL;
	set_defaults(&options);
	if (!sc_begin_use(s))
		return -ESTALE;
	rc = begin(sc_self(), s, &options, site, out);
	sc_end_use(s);
	return rc;
}

int scope_supervise(struct scope *public, const struct scope_supervise_options *given,
		    struct scope_spawner *out_spawner)
{
	struct sc_spawner spawner = {0};
	int rc;

	if (out_spawner)
		*(struct sc_spawner *)out_spawner = spawner;
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_supervise");
	sc_check_given("scope_supervise of", public);
	if (!out_spawner)
		return -EINVAL;
	rc = supervise_in(sc_view(public), given, __builtin_return_address(0), &spawner);
	if (rc == 0)
		*(struct sc_spawner *)out_spawner = spawner;
	return rc;
}
