/* tests/model/common/main.cc: runs the models of a program and reports them as TAP.
 *
 * Usage: PROGRAM [--list] [--filter TEXT]   Environment: MODEL_MUTANT, see mutant.hpp;
 * MODEL_SCHEDULES, of each random model: a million for a night.
 * With a mutant the first failure ends the program, and a model that does not come to it soon is
 * left.  Exit 0: all passed; 1: not; 2: usage;
 * 3: no model came to the mutant's line.
 */
#include "common/search.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>

namespace model
{

struct interrupt interrupts[MOST_THREADS];
bool has_interrupts;
struct mutant mutant;
void *(*read_self)();
void (*set_unread)(rl::atomic_data *data);
void (*write_self)(void *self);

/* ---- cells: an open hash of addresses ---- */

enum { CELLS = 16384 };

static struct cell {
	const void *address;
	void *cell; /* NULL: forgotten */
	void (*drop)(void *cell);
} cells[CELLS];

static unsigned used[CELLS], used_count;

static struct cell *slot_of(const void *address)
{
	unsigned i = (unsigned)((uintptr_t)address / 4 * 2654435761u) % CELLS;

	while (cells[i].address && cells[i].address != address)
		i = (i + 1) % CELLS;
	return &cells[i];
}

void *find_cell(const void *address)
{
	return slot_of(address)->cell;
}

void keep_cell(const void *address, void *cell, void (*drop)(void *cell))
{
	struct cell *slot = slot_of(address);

	if (!slot->address) {
		if (used_count == CELLS / 2)
			fail("more cells than main.cc has room for", MODEL_HERE);
		used[used_count++] = (unsigned)(slot - cells);
		slot->address = address;
	}
	slot->cell = cell;
	slot->drop = drop;
}

void forget_cell(const void *address)
{
	struct cell *slot = slot_of(address);

	if (slot->cell) {
		slot->drop(slot->cell);
		slot->cell = NULL;
	}
}

/* ---- schedules ---- */

/* Of a model that so many do not lead to the mutant none will be asked to. */
enum { MOST_IN_VAIN = 2000 };

static unsigned long begun, reached_before;
static bool in_vain;

static void begin_model()
{
	begun = 0;
	reached_before = mutant.reached;
	in_vain = false;
}

void begin_schedule()
{
	in_vain = mutant.line && mutant.reached == reached_before && ++begun > MOST_IN_VAIN;
	if (in_vain)
		fail("no way to the mutant", MODEL_HERE);
	/* What a failed schedule left: its cells went with Relacy's memory. */
	while (used_count)
		memset(&cells[used[--used_count]], 0, sizeof cells[0]);
	memset(interrupts, 0, sizeof interrupts);
	has_interrupts = false;
}

void end_schedule()
{
	while (used_count) {
		struct cell *slot = &cells[used[--used_count]];

		if (slot->cell)
			slot->drop(slot->cell);
		memset(slot, 0, sizeof *slot);
	}
}

void fail(const char *text, rl::debug_info at)
{
	rl::ctx().fail_test(text, rl::test_result_user_assert_failed, at);
	abort();
}

void yield()
{
	keep_self self;

	rl::yield(1, MODEL_HERE);
}

void send_interrupt(unsigned thread, void (*handler)(void *arg), void *arg, unsigned times)
{
	struct interrupt *interrupt = &interrupts[thread];

	interrupt->handler = handler;
	interrupt->arg = arg;
	interrupt->left = times;
	has_interrupts = true;
}

void arm_interrupt(void (*handler)(void *arg), void *arg, unsigned times)
{
	send_interrupt(rl::thread_index(), handler, arg, times);
}

void disarm_interrupt()
{
	interrupts[rl::thread_index()].left = 0;
}

/* ---- mutants ---- */

bool is_mutant_at(const char *file)
{
	size_t length = strlen(file), tail = strlen(mutant.file);

	return length >= tail && !strcmp(file + length - tail, mutant.file);
}

bool read_mutant()
{
	const char *text = getenv("MODEL_MUTANT");
	char change[16];

	if (!text || !*text)
		return true;
	if (sscanf(text, "%127[^:]:%u:%15s", mutant.file, &mutant.line, change) != 3)
		return false;
	if (!strcmp(change, "drop"))
		mutant.drop = true;
	else if (!strcmp(change, "rlx"))
		mutant.order = rl::mo_relaxed;
	else if (!strcmp(change, "acq"))
		mutant.order = rl::mo_acquire;
	else if (!strcmp(change, "rel"))
		mutant.order = rl::mo_release;
	else if (!strcmp(change, "acqrel"))
		mutant.order = rl::mo_acq_rel;
	else
		return false;
	return true;
}

/* ---- the list ---- */

static listed *first, **last = &first;

listed::listed(const char *test_name, rl::scheduler_type_e search, unsigned long most, int count,
	       program *(*maker)())
	: name(test_name), kind(search), limit(most), threads(count), make(maker), next(NULL)
{
	*last = this;
	last = &next;
}

static double seconds_since(const struct timespec &start)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9;
}

static void print_comment(const rl::string &text)
{
	std::istringstream lines(text.c_str());
	std::string line;

	/* After all events in order they come once more for each thread. */
	while (std::getline(lines, line) && line != "thread 0:")
		printf("# %s\n", line.c_str());
}

/* Of each random model, instead of its own number; 0: its own. */
static unsigned long schedules;

static const char *search_name(const listed *model)
{
	switch (model->kind) {
	case rl::sched_full:
		return "all";
	case rl::sched_bound:
		return "bounded";
	default:
		return "random";
	}
}

/* Runs a model; true if no schedule failed. */
static bool run(listed *model, unsigned number)
{
	rl::test_params params;
	rl::ostringstream output, state;
	struct timespec start;
	rl::test_result_e result;

	params.output_stream = &output;
	params.progress_stream = &output;
	params.search_type = model->kind;
	params.context_bound = (unsigned)model->limit;
	params.iteration_count = schedules ? schedules : model->limit;
	params.execution_depth_limit = 4000;
	clock_gettime(CLOCK_MONOTONIC, &start);
	begin_model();
	result = search(model, params, state, false);
	if (result == rl::test_result_success || in_vain) {
		printf("ok %u - %s # %llu schedules (%s), %.1f s\n", number, model->name,
		       (unsigned long long)params.stop_iteration, search_name(model),
		       seconds_since(start));
		fflush(stdout);
		return true;
	}
	printf("not ok %u - %s # schedule %llu (%s): %s\n", number, model->name,
	       (unsigned long long)params.stop_iteration, search_name(model),
	       rl::test_result_str(result));
	if (!mutant.line) {
		params.initial_state = state.str();
		params.collect_history = true;
		search(model, params, state, true);
		print_comment(output.str());
	}
	fflush(stdout);
	return false;
}

} // namespace model

/* ---- what the sources call ---- */

void sc_panic(const char *format, ...)
{
	static char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	model::fail(text, MODEL_HERE);
}

int main(int argc, char **argv)
{
	const char *filter = "";
	unsigned count = 0, bad = 0;
	model::listed *model;
	bool list = false;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--list"))
			list = true;
		else if (!strcmp(argv[i], "--filter") && i + 1 < argc)
			filter = argv[++i];
		else
			return 2;
	}
	if (!model::read_mutant())
		return 2;
	if (getenv("MODEL_SCHEDULES"))
		model::schedules = strtoul(getenv("MODEL_SCHEDULES"), NULL, 0);
	for (model = model::first; model; model = model->next)
		count += strstr(model->name, filter) != NULL;
	if (!list)
		printf("1..%u\n", count), fflush(stdout);
	count = 0;
	for (model = model::first; model; model = model->next) {
		if (!strstr(model->name, filter))
			continue;
		if (list)
			printf("%s\n", model->name);
		else if (!run(model, ++count))
			bad++;
		if (bad && model::mutant.line)
			break;
	}
	return bad ? 1 : model::mutant.line && !model::mutant.reached ? 3 : 0;
}
