/* runtime/scope/watchdog.c: names tasks that do not obey their cancel in time: rule O3.
 *
 * The monitor looks now and then at each strand that no cancel wakes: one that runs, waits in
 * close, or waits for an offloaded call.  Which of them are in a cancelled place, and since which
 * look, is kept here, so that nothing is written where tasks run and a program that is not
 * watched pays nothing.
 */
#include "scope/survey.h"
#include <stdio.h>

/* So many are watched at a time; others when one of these has ended. */
enum { MOST_WATCHED = 256 };

struct watch {
	struct sc_stuck stuck;
	int64_t since; /* the first look that found it so */
	int seen;      /* this time */
	int told;
};

/* monitor; reset before a run */
static struct watch watches[MOST_WATCHED];
static unsigned count;
static int64_t next_look;

void sc_watchdog_reset(void)
{
	count = 0;
	next_look = 0;
}

static int same(const struct sc_stuck *a, const struct sc_stuck *b)
{
	return a->fiber == b->fiber && a->reason == b->reason && a->stamp == b->stamp &&
	       a->place == b->place;
}

static struct watch *watch(const struct sc_stuck *stuck, int64_t now)
{
	unsigned i;

	for (i = 0; i < count; i++)
		if (same(&watches[i].stuck, stuck))
			return &watches[i];
	if (count == MOST_WATCHED)
		return NULL;
	watches[count] = (struct watch){.stuck = *stuck, .since = now};
	return &watches[count++];
}

static void tell(const struct sc_stuck *stuck, int64_t waited)
{
	const char *what = stuck->reason == SC_IN_CLOSE ?
		"a close still waits for these tasks" :
		stuck->reason == SC_IN_OFFLOAD ? "an offloaded call goes on" :
		"this task called no checkpoint";
	char headline[160];

	snprintf(headline, sizeof headline, "watchdog: %s %lld ms after its cancel", what,
		 (long long)(waited / SCOPE_MS));
	sc_report_stuck(headline, stuck->fiber);
}

static void look_at(void *arg, struct sc_fiber *fiber)
{
	int64_t now = *(const int64_t *)arg;
	struct sc_stuck stuck;
	struct watch *watched;

	if (!sc_survey_stuck(fiber, &stuck) || !(watched = watch(&stuck, now)))
		return;
	watched->seen = 1;
	if (watched->told || now - watched->since < sc_run.watchdog)
		return;
	watched->told = 1;
	tell(&stuck, now - watched->since);
}

static void forget_unseen(void)
{
	unsigned i, kept = 0;

	for (i = 0; i < count; i++) {
		if (!watches[i].seen)
			continue;
		watches[kept] = watches[i];
		watches[kept++].seen = 0;
	}
	count = kept;
}

/* Each tick.  Looks eight times in the time that it allows, and less often if looking at very many
 * tasks takes more than a twentieth of the time. */
void sc_watchdog_look(void)
{
	int64_t now = sc_os.now(), cost;

	if (now < next_look)
		return;
	sc_fiber_each(look_at, &now);
	forget_unseen();
	cost = (sc_os.now() - now) * 20;
	next_look = now + (cost > sc_run.watchdog / 8 ? cost : sc_run.watchdog / 8);
}
