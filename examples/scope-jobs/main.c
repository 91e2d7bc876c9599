/* examples/scope-jobs/main.c: takes jobs until it is told to stop, and finishes those it has.
 *
 * Usage: scope-jobs [-n COUNT] [-e EVERY_MS] [-t TAKES_MS] [-g GRACE_MS] [-x]
 *
 *   -n  take so many jobs, then stop (without: until a signal)
 *   -e  take one so often (100 ms)
 *   -t  a job takes so long (500 ms)
 *   -g  after Ctrl-C or SIGTERM jobs have so long to finish (5,000 ms)
 *   -x  one of the jobs is a loop without end that never looks
 *
 * The first Ctrl-C ends the taking of jobs and nothing else; the second, or the end of the
 * grace period, cancels the jobs that are left; the third ends the process, which names the loop
 * that did not look.  SIGHUP has it say how it stands.
 *
 * Exit 0: all jobs that were taken are done; 1: some were given up; 2: usage, or the run failed.
 */
#include "../args.h"
#include <inttypes.h>
#include <scope_signal.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

struct shop {
	int64_t every_ns, takes_ns;
	uint64_t most;               /* jobs to take; 0: no end */
	bool endless;                /* the first job never ends */
	struct scope *jobs;
	struct scope_signal *asked;  /* SIGHUP */
	uint64_t taken;              /* by one task, as `asked` is read by one */
	atomic_uint_fast64_t done, given_up;
};

static void say(struct shop *shop, const char *what)
{
	printf("%s: %" PRIu64 " taken, %" PRIuFAST64 " done, %" PRIuFAST64 " given up\n", what,
	       shop->taken, atomic_load(&shop->done), atomic_load(&shop->given_up));
	fflush(stdout);
}

/* A job knows nothing of shutdown: it is cancelled or it is not. */
static int do_job(void *arg)
{
	struct shop *shop = arg;

	if (scope_sleep_for(shop->takes_ns) == 0)
		atomic_fetch_add(&shop->done, 1);
	else
		atomic_fetch_add(&shop->given_up, 1);
	return 0;
}

static int endless_job(void *arg)
{
	volatile uint64_t *turn = arg;

	for (;;)
		++*turn;
	return 0;
}

/* Where the program waits for new work is where it can be stopped. */
static int take_jobs(void *arg)
{
	static volatile uint64_t turn;
	struct shop *shop = arg;
	int rc = 0;

	if (shop->endless)
		scope_spawn(shop->jobs, endless_job, (void *)&turn);
	scope_soft_begin();
	while (rc == 0 && (!shop->most || shop->taken < shop->most)) {
		rc = scope_spawn(shop->jobs, do_job, shop);
		if (rc == 0) {
			shop->taken++;
			rc = scope_sleep_for(shop->every_ns);
		}
	}
	scope_soft_end();
	say(shop, "no more jobs");
	scope_shutdown(shop->jobs, SCOPE_NEVER); /* whoever else waits for something new */
	return rc;
}

static int answer(void *arg)
{
	struct shop *shop = arg;

	while (scope_signal_next(shop->asked) == 0)
		say(shop, "asked");
	return 0;
}

static int run_shop(void *arg)
{
	struct shop *shop = arg;
	struct scope jobs;
	int rc = scope_signal_open(SIGHUP, &shop->asked);

	if (rc < 0)
		return rc;
	shop->jobs = &jobs;
	scope_open(&jobs);
	scope_spawn(&jobs, answer, shop);
	scope_spawn(&jobs, take_jobs, shop);
	printf("open\n");
	fflush(stdout);
	rc = scope_close(&jobs);
	scope_signal_close(shop->asked);
	say(shop, "closed");
	return rc == -ECANCELED ? 0 : rc;
}

static const char usage[] =
	"usage: scope-jobs [-n COUNT] [-e EVERY_MS] [-t TAKES_MS] [-g GRACE_MS] [-x]\n"
	"Takes jobs and finishes those it has when it is told to stop; see scope-jobs(1).\n";

static bool parse(struct shop *shop, int64_t *grace_ns, int argc, char **argv)
{
	int option;
	long long number;
	bool good = true;

	while (good && (option = getopt(argc, argv, "n:e:t:g:x")) != -1) {
		switch (option) {
		case 'n':
			good = args_number(optarg, INT64_MAX, &number);
			shop->most = (uint64_t)number;
			break;
		case 'e': good = args_time(optarg, SCOPE_MS, &shop->every_ns); break;
		case 't': good = args_time(optarg, SCOPE_MS, &shop->takes_ns); break;
		case 'g': good = args_time(optarg, SCOPE_MS, grace_ns); break;
		case 'x': shop->endless = true; break;
		default: good = false;
		}
	}
	return good && optind == argc;
}

int main(int argc, char **argv)
{
	struct shop shop = {.every_ns = 100 * SCOPE_MS, .takes_ns = 500 * SCOPE_MS};
	int signal;
	struct scope_config config = {.grace_ns = 5 * SCOPE_SEC, .out_signal = &signal};

	if (args_help(argc, argv, usage))
		return 0;
	if (!parse(&shop, &config.grace_ns, argc, argv)) {
		fputs(usage, stderr);
		return 2;
	}
	if (scope_run(run_shop, &shop, &config) != 0)
		return 2;
	return atomic_load(&shop.given_up) ? 1 : 0;
}
