/* examples/scope-sum/main.c: SHA-256 of files and trees: options, the root task, the end.
 *
 * The scopes, from outside in:
 *
 *   root       cancelled by SIGINT and SIGTERM
 *   ticker     the progress line; cancelled when the hashing has ended
 *   sum.hash   runners; each opens a scope for the files of one slice after the other
 *   walk       directories, each with a scope of its own for its subdirectories
 *
 * Read sum.h first, then walk.c, slice.c, hash.c, manifest.c.
 */
#include "sum.h"

#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <scope_observe.h>

struct sum sum;

/* What the root task is to do; const. */
struct job {
	const char *manifest;
	char **paths;
	int count;
};

enum { EXIT_TROUBLE = 1, EXIT_USAGE = 2, WORKERS_MOST = 1024 };

#define SYNOPSIS                                                                                   \
	"usage: scope-sum [-j N] [-o FILE] [--stats] PATH...\n"                                    \
	"       scope-sum [-j N] [--stats] -c MANIFEST\n"

static const char usage_text[] =
	SYNOPSIS
	"\n"
	"Prints the SHA-256 of files and of all files in directories, sorted by name,\n"
	"as sha256sum does; a single - is standard input.\n"
	"\n"
	"  -j N           use N workers (default: one for each processor)\n"
	"  -c MANIFEST    check the files listed in MANIFEST instead\n"
	"  -o FILE        write the manifest to FILE, complete or not at all\n"
	"      --stats    print figures about the run at its end\n"
	"  -h, --help     print this text\n"
	"\n"
	"Exit status: 0, 1 if something could not be read, written or does not match,\n"
	"2 for wrong usage, 130 after SIGINT, 143 after SIGTERM.\n";

/* Hashes everything; what goes wrong with one file is not in the result. */
static int hash_all(const struct job *job)
{
	struct scope hash;
	int rc;

	scope_open(&hash);
	sum.hash = &hash;
	if (job->manifest)
		rc = check_read(job->manifest);
	else
		rc = walk_arguments(job->paths, job->count);
	atomic_store(&sum.walked, true);
	int hashed = scope_close(&hash);
	return rc ? rc : hashed;
}

static int between(long low, long value, long high)
{
	return (int)(value < low ? low : value > high ? high : value);
}

/* Deals out the descriptors that may be open: 24 stay for the library and the program, each
 * worker may read a file, the rest goes to directories in work, to files whose task gave
 * way, and to directories that the walk has yet to list. */
static void set_limits(unsigned workers)
{
	struct rlimit limit;
	long rest = 1024;

	if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < 1024)
		rest = (long)limit.rlim_cur;
	rest -= 24 + (long)workers;
	sum.runners_max = between(1, rest / 3, 2 * (long)workers);
	sum.parked_max = between(0, rest / 3, (long)workers + 8);
	sum.handed_max = between(0, rest / 3, 128);
}

static int root_task(void *arg)
{
	const struct job *job = arg;
	static const struct scope_spawn_options aside = {.name = "progress",
							 .flags = SCOPE_CONCURRENT};
	struct scope_stats stats;
	struct scope ticker;

	sum.start_ns = scope_now();
	if (!scope_stats_get(&stats))
		set_limits((unsigned)stats.workers);
	scope_open(&ticker);
	if (sum.progress)
		scope_spawn_with(&ticker, progress_task, NULL, &aside);
	int rc = hash_all(job);
	scope_cancel(&ticker);
	int ticked = scope_close(&ticker);
	if (sum.progress)
		progress_end();
	if (scope_cancelled())
		return -ECANCELED;
	if (ticked || (rc && !job->manifest))
		note_errno("", "cannot go on", ticked ? -ticked : -rc);
	else if (!rc)
		rc = job->manifest ? check_report() : manifest_write(sum.out_name);
	if (sum.stats && !scope_cancelled())
		note_stats();
	/* Whatever it was has been told; as the root's error the library would repeat it. */
	if (rc)
		atomic_store(&sum.failed, true);
	return 0;
}

static int run(const struct job *job)
{
	int seen = 0;
	struct scope_config config = {.workers = sum.workers, .out_signal = &seen};
	int rc = scope_run(root_task, (void *)job, &config);

	if (seen)
		return 128 + seen;
	if (rc && rc != -ECANCELED)
		fprintf(stderr, "scope-sum: cannot start: %s\n", strerror(-rc));
	return rc || atomic_load(&sum.failed) ? EXIT_TROUBLE : EXIT_SUCCESS;
}

static int usage(const char *format, const char *what)
{
	fputs("scope-sum: ", stderr);
	fprintf(stderr, format, what);
	fputs("\n" SYNOPSIS "scope-sum --help says more\n", stderr);
	return EXIT_USAGE;
}

static bool parse_workers(const char *word, unsigned *out_workers)
{
	char *end;
	unsigned long n = strtoul(word, &end, 10);

	if (*word < '0' || *word > '9' || *end || n < 1 || n > WORKERS_MOST)
		return false;
	*out_workers = (unsigned)n;
	return true;
}

/* A standard stream that is closed would be given to the first file opened.  What takes its
 * place can be neither read nor written. */
static void keep_standard_streams(void)
{
	int fd;

	do
		fd = open("/", O_PATH | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	enum { OPT_STATS = 256 };
	static const struct option long_options[] = {{"stats", no_argument, NULL, OPT_STATS},
						     {"help", no_argument, NULL, 'h'},
						     {NULL, 0, NULL, 0}};
	struct job job = {0};
	int option;

	keep_standard_streams();
	opterr = 0;
	while ((option = getopt_long(argc, argv, ":j:c:o:h", long_options, NULL)) != -1) {
		switch (option) {
		case 'j':
			if (!parse_workers(optarg, &sum.workers))
				return usage("-j takes a number from 1 to 1024, not '%s'", optarg);
			break;
		case 'c':
			job.manifest = optarg;
			break;
		case 'o':
			sum.out_name = optarg;
			break;
		case OPT_STATS:
			sum.stats = true;
			break;
		case 'h':
			return fputs(usage_text, stdout) < 0 || fflush(stdout) ? EXIT_TROUBLE : 0;
		case ':':
			return usage("option '%s' needs a value", argv[optind - 1]);
		default:
			return usage("unknown option '%s' (for a file of such a name: ./-...)",
				     optopt ? (char[]){'-', (char)optopt, 0} : argv[optind - 1]);
		}
	}
	job.paths = argv + optind;
	job.count = argc - optind;
	if (job.manifest && (sum.out_name || job.count))
		return usage("%s goes with -j and --stats only", "-c");
	if (!job.manifest && !job.count)
		return usage("%s", "no PATH given");
	signal(SIGPIPE, SIG_IGN); /* the write says so too */
	sum.progress = isatty(STDERR_FILENO);
	set_limits(1);
	if (kit_init()) {
		fputs("scope-sum: OpenSSL has no SHA-256 here\n", stderr);
		return EXIT_TROUBLE;
	}
	if (sum.out_name && out_probe(sum.out_name))
		return EXIT_TROUBLE;
	return run(&job);
}
