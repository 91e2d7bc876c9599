/* runtime/scope/joiner.c: what a scope does at each spawn and each end, by its policy (R1-R3). */
#include "scope/class.h"
#include <errno.h>

struct sc_joiner *sc_joiner_new(const struct scope_options *options)
{
	struct sc_joiner *joiner = sc_os.alloc(sizeof *joiner);

	if (!joiner)
		return NULL;
	*joiner = (struct sc_joiner){0};
	joiner->policy = options->policy;
	joiner->keeps = options->results;
	joiner->max_tasks = options->max_tasks;
	joiner->on_exit = options->on_exit;
	joiner->on_exit_arg = options->on_exit_arg;
	joiner->drop = options->drop;
	joiner->out_winner = options->out_winner;
	joiner->class_of = options->class_of;
	return joiner;
}

void sc_joiner_free(struct sc_joiner *joiner)
{
	while (joiner->kept) {
		struct sc_task *task = joiner->kept;

		joiner->kept = sc_task_next(task);
		sc_free_task(task);
	}
	sc_free_task(joiner->winner);
	sc_free_task(joiner->taken);
	sc_os.free(joiner);
}

/* ---- the beginning of tasks ------------------------------------------------------------------ */

static void begin_units(struct sc_scope *s, size_t count)
{
	if (!(sc_state(s) & SC_SHARED))
		at_or_rlx(&s->state, SC_SHARED);
	at_add_rlx(&s->count, (int64_t)count);
}

static void expect(struct sc_scope *s, size_t count)
{
	if (!sc_joiner(s)->keeps)
		return;
	sc_scope_lock(s);
	sc_joiner(s)->expected += count;
	sc_scope_unlock(s);
}

/* So many units that the caller has begun get their room. */
static int enter(struct sc_scope *s, size_t count, int may_wait)
{
	int rc = sc_limit_enter(s, count, may_wait);

	if (rc < 0)
		return rc;
	/* It may have been cancelled meanwhile. */
	rc = may_wait && sc_joiner(s)->max_tasks ? sc_refused(sc_self(), s) : 0;
	if (rc < 0)
		sc_limit_leave(s, count);
	return rc;
}

static int spawn(struct sc_scope *s, struct sc_task *tasks, size_t count, int may_wait)
{
	struct sc_task *rest;
	int rc;

	begin_units(s, count);
	rc = enter(s, count, may_wait);
	if (rc == 0) {
		expect(s, count);
		sc_class_spawn(s, count);
	} else {
		sc_drop_units(s, (uint32_t)count);
	}
	for (; tasks; tasks = rest) {
		rest = sc_task_next(tasks);
		if (rc == 0)
			sc_submit(tasks);
		else
			sc_free_task(tasks);
	}
	return rc;
}

int sc_joiner_spawn(struct sc_task *task, unsigned flags)
{
	task->item.next = NULL;
	return spawn(task->slot.scope, task, 1, !(flags & SCOPE_NOWAIT));
}

int sc_joiner_spawn_all(struct sc_scope *s, struct sc_task *tasks, size_t count)
{
	return spawn(s, tasks, count, 1);
}

/* ---- values that nobody will see ------------------------------------------------------------- */

struct dropping {
	void (*drop)(void *arg);
	void *arg;
};

static int call_drop(void *arg)
{
	struct dropping *dropping = arg;

	dropping->drop(dropping->arg);
	return 0;
}

static void drop_success(struct sc_joiner *joiner, const struct sc_task *task)
{
	struct dropping dropping = {joiner->drop, task->slot.arg};

	if (joiner->drop && task->result == 0)
		sc_run_shielded(call_drop, &dropping, task->slot.site);
}

/* ---- one on_exit at a time ------------------------------------------------------------------- */

/* lock: s. */
static int try_exit(struct sc_joiner *joiner)
{
	if (joiner->exiting)
		return 0;
	joiner->exiting = 1;
	return 1;
}

/* On the next stack. */
static void publish_exit(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_entrant *entrant = strand->subject;
	struct sc_joiner *joiner = sc_joiner(entrant->scope);
	struct sc_scope *s = entrant->scope;
	int mine;

	(void)worker;
	sc_scope_lock(s);
	mine = try_exit(joiner);
	if (!mine) {
		if (joiner->exit_first)
			joiner->exit_last->next = entrant;
		else
			joiner->exit_first = entrant;
		joiner->exit_last = entrant;
	}
	sc_scope_unlock(s);
	if (mine)
		sc_ready(strand);
}

static void begin_exit(struct sc_scope *s)
{
	struct sc_worker *worker = sc_self();
	struct sc_entrant entrant = {.strand = worker->strand, .scope = s};
	int mine;

	sc_scope_lock(s);
	mine = try_exit(sc_joiner(s));
	sc_scope_unlock(s);
	if (mine)
		return;
	worker->strand->subject = &entrant;
	worker->strand->object = s;
	sc_park(worker, SC_IN_EXIT, publish_exit);
}

static void end_exit(struct sc_scope *s)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_strand *next = NULL;

	sc_scope_lock(s);
	if (joiner->exit_first) {
		next = joiner->exit_first->strand;
		joiner->exit_first = joiner->exit_first->next;
	} else {
		joiner->exiting = 0;
	}
	sc_scope_unlock(s);
	if (next)
		sc_ready(next);
}

/* ---- the end of a task ----------------------------------------------------------------------- */

/* The first one decides. */
static int decide(struct sc_scope *s, struct sc_task *winner)
{
	struct sc_joiner *joiner = sc_joiner(s);
	int first;

	sc_scope_lock(s);
	first = !joiner->decided && !joiner->settled;
	joiner->decided = 1;
	if (first)
		joiner->winner = winner;
	sc_scope_unlock(s);
	return first;
}

static enum sc_heard succeeded(struct sc_scope *s, struct sc_task *task)
{
	if (decide(s, task)) {
		sc_cancel(s, SCOPE_CAUSE_JOINER);
		return SC_HEARD_KEPT;
	}
	drop_success(sc_joiner(s), task);
	return SC_HEARD;
}

/* ANY: one of several ways did not work; who comes after the winner was cancelled, or may be. */
static void any_failed(struct sc_scope *s, struct sc_task *task, uintptr_t place)
{
	int decided;

	sc_scope_lock(s);
	decided = sc_joiner(s)->decided;
	sc_scope_unlock(s);
	if (decided)
		sc_obeyed(s, task->result);
	else
		sc_list_error(s, task->result, place, task->slot.site, NULL);
}

/* RACE: to end because one was told to decides nothing. */
static void race_failed(struct sc_scope *s, struct sc_task *task, uintptr_t place)
{
	int told = sc_told(s, task->result);

	if (!told && decide(s, NULL))
		sc_failed(s, task->result, place, task->slot.site, NULL);
	else if (told || sc_joiner(s)->winner)
		sc_obeyed(s, task->result);
	else
		sc_list_error(s, task->result, place, task->slot.site, NULL);
}

struct asking {
	struct sc_joiner *joiner;
	struct scope_result result;
};

static int call_on_exit(void *arg)
{
	struct asking *asking = arg;

	return asking->joiner->on_exit(&asking->result, asking->joiner->on_exit_arg);
}

/* CUSTOM.  True: it is to run again. */
static int asked(struct sc_scope *s, struct sc_task *task, uintptr_t place)
{
	struct asking asking = {sc_joiner(s), {task->slot.arg, task->result, task->name}};
	int answer;

	begin_exit(s);
	answer = sc_run_shielded(call_on_exit, &asking, task->slot.site);
	if (answer == SCOPE_EXIT_RESTART && !sc_effective(s)) {
		end_exit(s);
		return 1;
	}
	task->result = asking.result.rc;
	if (task->result != 0)
		sc_list_error(s, task->result, place, task->slot.site, NULL);
	if (answer == SCOPE_EXIT_CANCEL)
		sc_cancel(s, SCOPE_CAUSE_JOINER);
	end_exit(s);
	return 0;
}

/* lock: s.  A task that waits in scope_next, to be continued by the caller, or NULL; it stays in
 * this wait while the lock is held. */
static struct sc_strand *claim_taker(struct sc_joiner *joiner)
{
	struct sc_strand *taker = joiner->taker;

	joiner->taker = NULL;
	return taker && sc_wait_claim(taker, SC_WAIT_EVENT) ? taker : NULL;
}

/* For scope_next.  False: it is too late for that. */
static int keep(struct sc_scope *s, struct sc_task *task)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_strand *taker;
	int kept;

	task->item.next = NULL;
	sc_scope_lock(s);
	joiner->expected--;
	kept = !joiner->settled;
	if (kept) {
		if (joiner->kept)
			joiner->kept_last->item.next = &task->item;
		else
			joiner->kept = task;
		joiner->kept_last = task;
	}
	taker = claim_taker(joiner);
	sc_scope_unlock(s);
	if (taker)
		sc_ready(taker);
	return kept;
}

enum sc_heard sc_joiner_hear(struct sc_scope *s, struct sc_task *task, int rc, uintptr_t place)
{
	struct sc_joiner *joiner = sc_joiner(s);

	task->result = rc;
	switch (joiner->policy) {
	case SCOPE_ANY:
	case SCOPE_RACE:
		if (rc == 0)
			return succeeded(s, task);
		if (joiner->policy == SCOPE_ANY)
			any_failed(s, task, place);
		else
			race_failed(s, task, place);
		return SC_HEARD;
	case SCOPE_CUSTOM:
		if (asked(s, task, place))
			return SC_HEARD_AGAIN;
		break;
	default:
		if (rc != 0)
			sc_failed(s, rc, place, task->slot.site, NULL);
	}
	if (!joiner->keeps)
		return SC_HEARD;
	if (keep(s, task))
		return SC_HEARD_KEPT;
	drop_success(joiner, task);
	return SC_HEARD;
}

void sc_joiner_missed(struct sc_scope *s)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_strand *taker = NULL;

	sc_class_end(s, NULL, -ENOMEM);
	sc_scope_lock(s);
	if (joiner->keeps && --joiner->expected == 0)
		taker = claim_taker(joiner);
	sc_scope_unlock(s);
	if (taker)
		sc_ready(taker);
	sc_joiner_leave(s);
}

void sc_joiner_leave(struct sc_scope *s)
{
	sc_limit_leave(s, 1);
}

/* ---- the end of the scope -------------------------------------------------------------------- */

int sc_joiner_settles(struct sc_scope *s)
{
	return !sc_joiner(s)->settled;
}

/* Its deadline was felt, or a cancel from above: that is the result. */
static int was_stopped(uint32_t state)
{
	uint32_t timed_out = SC_TIMED_OUT | SC_HIT_OWN;

	return (state & SC_HIT_OUTER) || (state & timed_out) == timed_out;
}

/* ANY, RACE.  A winner goes before what was felt: that a cancel came is seen at the next
 * checkpoint, and that the winner's work was done is seen only here. */
static void settle_winner(struct sc_scope *s)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_task *winner = joiner->winner;
	uint32_t state = sc_state(s);

	if (winner && (s->extra->failed || s->extra->abandoned)) {
		drop_success(joiner, winner);
		winner = NULL;
	} else if (winner) {
		sc_forget_errors(s);
		at_and_rlx(&s->state, ~(uint32_t)(SC_HIT_OWN | SC_HIT_OUTER));
	} else if (!(state & SC_FAILED) && !was_stopped(state)) {
		sc_list_error(s, -ENOENT, sc_self()->cur, s->site, "no task succeeded");
	}
	if (joiner->out_winner && !s->extra->abandoned)
		*joiner->out_winner = winner ? winner->slot.arg : NULL;
}

void sc_joiner_settle(struct sc_scope *s)
{
	struct sc_joiner *joiner = sc_joiner(s);
	struct sc_task *task;

	joiner->settled = 1;
	if (joiner->policy == SCOPE_ANY || joiner->policy == SCOPE_RACE)
		settle_winner(s);
	for (task = joiner->kept; task; task = sc_task_next(task))
		drop_success(joiner, task);
}
