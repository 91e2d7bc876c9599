/* runtime/scope/restart.c: which children a supervisor starts again, when, and how often. */
#include "scope/supervise.h"
#include <errno.h>

/* ---- errors that were dealt with ------------------------------------------------------------ */

/* How many restarts lie within the last period; without a limit none is counted. */
static uint32_t recent_restarts(struct sc_supervisor *sup, int64_t now)
{
	uint32_t most = sup->options.max_restarts;

	while (sup->restarts > 0 &&
	       now - sup->times[sup->oldest] > sup->options.period_ns) {
		sup->oldest = (sup->oldest + 1) % most;
		sup->restarts--;
	}
	return sup->restarts;
}

/* The last error will be replaced: it goes to those before it, which end with the period. */
static void store_last(struct sc_supervisor *sup)
{
	struct sc_scope *own = &sup->between.scope;

	if (recent_restarts(sup, sc_now()) == 0)
		sc_forget_errors(own);
	else if (sup->last_code != 0)
		sc_list_error(own, sup->last_code, sc_self()->cur, sup->last_site, NULL);
	sup->last_code = 0;
}

/* Closes the scope of a run: what it would have returned.  Its record is the task's last error. */
static int close_run(struct sc_child *child)
{
	struct sc_scope *s = &child->between.scope;
	int rc = sc_conclude(s);

	if (!(sc_state(s) & SC_FAILED))
		rc = 0; /* to have been stopped is none */
	sc_keep_error(s, rc != 0 ? rc : -ECANCELED); /* that is: none */
	sc_take_down(s);
	return rc;
}

/* An error that no restart deals with. */
static void fail(struct sc_supervisor *sup, const struct sc_child *child, int rc)
{
	struct sc_scope *s = sc_supervised(sup);

	if (rc == 0)
		return;
	if (child->restart == SCOPE_TEMPORARY && !sup->stopping && child->task->result == 0)
		sc_list_error(s, rc, sc_self()->cur, child->task->slot.site, NULL);
	else
		sc_failed(s, rc, sc_self()->cur, child->task->slot.site, NULL);
}

/* From here on children only end, and nobody adds any. */
static void end_it(struct sc_supervisor *sup)
{
	sup->stopping = 1;
	sc_cancel(&sup->between.scope, SCOPE_CAUSE_SUPERVISOR);
}

static void give_up(struct sc_supervisor *sup, const struct sc_child *child, int rc)
{
	struct sc_scope *own = &sup->between.scope, *s = sc_supervised(sup);
	int64_t period = sup->options.period_ns;
	char text[200];

	snprintf(text, sizeof text, "supervisor \"%.64s\": more than %u restart%s in %lld.%03lld s",
		 sup->options.name, sup->options.max_restarts,
		 sup->options.max_restarts == 1 ? "" : "s", (long long)(period / SCOPE_SEC),
		 (long long)(period % SCOPE_SEC / SCOPE_MS));
	end_it(sup);
	sc_failed(s, rc != 0 ? rc : -ECHILD, sc_self()->cur, child->task->slot.site, text);
	if (sc_state(own) & SC_FAILED)
		sc_pass_error(own, own->code, s);
	sc_forget_errors(own);
}

/* ---- when ----------------------------------------------------------------------------------- */

/* One more restart: false if it is one too many. */
static int count_restart(struct sc_supervisor *sup, int64_t now)
{
	uint32_t most = sup->options.max_restarts, recent = recent_restarts(sup, now);

	if (most == UINT_MAX)
		return 1;
	if (recent == most)
		return 0;
	sup->times[(sup->oldest + recent) % most] = now;
	sup->restarts++;
	return 1;
}

/* Between a half and all of it: what failed together is not to come back together. */
static int64_t part_of(int64_t pause)
{
	enum { STEPS = 1024 };
	uint32_t step = sc_seeded() ? sc_draw(STEPS) : (uint32_t)(sc_os.random() % STEPS);

	return pause - pause / 2 / STEPS * step;
}

static int64_t pause_before(struct sc_supervisor *sup, struct sc_child *child, int64_t now)
{
	int64_t pause = sup->options.backoff_ns, most = sup->options.max_backoff_ns;
	uint32_t i;

	if (now - child->started_at >= sup->options.period_ns)
		child->restarts = 0;
	for (i = 0; i < child->restarts && pause < most; i++)
		pause = pause <= most / 2 ? pause * 2 : most;
	if (child->restarts < 63)
		child->restarts++;
	if (pause > most)
		pause = most;
	return pause > 0 ? part_of(pause) : 0;
}

/* ---- which ---------------------------------------------------------------------------------- */

int sc_restart_in_group(const struct sc_supervisor *sup, const struct sc_child *child)
{
	return sup->grouped && child->serial >= sup->group_first &&
	       child->serial <= sup->group_last;
}

int sc_restart_group(struct sc_supervisor *sup)
{
	struct sc_child *child;
	int64_t due;

	for (child = sup->cursor; child && sc_restart_in_group(sup, child);
	     child = sup->cursor = child->before) {
		if (child->running && !child->asked)
			sc_child_ask(child, child->grace);
		if (child->running)
			return 0; /* one at a time */
	}
	due = sc_now() + sup->group_pause;
	for (child = sup->first; child; child = child->after)
		if (sc_restart_in_group(sup, child))
			sc_child_wait(child, due);
	sup->grouped = 0;
	sup->cursor = NULL;
	return 1;
}

/* The child, which has ended, and those that go with it. */
static void restart(struct sc_supervisor *sup, struct sc_child *child, int64_t now)
{
	int64_t pause = pause_before(sup, child, now);

	sc_child_wait(child, now + pause);
	if (sup->options.strategy == SCOPE_ONE_FOR_ONE)
		return;
	sup->grouped = 1;
	sup->group_first = sup->options.strategy == SCOPE_REST_FOR_ONE ? child->serial : 0;
	sup->group_last = sup->serial;
	sup->cursor = sup->last;
	sup->group_pause = pause;
}

/* ---- the end of a run ----------------------------------------------------------------------- */

struct question {
	struct sc_supervisor *sup;
	struct scope_result result;
};

static int call_on_exit(void *arg)
{
	struct question *question = arg;
	const struct scope_supervise_options *options = &question->sup->options;

	return options->on_exit(&question->result, options->on_exit_arg);
}

static int ask_user(struct sc_supervisor *sup, struct sc_child *child, int *rc)
{
	struct question question = {sup, {child->task->slot.arg, *rc, child->task->name}};
	int answer;

	if (!sup->options.on_exit)
		return SCOPE_EXIT_CONTINUE;
	answer = sc_run_shielded(call_on_exit, &question, child->task->slot.site);
	*rc = question.result.rc;
	return answer;
}

/* RESTART: it is to be started again; CANCEL: it is not, and all are stopped. */
static int judge(const struct sc_child *child, int answer, int rc)
{
	if (answer != SCOPE_EXIT_CONTINUE)
		return answer;
	return child->restart == SCOPE_PERMANENT || (child->restart == SCOPE_TRANSIENT && rc != 0)
		       ? SCOPE_EXIT_RESTART
		       : SCOPE_EXIT_CONTINUE;
}

/* It will be started again with its group, or is gone. */
static void hear_in_group(struct sc_supervisor *sup, struct sc_child *child, int rc)
{
	if (child->restart == SCOPE_TEMPORARY) {
		fail(sup, child, rc);
		sc_child_gone(child);
		return;
	}
	sup->last_code = rc;
	sup->last_site = child->task->slot.site;
	child->running = 0;
}

static void hear_alone(struct sc_supervisor *sup, struct sc_child *child, int rc, int verdict)
{
	int64_t now = sc_now();

	if (verdict != SCOPE_EXIT_RESTART) {
		fail(sup, child, rc);
		sc_child_gone(child);
		if (verdict == SCOPE_EXIT_CANCEL)
			end_it(sup);
	} else if (count_restart(sup, now)) {
		sup->last_code = rc;
		sup->last_site = child->task->slot.site;
		restart(sup, child, now);
	} else {
		give_up(sup, child, rc);
		sc_child_gone(child);
	}
}

void sc_restart_hear(struct sc_supervisor *sup, struct sc_child *child)
{
	struct sc_scope *own = &sup->between.scope;
	int rc, answer;

	/* What made the child end may be what has the supervisor end. */
	sup->stopping |= sc_effective(own) || sc_stopped(own);
	store_last(sup);
	rc = close_run(child);
	answer = ask_user(sup, child, &rc);
	/* What was refused a stack was dropped: it can't run any more (P8). */
	if (sup->stopping || child->task->result != 0) {
		fail(sup, child, rc);
		sc_child_gone(child);
	} else if (sup->grouped) {
		hear_in_group(sup, child, rc);
	} else {
		hear_alone(sup, child, rc, judge(child, answer, rc));
	}
}

void sc_restart_stop(struct sc_supervisor *sup)
{
	struct sc_child *child, *after;

	sup->stopping = 1;
	sup->grouped = 0;
	for (child = sup->first; child; child = after) {
		after = child->after;
		if (child->running)
			continue;
		if (child->has_run)
			sc_child_gone(child);
		else
			sc_child_wait(child, 0); /* what was accepted runs */
	}
}
