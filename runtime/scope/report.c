/* runtime/scope/report.c: the reporter, through which the library writes. */
#include "scope/tree.h"
#include <stdarg.h>

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
