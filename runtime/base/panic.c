/* runtime/base/panic.c: the end of a program whose invariants do not hold. */
#include "base/base.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void write_stderr(const char *text, size_t length)
{
	while (length > 0) {
		ssize_t n = write(2, text, length);
		if (n <= 0)
			return;
		text += n;
		length -= (size_t)n;
	}
}

void (*sc_panic_sink)(const char *text, size_t length) = write_stderr;

/* Nothing is allocated: the heap may be what is broken, or the stack a signal stack. */
void sc_panic(const char *format, ...)
{
	static const char prefix[] = "libscope: ";
	char text[1024];
	size_t length = sizeof(prefix) - 1;
	va_list args;
	int n;

	__builtin_memcpy(text, prefix, length);
	va_start(args, format);
	n = vsnprintf(text + length, sizeof(text) - length - 1, format, args);
	va_end(args);
	if (n > 0)
		length += (size_t)n;
	if (length > sizeof(text) - 2)
		length = sizeof(text) - 2;
	text[length++] = '\n';
	sc_panic_sink(text, length);
	abort();
}
