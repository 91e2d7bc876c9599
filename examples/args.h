/* examples/args.h: what the command lines of the examples have in common. */
#ifndef EXAMPLES_ARGS_H
#define EXAMPLES_ARGS_H

#include <errno.h>
#include <scope.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `--help` or `-h` alone: prints the usage. */
static inline bool args_help(int argc, char **argv, const char *usage)
{
	if (argc != 2 || (strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0))
		return false;
	printf("%s", usage);
	return true;
}

/* A whole number from 0 to `most`; false, and a line that names it, if it is none. */
static inline bool args_number(const char *text, long long most, long long *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (end != text && *end == '\0' && errno == 0 && *out >= 0 && *out <= most)
		return true;
	fprintf(stderr, "'%s' is no whole number from 0 to %lld\n", text, most);
	return false;
}

/* A time in `unit` ns, with a fraction or not. */
static inline bool args_time(const char *text, int64_t unit, int64_t *out)
{
	char *end;
	double value = strtod(text, &end);

	if (end != text && *end == '\0' && value >= 0 && value * (double)unit < 9e18) {
		*out = (int64_t)(value * (double)unit);
		return true;
	}
	fprintf(stderr, "'%s' is no time\n", text);
	return false;
}

#endif
