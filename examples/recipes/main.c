/* examples/recipes/main.c: runs a recipe, for so many seconds at most. */
#include "recipe.h"

#include <signal.h>
#include <stdlib.h>

static int run(void *arg)
{
	char **argv = arg;

	return scope_within((int64_t)(atof(argv[1]) * (double)SCOPE_SEC), recipe, argv + 2);
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		fprintf(stderr, "usage: %s SECONDS ARGUMENT...\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN); /* libraries write to sockets by themselves */
	return scope_run(run, argv, NULL) ? EXIT_FAILURE : EXIT_SUCCESS;
}
