/* perf/fib_fast.c: fib through scope_fast.h, the spawn path inlined into the program.
 *
 * Linked with the LTO archive.  Command line and output are those of workloads.h.
 */
#if !__has_include(<scope_fast.h>)
#error "scope_fast.h is not there: perf/run.sh leaves this program out"
#endif
#include <scope_fast.h>

#include "peers/forkjoin/workloads.h"

struct fib {
	long n, result;
};

static int fib(void *arg)
{
	struct fib *f = arg, left, right;
	struct scope s;
	int rc;

	if (f->n < 2) {
		f->result = f->n;
		return 0;
	}
	left.n = f->n - 1;
	right.n = f->n - 2;
	scope_fast_fork(&s, fib, &left);
	rc = fib(&right);
	if (rc)
		scope_fail(&s, rc, NULL);
	rc = scope_close(&s);
	f->result = left.result + right.result;
	return rc;
}

static long run_fib(long n)
{
	struct fib f = {n, 0};

	return fib(&f) ? -1 : f.result;
}

static int root(void *arg)
{
	static const struct workload table[] = {{"fib_fast", run_fib}, {NULL, NULL}};

	return run_workload(table, arg);
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct scope_config config = {.workers = (unsigned)o.workers};

	return scope_run(root, &o, &config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
