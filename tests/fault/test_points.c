/* tests/fault/test_points.c: the report of all places that were refused something; comes last. */
#include "fault.h"

#include <stdlib.h>
#include <string.h>

/* Where one refusal is to be seen by nobody. */
static struct silence {
	const char *kind, *function, *reason;
	int met;
} silences[] = {
	{"sc_os.alloc", "new_record", "the words of an error are lost, never its code (E4)", 0},
	{"sc_os.alloc", "count_error", "counted, but not by its code (E4)", 0},
	{"sc_os.alloc", "set_last", "scope_last_error knows none, close has the code (E4)", 0},
	{"sc_os.alloc", "split_tasks", "a range that can't be halved stays whole", 0},
	{"sc_os.reserve", "add_region", "half of the stacks are asked for, and so on", 0},
	{"sc_os.commit", "commit_up_to", "a single stack instead of a chunk", 0},
	{"sc_os.wait", "block", "may return early", 0},
	{"sc_os.wait", "monitor", "may return early", 0},
	{"sc_os.wait", "wait_until_all_left", "may return early", 0},
	{"sc_os.wait", "next_call", "may return early", 0},
	{"sc_os.wait", "sc_os_where", "may return early", 0},
	{"sc_os.wait", "pool_stop", "may return early", 0},
	{"sc_os.wait", "stop", "may return early", 0},
	{"sc_os.wait", "scope_call", "may return early", 0},
	{"madvise", "sc_linux_reserve", "pages may be huge", 0},
	{"pthread_atfork", "sc_os_fork_install", "a forked child is not told apart", 0},
	{"pthread_getattr_np", "sc_os_stack_bounds", "only AddressSanitizer would like to know", 0},
	{"pthread_attr_getstack", "sc_os_stack_bounds", "as above", 0},
	{"getrlimit", "sc_os_main_stack_size", "the most that it may be", 0},
	{"getrlimit", "sc_os_address_limit", "none", 0},
	{"shutdown", "sc_os_refuse", "who connects waits until the listener is closed", 0},
	{"ioctl", "sc_os_terminal", "the other side is opened as a terminal of its own", 0},
	{"getrandom", "random_seed", "time and layout instead", 0},
	{"fopen", "own_cgroup", "no quota", 0},
	{"fopen", "cgroup_mount", "no quota", 0},
	{"fopen", "cgroup_quota", "no quota", 0},
	{"fgets", "own_cgroup", "no quota", 0},
	{"fgets", "cgroup_mount", "no quota", 0},
};
enum { SILENCES = sizeof silences / sizeof *silences, MOST_LINES = 192 };

/* The points, those of one function and kind together. */
static struct line {
	char kind[48], function[64];
	unsigned hits, visible, silent;
} lines[MOST_LINES];
static int line_count;

static void add_point(const char *kind, const char *function, unsigned hits, unsigned visible,
		      unsigned silent)
{
	struct line *line = lines;

	while (line < lines + line_count &&
	       (strcmp(line->kind, kind) != 0 || strcmp(line->function, function) != 0))
		line++;
	cr_assert_lt(line - lines, MOST_LINES);
	if (line == lines + line_count) {
		line_count++;
		snprintf(line->kind, sizeof line->kind, "%s", kind);
		snprintf(line->function, sizeof line->function, "%s", function);
	}
	line->hits += hits;
	line->visible += visible;
	line->silent += silent;
}

static struct silence *silence_of(const struct line *line)
{
	int i;

	for (i = 0; i < SILENCES; i++)
		if (strcmp(silences[i].kind, line->kind) == 0 &&
		    strcmp(silences[i].function, line->function) == 0)
			return &silences[i];
	return NULL;
}

/* Quotas of cgroups are asked for only where there are cgroups. */
static int depends_on_machine(const struct silence *silence)
{
	return strcmp(silence->reason, "no quota") == 0;
}

static void print_lines(FILE *to)
{
	struct line *line;

	fprintf(to, "%-36s %-24s %8s %8s %8s\n", "refused", "to", "times", "visible", "silent");
	for (line = lines; line < lines + line_count; line++) {
		struct silence *silence = silence_of(line);

		fprintf(to, "%-36s %-24s %8u %8u %8u%s%s\n", line->kind, line->function, line->hits,
			line->visible, line->silent, silence ? "  " : "",
			silence ? silence->reason : "");
	}
}

/* FAULT_REPORT names the file; tests/fault/points.sh compares it with the sources. */
Test(points, every_kind_was_refused_and_no_refusal_went_unnoticed)
{
	const char *path = getenv("FAULT_REPORT");
	FILE *file = path ? fopen(path, "w") : NULL;
	struct line *line;
	int kind, i;

	fault_points(add_point);
	print_lines(file ? file : stdout);
	if (file)
		fclose(file);
	for (line = lines; line < lines + line_count; line++) {
		struct silence *silence = silence_of(line);

		if (silence)
			silence->met = 1;
		cr_expect(line->visible || silence, "nobody notices when %s is refused to %s",
			  line->kind, line->function);
		cr_expect(!line->visible || !silence, "%s refused to %s is visible after all",
			  line->kind, line->function);
	}
	for (i = 0; i < SILENCES; i++)
		cr_expect(silences[i].met || depends_on_machine(&silences[i]),
			  "%s was never refused to %s", silences[i].kind, silences[i].function);
	for (kind = 0; kind < FAULT_COUNT; kind++) {
		int met = kind == FAULT_FOPEN || kind == FAULT_FGETS;

		for (line = lines; line < lines + line_count; line++)
			met |= strcmp(line->kind, fault_name((enum fault_kind)kind)) == 0;
		cr_expect(met, "%s was never refused", fault_name((enum fault_kind)kind));
	}
}
