/* tests/sim/api.c: the API tests as scenarios: each runs under schedules that a seed decides.
 *
 * They are compiled as they are; what is not simulated (threads of their own, real time,
 * real signals, descriptors) keeps some out: api_left_out.h lists them with the reason.
 */
#include "core.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *suite, *name, *why;
} left_out[] = {
#include "api_left_out.h"
};

static const char *why_not(const struct sc_test *test)
{
	unsigned i;

	if (test->options.signal || test->options.exit_code)
		return "it ends the process";
	for (i = 0; i < sizeof(left_out) / sizeof(left_out[0]); i++)
		if (!strcmp(test->suite, left_out[i].suite) &&
		    (!*left_out[i].name || !strcmp(test->name, left_out[i].name)))
			return left_out[i].why;
	return NULL;
}

/* What the check was has been printed. */
static void on_fail(int fatal)
{
	(void)fatal;
	if (sim.running)
		sim_fail("a check of the test failed");
}

static void (*run_test)(struct sc_test *test);

static void scenario(void *test)
{
	run_test(test);
}

static void around(struct sc_test *test, void (*run)(struct sc_test *test))
{
	const char *why;
	char name[200];

	if (!strcmp(test->suite, "sim")) {
		run(test);
		return;
	}
	why = why_not(test);
	if (why)
		cr_skip("%s", why);
	snprintf(name, sizeof(name), "%s/%s", test->suite, test->name);
	run_test = run;
	sc_test_on_fail = on_fail;
	sim_explore_with_state(name, scenario, test);
}

__attribute__((constructor)) static void install(void)
{
	sc_test_around = around;
}
