/* examples/scope-first/main.c: the first answer of several mirrors, asked at once or one by one.
 *
 * Usage: scope-first [--hedge MS] NAME:MS[:fail]...
 *
 * Each mirror takes so many milliseconds to answer, or to fail.  All are asked at once, and the
 * first that answers wins: SCOPE_ANY.  With --hedge the next one is asked only if no answer came
 * for so long, or as soon as one failed: scope_next_until.  Either way the others are cancelled,
 * and an answer that was on its way all the same is given back: `drop` closes its descriptor.
 * The clock is virtual, so the program shows an hour of waiting in an instant.
 *
 * Exit 0: a mirror answered; 1: none did; 2: usage, or the run failed.
 */
#include "../args.h"
#include <fcntl.h>
#include <unistd.h>

struct mirror {
	char *name;
	int64_t takes_ns;
	bool fails;
	int fd; /* the answer */
};

static struct mirror *mirrors;
static int count;
static int64_t hedge_ns; /* 0: all at once */

/* The task: what it finds is in its argument, whether it found it is its result. */
static int ask(void *arg)
{
	struct mirror *mirror = arg;
	int rc = scope_sleep_for(mirror->takes_ns); /* as if it were connecting */

	if (rc)
		return rc;
	if (mirror->fails)
		return -ECONNREFUSED;
	mirror->fd = open("/dev/null", O_RDONLY);
	return mirror->fd < 0 ? -errno : 0;
}

/* Of an answer that came too late; once for each. */
static void give_back(void *arg)
{
	struct mirror *mirror = arg;

	printf("%s was too late\n", mirror->name);
	close(mirror->fd);
}

static int ask_all(struct mirror **out_winner)
{
	void *winner = NULL;
	struct scope_options options = {
		.policy = SCOPE_ANY, .drop = give_back, .out_winner = &winner};
	struct scope s;
	int rc = scope_open_with(&s, &options);

	if (rc)
		return rc;
	scope_spawn_n(&s, ask, mirrors, sizeof(*mirrors), (size_t)count);
	rc = scope_close(&s);
	*out_winner = winner;
	return rc;
}

/* Another one each time that the last did not answer in time, or one failed. */
static struct mirror *first_answer(struct scope *s)
{
	struct scope_result result;
	int asked = 0, rc = -ETIMEDOUT;

	for (;;) {
		if (asked < count && (rc == -ETIMEDOUT || result.rc != 0))
			scope_spawn(s, ask, &mirrors[asked++]);
		rc = scope_next_until(s, asked < count ? scope_now() + hedge_ns : SCOPE_NEVER,
				      &result);
		if (rc == 0 && result.rc == 0)
			return result.arg;
		if (rc != 0 && rc != -ETIMEDOUT)
			return NULL; /* all have failed, or a cancel came from above */
	}
}

static int ask_one_by_one(struct mirror **out_winner)
{
	struct scope_options options = {
		.policy = SCOPE_AWAIT_ALL, .results = true, .drop = give_back};
	struct scope s;
	int rc = scope_open_with(&s, &options);

	if (rc)
		return rc;
	*out_winner = first_answer(&s);
	scope_cancel(&s);
	rc = scope_close(&s);
	return *out_winner ? 0 : rc;
}

static int run(void *arg)
{
	int64_t before = scope_now();
	struct mirror *winner = NULL;
	int rc = hedge_ns ? ask_one_by_one(&winner) : ask_all(&winner);

	(void)arg;
	if (winner) {
		printf("%s answered after %lld ms\n", winner->name,
		       (long long)((scope_now() - before) / SCOPE_MS));
		close(winner->fd);
	}
	return rc;
}

static const char usage_text[] =
	"usage: scope-first [--hedge MS] NAME:MS[:fail]...\n"
	"The first answer of several mirrors; see scope-first(1).\n";

static int usage(void)
{
	fputs(usage_text, stderr);
	return 2;
}

static bool parse(char *text, struct mirror *mirror)
{
	char *colon = strchr(text, ':'), *end;

	if (!colon)
		return false;
	*colon = '\0';
	mirror->name = text;
	mirror->takes_ns = strtol(colon + 1, &end, 10) * SCOPE_MS;
	mirror->fails = strcmp(end, ":fail") == 0;
	return mirror->takes_ns > 0 && (*end == '\0' || mirror->fails);
}

int main(int argc, char **argv)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK};
	int i, rc, first = 1;

	if (args_help(argc, argv, usage_text))
		return 0;
	if (argc > 2 && strcmp(argv[1], "--hedge") == 0) {
		if (!args_time(argv[2], SCOPE_MS, &hedge_ns) || hedge_ns == 0)
			return usage();
		first = 3;
	}
	count = argc - first;
	if (count < 1)
		return usage();
	mirrors = calloc((size_t)count, sizeof(*mirrors));
	if (!mirrors)
		return 2;
	for (i = 0; i < count; i++)
		if (!parse(argv[first + i], &mirrors[i]))
			return usage();
	rc = scope_run(run, NULL, &config);
	free(mirrors);
	return rc == 0 ? 0 : 1;
}
