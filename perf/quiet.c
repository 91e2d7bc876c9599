/* perf/quiet.c: takes time away from a program whose instructions are counted.
 *
 * Linked into the programs of gate.sh.  Under callgrind everything takes fifty times as
 * long, so the monitor would tick, and loops would look for their grain, at other places in
 * each run.  Here the clock stands still and no wait ends by itself.
 */
#include "os/os.h"

static int64_t now_is_start(void)
{
	static int64_t start;

	if (start == 0)
		start = sc_os_system.now();
	return start;
}

static void wait_for_wake(const uint32_t *word, uint32_t expected, int64_t deadline)
{
	(void)deadline;
	sc_os_system.wait(word, expected, INT64_MAX);
}

__attribute__((constructor)) static void stop_time(void)
{
	sc_os.now = now_is_start;
	sc_os.wait = wait_for_wake;
}
