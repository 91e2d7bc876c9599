/* runtime/scope/report.c: task paths, the printed tree of an error, the reporter. */
#define _GNU_SOURCE
#include "scope/tree.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

enum { MOST_NAMES = 64, DEEPEST = 8 };

/* ---- the reporter ---------------------------------------------------------------------------- */

static scope_report_fn *report_fn;
static void *report_arg;
static struct sc_lock report_lock;

void sc_reporter(scope_report_fn *report, void *arg)
{
	report_fn = report;
	report_arg = arg;
}

void sc_report(const char *text, size_t length)
{
	sc_lock_take(&report_lock);
	if (report_fn)
		report_fn(text, length, report_arg);
	else
		sc_os_write_stderr(text, length);
	sc_lock_drop(&report_lock);
}

/* How much of a text is in a buffer of that size: vsnprintf tells how long it would be. */
static size_t fitted(int length, size_t size)
{
	SC_INVARIANT(length >= 0);
	return (size_t)length < size ? (size_t)length : size - 1;
}

void sc_reportf(const char *format, ...)
{
	char text[2048];
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	sc_report(text, fitted(length, sizeof text));
}

/* ---- paths ----------------------------------------------------------------------------------- */

/* Name and parent place of the task that `task` stands for (a node, or s|1). */
SC_RACY static const void *what_runs(uintptr_t task, const char **out_name, uintptr_t *out_parent)
{
	struct sc_scope *s = sc_untag(task);
	struct sc_task *record = NULL;
	const void *fn;

	if (task & 1) {
		fn = s->running.what;
		if (s->running.site & SC_RUNNING_NAMED)
			record = (struct sc_task *)(uintptr_t)fn;
		*out_parent = (uintptr_t)s;
	} else {
		struct sc_strand *strand = sc_card_of(s)->strand;

		fn = (const void *)strand->slot.fn;
		record = strand->task;
		*out_parent = s->parent;
	}
	*out_name = NULL;
	if (record) {
		fn = (const void *)record->slot.fn;
		*out_name = record->name;
	}
	return fn;
}

static size_t put_name(char *out, size_t size, const void *fn, const char *name)
{
	char symbol[128];
	int length;

	if (!name) {
		sc_os_symbol(fn, 0, symbol, sizeof symbol);
		name = symbol;
	}
	length = snprintf(out, size, "/%s", name);
	return fitted(length, size);
}

SC_RACY void sc_path(uintptr_t place, char *out, size_t size)
{
	int held = sc_lineage_hold();
	uintptr_t tasks[MOST_NAMES];
	unsigned count = 0, from;
	size_t used = 0;

	out[0] = '\0';
	while (sc_untag(place) != &sc_root) {
		uintptr_t task = sc_task_of(place);
		const char *name;

		if (!sc_sound(task)) {
			used += (size_t)snprintf(out, size, "(unknown)");
			break;
		}
		if (what_runs(task, &name, &place) == (const void *)sc_range_entry)
			continue; /* a thief's share of a range is no task */
		tasks[count++ % MOST_NAMES] = task;
	}
	for (from = count > MOST_NAMES ? MOST_NAMES : count; from > 0; from--) {
		const char *name;
		uintptr_t parent;
		const void *fn = what_runs(tasks[--count % MOST_NAMES], &name, &parent);

		if (used + 2 < size)
			used += put_name(out + used, size - used, fn, name);
	}
	sc_lineage_drop(held);
}

/* Where the task at `place` was spawned; that of an inlined one is in the scope it runs for. */
static const void *site_of(uintptr_t place)
{
	uintptr_t task = sc_task_of(place);

	if (!sc_sound(task))
		return NULL;
	if (task & 1)
		return (const void *)(sc_untag(task)->running.site & ~SC_RUNNING_MARKS);
	return sc_card_of(sc_untag(task))->strand->slot.site;
}

SC_RACY void sc_describe(uintptr_t place, char *out, size_t size)
{
	char path[1024], symbol[160];
	const char *from = sc_sound(sc_task_of(place)) ? "scope_run" : "(unknown)";
	const void *site = site_of(place);

	sc_path(place, path, sizeof path);
	if (site)
		sc_os_symbol(site, 1, symbol, sizeof symbol);
	snprintf(out, size, "task %s, spawned at %s", path, site ? symbol : from);
}

SC_RACY void sc_describe_scope(struct sc_scope *s, char *out, size_t size)
{
	char symbol[160];
	const char *name;

	if (!sc_sound((uintptr_t)s)) {
		snprintf(out, size, "%p", (void *)s);
		return;
	}
	name = sc_name(s);
	sc_os_symbol(s->site, 1, symbol, sizeof symbol);
	snprintf(out, size, "scope %s%s%sopened at %s", name ? "\"" : "", name ? name : "",
		 name ? "\" " : "", symbol);
}

/* ---- printing -------------------------------------------------------------------------------- */

struct printer {
	char *text;
	size_t size, used;
};

static void print(struct printer *printer, const char *format, ...)
{
	size_t room = printer->size - printer->used;
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(printer->text + printer->used, room, format, args);
	va_end(args);
	printer->used += fitted(length, room);
}

const char *sc_cause_text(enum scope_cause cause)
{
	static const char *const text[] = {
		[SCOPE_CAUSE_NONE] = "",
		[SCOPE_CAUSE_EXPLICIT] = "cancelled",
		[SCOPE_CAUSE_DEADLINE] = "deadline",
		[SCOPE_CAUSE_ERROR] = "sibling failed",
		[SCOPE_CAUSE_PARENT] = "cancelled from above",
		[SCOPE_CAUSE_INTERRUPT] = "interrupted",
		[SCOPE_CAUSE_SHUTDOWN] = "shutdown",
		[SCOPE_CAUSE_JOINER] = "joiner",
		[SCOPE_CAUSE_DEADLOCK] = "deadlock",
		[SCOPE_CAUSE_RUNTIME] = "rule broken",
	};

	return text[cause];
}

static void print_code(struct printer *printer, int code)
{
	int number = code < 0 && code > INT_MIN ? -code : -1; /* -INT_MIN is no int */
	const char *name = strerrordesc_np(number);
	const char *symbol = strerrorname_np(number);

	if (symbol)
		print(printer, "-%s (%s)", symbol, name);
	else
		print(printer, "result %d", code);
}

static void print_one(struct printer *printer, const struct scope_error *error, int indent,
		      const char *label)
{
	char site[160];

	print(printer, "%*s%s%s: ", indent, "", label, error->path);
	print_code(printer, error->code);
	if (error->text[0])
		print(printer, ": %s", error->text);
	if (error->cause != SCOPE_CAUSE_NONE)
		print(printer, " [%s]", sc_cause_text(error->cause));
	if (error->site) {
		sc_os_symbol(error->site, 1, site, sizeof site);
		print(printer, ", spawned at %s", site);
	}
	print(printer, "\n");
}

static void print_tree(struct printer *printer, const struct scope_error *error, int indent,
		       const char *label)
{
	const struct scope_error *each;

	print_one(printer, error, indent, label);
	if (indent / 2 >= DEEPEST)
		return;
	if (error->context)
		print_tree(printer, error->context, indent + 2, "while handling ");
	for (each = error->suppressed; each; each = each->next)
		print_tree(printer, each, indent + 2, "also ");
	if (error->uncounted)
		print(printer, "%*sand %llu more\n", indent + 2, "",
		      (unsigned long long)error->uncounted);
}

static size_t format_error(const struct scope_error *error, const char *label, char *text,
			   size_t size)
{
	struct printer printer = {text, size, 0};

	print_tree(&printer, error, 0, label);
	sc_mark_printed(error);
	return printer.used;
}

int scope_error_print(const struct scope_error *error, FILE *to)
{
	char text[8192];
	size_t length;

	if (!error || !to)
		return -EINVAL;
	length = format_error(error, "", text, sizeof text);
	return fwrite(text, 1, length, to) == length && fflush(to) == 0 ? 0 : -EIO;
}

void sc_report_error(const struct scope_error *error)
{
	char text[8192];

	sc_report(text, format_error(error, "libscope: ", text, sizeof text));
}
