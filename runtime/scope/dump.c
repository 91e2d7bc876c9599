/* runtime/scope/dump.c: what the tasks of a run do, as text and as JSON: rule O1. */
#define _GNU_SOURCE
#include "os/file.h"
#include "scope/survey.h"
#include <errno.h>
#include <scope_observe.h>
#include <stdarg.h>
#include <string.h>

/* Names in a path, counted from its end; the lines of a report that nobody asked for. */
enum { MOST_NAMES = 64, MOST_NAME = 96, MOST_LINES = 200, MOST_ORPHANS = 64, MOST_STUCK = 32 };

/* One dump at a time: the survey is large, and writing it may take for ever. */
static struct sc_lock lock;
static int busy;                 /* lock */
static struct sc_survey survey;  /* who set busy */

static int begin(void)
{
	int mine;

	sc_lock_take(&lock);
	mine = !busy;
	busy = 1;
	sc_lock_drop(&lock);
	return mine;
}

static void end(void)
{
	sc_lock_take(&lock);
	busy = 0;
	sc_lock_drop(&lock);
}

/* ---- output --------------------------------------------------------------------------------- */

/* Whole lines go to a descriptor, or to the reporter; a very long one goes in parts. */
struct out {
	int fd; /* -1: the reporter */
	int error;
	size_t used;
	char text[4096];
};

static void flush(struct out *out)
{
	if (out->used && out->fd < 0)
		sc_report(out->text, out->used);
	else if (out->used && out->error == 0)
		out->error = sc_os_write(out->fd, out->text, out->used);
	out->used = 0;
}

__attribute__((format(printf, 2, 3))) static void put(struct out *out, const char *format, ...)
{
	size_t room = sizeof out->text - out->used, length;
	va_list args;

	va_start(args, format);
	length = (size_t)vsnprintf(out->text + out->used, room, format, args);
	va_end(args);
	if (length >= room) {
		flush(out);
		va_start(args, format);
		vsnprintf(out->text, sizeof out->text, format, args);
		va_end(args);
	}
	SC_INVARIANT(length < sizeof out->text);
	out->used += length;
}

static void end_line(struct out *out)
{
	put(out, "\n");
	if (out->used > sizeof out->text / 2)
		flush(out);
}

/* ---- words ---------------------------------------------------------------------------------- */

/* What each reason is called, here and in JSON. */
static const char *const reason_text[SC_REASONS][2] = {
	[SC_FREE] = {"free", "free"},
	[SC_RUNNING] = {"running", "running"},
	[SC_READY] = {"ready", "ready"},
	[SC_IN_CLOSE] = {"in close", "close"},
	[SC_IN_WAIT] = {"in wait", "wait"},
	[SC_IN_SLEEP] = {"asleep", "sleep"},
	[SC_IN_OFFLOAD] = {"in an offloaded call", "offload"},
	[SC_IN_SPAWN] = {"in spawn", "spawn"},
	[SC_IN_NEXT] = {"in next", "next"},
	[SC_IN_EXIT] = {"in on_exit", "on_exit"},
	[SC_IN_SIGNAL] = {"waiting for a signal", "signal"},
	[SC_IN_PARK] = {"parked", "park"},
	[SC_IN_START] = {"starting a task", "start"},
	[SC_IN_READ] = {"waiting to read", "read"},
	[SC_IN_WRITE] = {"waiting to write", "write"},
	[SC_IN_ACCEPT] = {"waiting to accept", "accept"},
	[SC_IN_CONNECT] = {"connecting", "connect"},
	[SC_IN_MUTEX] = {"waiting for mutex", "mutex"},
	[SC_IN_RWLOCK] = {"waiting for rwlock", "rwlock"},
	[SC_IN_COND] = {"waiting for condition", "cond"},
	[SC_IN_SEMAPHORE] = {"waiting for semaphore", "semaphore"},
	[SC_IN_EVENT] = {"waiting for event", "event"},
	[SC_IN_BARRIER] = {"waiting at barrier", "barrier"},
	[SC_IN_ONCE] = {"waiting for the run of once", "once"},
	[SC_IN_SEND] = {"sending to channel", "send"},
	[SC_IN_RECV] = {"receiving from channel", "recv"},
	[SC_IN_SELECT] = {"in select", "select"},
};

static const char *name_of(const struct sc_sight *sight, char *out, size_t size)
{
	if (sight->share)
		return "(share)";
	if (sight->name)
		return sc_peek_text(sight->name, out, size);
	sc_os_symbol(sight->fn, 0, out, size);
	return out;
}

static const char *site_of(const void *site, char *out, size_t size)
{
	if (!site)
		return "scope_run";
	sc_os_site(site, out, size);
	return out;
}

static const char *function_at(const void *fn, char *out, size_t size)
{
	sc_os_symbol(fn, 0, out, size);
	return out;
}

static void put_name(struct out *out, const struct sc_sight *task)
{
	char name[MOST_NAME];

	put(out, "/%s", name_of(task, name, sizeof name));
	if (task->number > 1)
		put(out, "#%u", (unsigned)task->number);
}

static void put_path(struct out *out, const struct sc_sight *sight)
{
	const struct sc_sight *tasks[MOST_NAMES];
	unsigned count = 0;

	if (sight->share)
		put(out, "a share of "); /* of a range, of the task that follows */
	else
		tasks[count++] = sight;
	for (; sight->task && count < MOST_NAMES; count++)
		tasks[count] = sight = &survey.sights[sight->task - 1];
	if (sight->task)
		put(out, "...");
	while (count-- > 0)
		put_name(out, tasks[count]);
}

static int64_t tasks_left(const struct sc_sight *scope)
{
	return scope->count >= SC_WAITING / 2 ? scope->count - SC_WAITING : -1;
}

static int is_effective(uint32_t state)
{
	return (state & SC_OWN) || (state & (SC_OUTER | SC_SHIELD)) == SC_OUTER;
}

/* ---- text ----------------------------------------------------------------------------------- */

static void put_seconds(struct out *out, const char *before, int64_t ns, const char *after)
{
	put(out, "%s%lld.%03lld s%s", before, (long long)(ns / SCOPE_SEC),
	    (long long)(ns % SCOPE_SEC / SCOPE_MS), after);
}

static void put_scope(struct out *out, const struct sc_sight *scope)
{
	char text[SC_SITE_SIZE];

	put(out, "scope ");
	if (scope->name)
		put(out, "\"%s\" ", sc_peek_text(scope->name, text, 64));
	put(out, "opened at %s", site_of(scope->site, text, sizeof text));
}

static void put_scope_state(struct out *out, const struct sc_sight *scope, int64_t now)
{
	uint32_t state = scope->state;

	if (tasks_left(scope) >= 0)
		put(out, ", %lld task%s left", (long long)tasks_left(scope),
		    tasks_left(scope) == 1 ? "" : "s");
	if (state & SC_OWN)
		put(out, ", cancelled (%s)",
		    sc_cause_text((enum scope_cause)(state >> SC_CAUSE_SHIFT)));
	else if (is_effective(state))
		put(out, ", cancelled from above");
	if (state & SC_SHIELD)
		put(out, ", shielded");
	if (state & SC_FAILED)
		put(out, ", failed with %d", scope->code);
	if (!(state & SC_DEADLINE))
		return;
	if (state & SC_FIRED || scope->deadline <= now)
		put(out, ", its deadline has passed");
	else
		put_seconds(out, ", deadline in ", scope->deadline - now, "");
}

static int at_descriptor(const struct sc_sight *task)
{
	return task->reason == SC_IN_READ || task->reason == SC_IN_WRITE ||
	       task->reason == SC_IN_ACCEPT || task->reason == SC_IN_CONNECT;
}

static void put_descriptor(struct out *out, int fd)
{
	put(out, "%s fd %d", sc_os_is_terminal(fd) ? " terminal" : "", fd);
}

static void put_signal(struct out *out, int signal)
{
	const char *name = sigabbrev_np(signal);

	if (name)
		put(out, ", SIG%s", name);
	else
		put(out, ", %d", signal); /* of those for programs' own use */
}

static void put_state(struct out *out, const struct sc_sight *task)
{
	char text[SC_SITE_SIZE];

	put(out, "%s", reason_text[task->reason][0]);
	if (task->reason == SC_IN_OFFLOAD)
		put(out, " of %s", function_at(task->object, text, sizeof text));
	if (task->reason == SC_IN_START)
		put(out, ", %s", function_at(task->object, text, sizeof text));
	if (task->reason == SC_IN_SIGNAL)
		put_signal(out, (int)(intptr_t)task->object);
	if (task->reason == SC_IN_PARK)
		put(out, " in %p", task->object);
	if (task->reason >= SC_IN_MUTEX)
		put(out, " %p", task->object);
	if (at_descriptor(task))
		put_descriptor(out, (int)(intptr_t)task->object);
}

/* In a dump the scope has a line of its own. */
static void put_inner(struct out *out, const struct sc_sight *task)
{
	const struct sc_sight *inner = &survey.sights[task->inner - 1];

	put(out, task->reason == SC_IN_CLOSE ? " of " : ", in ");
	put_scope(out, inner);
	if (task->reason == SC_IN_CLOSE) /* and not buried: see there */
		put(out, ", which has %lld task%s left", (long long)tasks_left(inner),
		    tasks_left(inner) == 1 ? "" : "s");
}

static void put_details(struct out *out, const struct sc_sight *task, int64_t now)
{
	char text[SC_SITE_SIZE];

	if (task->worker)
		put(out, ", on worker %u", task->worker->index);
	if (task->reason > SC_READY && !task->worker && now > task->since)
		put_seconds(out, ", for ", now - task->since, "");
	if (task->reason == SC_IN_SLEEP && task->wake_at != SCOPE_NEVER && task->wake_at > now)
		put_seconds(out, ", until in ", task->wake_at - now, "");
	put(out, ", spawned at %s", site_of(task->site, text, sizeof text));
	if (task->stack)
		put(out, ", %zu bytes of stack", task->stack);
	if (task->moving)
		put(out, ", on the move");
}

/* Where the worker of a running task is now: it need not be that task any more. */
static unsigned find_frames(const struct sc_sight *task, struct sc_frames *frames)
{
	struct sc_fiber fiber;

	if (!task->worker || task->reason != SC_RUNNING || task->worker == sc_self() ||
	    !at_load_acq(&task->worker->known) || /* [thread.known] */
	    sc_os_peek(&fiber, task->fiber, sizeof fiber) < 0)
		return 0;
	frames->low = (uintptr_t)fiber.stack_low;
	frames->high = (uintptr_t)fiber.stack_high;
	if (sc_os_where(task->worker->thread, frames) < 0 || frames->sp < frames->low ||
	    frames->sp >= frames->high)
		return 0;
	return frames->count;
}

/* Below it is what began the strand, and is the same for all. */
static int is_root_frame(const char *site)
{
	return strncmp(site, "sc_run_task", 11) == 0;
}

static void put_frames(struct out *out, const struct sc_sight *task)
{
	struct sc_frames frames;
	unsigned count = find_frames(task, &frames), i;
	char text[SC_SITE_SIZE];

	for (i = 0; i < count; i++) {
		if (is_root_frame(site_of(frames.pc[i], text, sizeof text)))
			break;
		put(out, "      at %s", text);
		end_line(out);
	}
}

static void text_task(struct out *out, const struct sc_sight *task, int full, int64_t now)
{
	put(out, "  ");
	put_path(out, task);
	put(out, ": ");
	put_state(out, task);
	if (full)
		put_details(out, task, now);
	else if (task->inner)
		put_inner(out, task);
	end_line(out);
	put_frames(out, task);
}

/* Not those that the runtime opened for itself. */
static void text_scope(struct out *out, const struct sc_sight *scope, int64_t now)
{
	if (scope->state & SC_BARRIER)
		return;
	put(out, "      ");
	put_scope(out, scope);
	put_scope_state(out, scope, now);
	end_line(out);
}

/* Under whom others of its stack run: in a report they say enough. */
static int is_buried(const struct sc_sight *task)
{
	return task->reason == SC_IN_CLOSE && (!task->inner || task->worker ||
					       tasks_left(&survey.sights[task->inner - 1]) < 0);
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static void put_string(struct out *out, const char *key, const char *text)
{
	const unsigned char *at;

	put(out, ",\"%s\":\"", key);
	for (at = (const unsigned char *)text; *at; at++)
		if (*at == '"' || *at == '\\' || *at >= 127)
			put(out, "\\u%04x", *at);
		else
			put(out, "%c", *at);
	put(out, "\"");
}

static void put_number(struct out *out, const char *key, int64_t number)
{
	put(out, ",\"%s\":%lld", key, (long long)number);
}

static void json_frames(struct out *out, const struct sc_sight *task)
{
	struct sc_frames frames;
	unsigned count = find_frames(task, &frames), i;
	char text[SC_SITE_SIZE];

	if (count)
		put(out, ",\"frames\":[");
	for (i = 0; i < count; i++) {
		if (is_root_frame(site_of(frames.pc[i], text, sizeof text)))
			break;
		put(out, "%s\"%s\"", i ? "," : "", text);
	}
	if (count)
		put(out, "]");
}

static void json_task(struct out *out, const struct sc_sight *task, int64_t now)
{
	char text[SC_SITE_SIZE];

	put_string(out, "task", name_of(task, text, sizeof text));
	put_string(out, "state", reason_text[task->reason][1]);
	put_string(out, "site", site_of(task->site, text, sizeof text));
	if (task->number)
		put_number(out, "number", task->number);
	if (task->inner)
		put_number(out, "scope", task->inner);
	if (task->worker)
		put_number(out, "worker", task->worker->index);
	if (task->reason > SC_READY && !task->worker)
		put_number(out, "for_ns", now > task->since ? now - task->since : 0);
	if (task->reason == SC_IN_SLEEP && task->wake_at != SCOPE_NEVER)
		put_number(out, "until_ns", task->wake_at);
	if (task->reason == SC_IN_OFFLOAD || task->reason == SC_IN_START)
		put_string(out, "call", function_at(task->object, text, sizeof text));
	if (task->reason == SC_IN_SIGNAL)
		put_number(out, "signal", (intptr_t)task->object);
	if (at_descriptor(task))
		put_number(out, "fd", (intptr_t)task->object);
	if (task->stack)
		put_number(out, "stack_bytes", (int64_t)task->stack);
	json_frames(out, task);
}

static void json_scope(struct out *out, const struct sc_sight *scope)
{
	char text[SC_SITE_SIZE];

	put_string(out, "scope", scope->name ? sc_peek_text(scope->name, text, 64) : "");
	put_string(out, "site", site_of(scope->site, text, sizeof text));
	if (scope->state & SC_BARRIER)
		put(out, ",\"internal\":true");
	if (tasks_left(scope) >= 0)
		put_number(out, "left", tasks_left(scope));
	if (is_effective(scope->state))
		put_string(out, "cancelled", scope->state & SC_OWN ?
			   sc_cause_text((enum scope_cause)(scope->state >> SC_CAUSE_SHIFT)) :
			   "from above");
	if (scope->state & SC_SHIELD)
		put(out, ",\"shielded\":true");
	if (scope->state & SC_FAILED)
		put_number(out, "code", scope->code);
	if (scope->state & SC_DEADLINE)
		put_number(out, "deadline_ns", scope->deadline);
}

/* ---- all of it ------------------------------------------------------------------------------ */

static void text_orphans(struct out *out)
{
	const void *fns[MOST_ORPHANS];
	size_t count = sc_orphans(fns, MOST_ORPHANS), i;
	char text[SC_SITE_SIZE];

	for (i = 0; i < count && i < MOST_ORPHANS; i++) {
		put(out, "  abandoned: a call of %s", function_at(fns[i], text, sizeof text));
		end_line(out);
	}
}

static void text_end(struct out *out, unsigned more)
{
	text_orphans(out);
	if (more)
		put(out, "  and %u more\n", more);
	if (survey.left_out)
		put(out, "  no memory for %llu more\n", (unsigned long long)survey.left_out);
	flush(out);
}

static void dump_text(struct out *out)
{
	int64_t now = sc_now();
	uint32_t i;

	put_seconds(out, "libscope: at ", now, "");
	put(out, " with %u workers, these tasks:", sc_sched.count);
	end_line(out);
	for (i = survey.first; i; i = sc_survey_next(&survey, i))
		if (survey.sights[i - 1].kind == SC_SIGHT_TASK)
			text_task(out, &survey.sights[i - 1], 1, now);
		else
			text_scope(out, &survey.sights[i - 1], now);
	text_end(out, 0);
}

/* Who is parked, runs or is about to; of those whose stack another task is on, the other. */
static void report_text(struct out *out)
{
	unsigned lines = 0;
	uint32_t i;

	for (i = survey.first; i; i = sc_survey_next(&survey, i)) {
		const struct sc_sight *sight = &survey.sights[i - 1];

		if (sight->kind == SC_SIGHT_TASK && !is_buried(sight) && lines++ < MOST_LINES)
			text_task(out, sight, 0, 0);
	}
	text_end(out, lines > MOST_LINES ? lines - MOST_LINES : 0);
}

static void dump_json(struct out *out)
{
	const void *fns[MOST_ORPHANS];
	int64_t now = sc_now();
	char text[SC_SITE_SIZE];
	size_t orphans, k;
	uint32_t i;

	put(out, "{\"now_ns\":%lld,\"workers\":%u,\"left_out\":%llu,\"tree\":[", (long long)now,
	    sc_sched.count, (unsigned long long)survey.left_out);
	for (i = survey.first; i; i = sc_survey_next(&survey, i)) {
		const struct sc_sight *sight = &survey.sights[i - 1];

		end_line(out);
		put(out, "{\"id\":%u,\"in\":%u", i, sight->parent);
		if (sight->kind == SC_SIGHT_TASK)
			json_task(out, sight, now);
		else
			json_scope(out, sight);
		put(out, sc_survey_next(&survey, i) ? "}," : "}");
	}
	put(out, "],\"abandoned\":[");
	orphans = sc_orphans(fns, MOST_ORPHANS);
	for (k = 0; k < orphans && k < MOST_ORPHANS; k++)
		put(out, "%s\"%s\"", k ? "," : "", function_at(fns[k], text, sizeof text));
	put(out, "]}");
	end_line(out);
	flush(out);
}

static void with_survey(struct out *out, void (*print)(struct out *out))
{
	sc_survey_take(&survey);
	print(out);
	sc_survey_drop(&survey);
	end();
}

int scope_dump(int fd, enum scope_dump_format format)
{
	struct out out = {.fd = fd};

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_dump");
	if (format != SCOPE_DUMP_TEXT && format != SCOPE_DUMP_JSON)
		return -EINVAL;
	if (fd < 0)
		return -EBADF;
	if (!begin())
		return -EBUSY;
	with_survey(&out, format == SCOPE_DUMP_TEXT ? dump_text : dump_json);
	return out.error == 0 || out.error == -EBADF ? out.error : -EIO;
}

/* A dump whose descriptor takes nothing must not hold up the last words of a program. */
static int begin_soon(void)
{
	int64_t limit = sc_os.now() + SCOPE_SEC;
	unsigned turn = 0;

	while (!begin()) {
		if (sc_os.now() > limit)
			return 0;
		sc_relax(turn++);
	}
	return 1;
}

static void report(void (*print)(struct out *out))
{
	struct out out = {.fd = -1};

	if (begin_soon())
		with_survey(&out, print);
	else
		sc_reportf("  (another dump does not end)\n");
}

void sc_report_dump(void)
{
	report(dump_text);
}

void sc_report_tree(const char *headline)
{
	sc_reportf("libscope: %s\n", headline);
	report(report_text);
}

/* ---- for the watchdog ----------------------------------------------------------------------- */

static const struct sc_fiber *stuck_fiber; /* who set busy */

static int is_below(uint32_t index, uint32_t top)
{
	while (index && index != top)
		index = survey.sights[index - 1].parent;
	return index == top;
}

/* The task on that stack that is stuck, and what is below it. */
static void stuck_text(struct out *out)
{
	int64_t now = sc_now();
	uint32_t top = survey.first, i;
	unsigned lines = 0;

	for (; top; top = sc_survey_next(&survey, top)) {
		const struct sc_sight *sight = &survey.sights[top - 1];

		if (sight->kind == SC_SIGHT_TASK && sight->fiber == stuck_fiber &&
		    !is_buried(sight))
			break;
	}
	for (i = top; i && is_below(i, top) && lines++ < MOST_STUCK;
	     i = sc_survey_next(&survey, i))
		if (survey.sights[i - 1].kind == SC_SIGHT_TASK)
			text_task(out, &survey.sights[i - 1], 1, now);
		else
			text_scope(out, &survey.sights[i - 1], now);
	flush(out);
}

void sc_report_stuck(const char *headline, const struct sc_fiber *fiber)
{
	struct out out = {.fd = -1};

	if (!begin_soon())
		return;
	stuck_fiber = fiber;
	sc_reportf("libscope: %s:\n", headline);
	with_survey(&out, stuck_text);
}
