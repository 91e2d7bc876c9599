/* runtime/scope/print.c: an error as text: rule E7.
 *
 *	/main/server/conn#2: -EIO (Input/output error): disk full
 *	  failed at conn (server.c:41)
 *	  while handling /main/server/conn#2/read: -EBADMSG (Bad message)
 *	    spawned at conn (server.c:37)
 *	  also /main/server/conn: -ECONNRESET (Connection reset by peer)
 *	    spawned at server (server.c:66)
 *	    while cancelled, because /main/server/conn#2 failed with -EIO
 */
#define _GNU_SOURCE
#include "scope/tree.h"
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <string.h>

/* Levels, and bytes; a line is shorter than LINE: a path, a text and a site. */
enum { DEEPEST = 8, MOST = 16384, LINE = 2048 };

struct printer {
	/* Gets whole lines; false: it takes no more. */
	int (*write)(void *to, const char *text, size_t length);
	void *to;
	size_t used, written;
	int failed, cut;
	char text[2 * LINE];
};

static void flush(struct printer *printer)
{
	if (printer->used > 0 && !printer->failed &&
	    !printer->write(printer->to, printer->text, printer->used))
		printer->failed = 1;
	printer->written += printer->used;
	printer->used = 0;
}

static void print(struct printer *printer, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = vsnprintf(printer->text + printer->used, LINE, format, args);
	va_end(args);
	SC_INVARIANT(length >= 0 && length < LINE);
	printer->used += (size_t)length;
	if (printer->used >= LINE && printer->text[printer->used - 1] == '\n')
		flush(printer);
}

void sc_put_code(int code, int in_words, char *out, size_t size)
{
	int number = code < 0 && code > INT_MIN ? -code : -1; /* -INT_MIN is no int */
	const char *symbol = strerrorname_np(number);

	if (!symbol)
		snprintf(out, size, "result %d", code);
	else if (in_words)
		snprintf(out, size, "-%s (%s)", symbol, strerrordesc_np(number));
	else
		snprintf(out, size, "-%s", symbol);
}

static const char *site_text(enum scope_site_kind kind)
{
	static const char *const text[] = {[SCOPE_SITE_SPAWN] = "spawned at",
					   [SCOPE_SITE_FAIL] = "failed at",
					   [SCOPE_SITE_OPEN] = "scope opened at",
					   [SCOPE_SITE_DEFER] = "deferred at",
					   [SCOPE_SITE_LOCK] = "locked at"};

	return text[kind];
}

static void print_one(struct printer *printer, const struct scope_error *error, int indent,
		      const char *label)
{
	char code[80], site[SC_SITE_SIZE];

	sc_put_code(error->code, 1, code, sizeof code);
	print(printer, "%*s%s%s: %s", indent, "", label, error->path, code);
	if (error->text[0])
		print(printer, ": %s", error->text);
	print(printer, "\n");
	if (error->site) {
		sc_os_site(error->site, site, sizeof site);
		print(printer, "%*s%s %s\n", indent + 2, "", site_text(error->site_kind), site);
	}
	if (error->because[0])
		print(printer, "%*swhile cancelled, because %s\n", indent + 2, "", error->because);
}

/* Errors past those that were kept, by their codes. */
static void print_counts(struct printer *printer, const struct scope_error *error, int indent)
{
	const struct scope_error_count *each;
	uint64_t left = error->uncounted;
	char code[80];

	for (each = error->counts; each; each = each->next) {
		sc_put_code(each->code, 1, code, sizeof code);
		print(printer, "%*sand %llu more: %s\n", indent, "",
		      (unsigned long long)each->count, code);
		left -= each->count;
	}
	if (left > 0)
		print(printer, "%*sand %llu more\n", indent, "", (unsigned long long)left);
}

static void print_tree(struct printer *printer, const struct scope_error *error, int indent,
		       const char *label)
{
	const struct scope_error *each;

	if (printer->written >= MOST) {
		printer->cut = 1;
		return;
	}
	print_one(printer, error, indent, label);
	if (indent / 2 >= DEEPEST)
		return;
	if (error->context)
		print_tree(printer, error->context, indent + 2, "while handling ");
	for (each = error->suppressed; each; each = each->next)
		print_tree(printer, each, indent + 2, "also ");
	print_counts(printer, error, indent + 2);
}

static int print_all(const struct scope_error *error, const char *label,
		     int (*write)(void *to, const char *text, size_t length), void *to)
{
	struct printer printer;

	printer.write = write;
	printer.to = to;
	printer.used = printer.written = 0;
	printer.failed = printer.cut = 0;
	print_tree(&printer, error, 0, label);
	if (printer.cut)
		print(&printer, "  and more, which is not printed\n");
	flush(&printer);
	sc_mark_printed(error);
	return printer.failed ? -EIO : 0;
}

static int write_file(void *to, const char *text, size_t length)
{
	return fwrite(text, 1, length, to) == length;
}

int scope_error_print(const struct scope_error *error, FILE *to)
{
	int rc;

	if (!error || !to)
		return -EINVAL;
	rc = print_all(error, "", write_file, to);
	return fflush(to) == 0 ? rc : -EIO;
}

static int write_report(void *to, const char *text, size_t length)
{
	(void)to;
	sc_report(text, length);
	return 1;
}

void sc_report_error(const struct scope_error *error)
{
	print_all(error, "libscope: ", write_report, NULL);
}
