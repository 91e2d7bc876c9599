/* runtime/scope/wait.c: a wait that a cancel, a deadline or a soft stop may end as well.
 *
 * The task begins it, tells whoever brings the event, and parks.  The post, on the next stack,
 * tells the walks of the tree and the timer, and commits.  Whoever ends the wait (sched/wait.h),
 * the task then withdraws it from the others before it goes on: none of them may take its next
 * wait for this one.  Only the walks may, if that is at the same place.
 */
#include "scope/tree.h"
#include <errno.h>

void sc_wait_begin(struct sc_worker *worker, int64_t deadline_ns)
{
	struct sc_card *card = sc_card(worker->strand);

	if (!sc_wait_again(worker, sc_untag(worker->cur)))
		sc_wait_forget(worker);
	sc_wait_prepare(worker->strand);
	at_store_rlx(&card->waits_softly, (uint32_t)sc_in_region(worker));
	at_store_rlx(&card->alarm.timer.when, deadline_ns);
	card->alarm.timer.link = NULL;
	card->alarm.wheel = worker->index;
}

/* The cancel waiter first, then the timer: either may win at once. */
int sc_wait_publish(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_alarm *alarm = &sc_card(strand)->alarm;
	struct sc_scope *place = sc_untag(strand->place);
	int64_t when = at_load_rlx(&alarm->timer.when);

	if (!(sc_host(strand)->lingers && sc_register_again(place)) &&
	    !sc_register(worker, strand, place))
		return 0;
	if (when != SC_NEVER) {
		alarm->kind = SC_ALARM_WAKE;
		sc_alarm_arm(worker, alarm, when);
	}
	return 1;
}

void sc_wait_park(struct sc_worker *worker, struct sc_strand *strand)
{
	(void)worker;
	if (!sc_wait_commit(strand))
		sc_ready(strand);
}

void sc_wait_post(struct sc_worker *worker, struct sc_strand *strand)
{
	sc_wait_publish(worker, strand);
	sc_wait_park(worker, strand);
}

/* An alarm that fired is in no wheel; one that did not is, unless the place was cancelled. */
static void disarm(struct sc_strand *strand)
{
	struct sc_alarm *alarm = &sc_card(strand)->alarm;

	if (at_load_rlx(&alarm->timer.when) != SC_NEVER &&
	    sc_wait_outcome(strand) != SC_WAIT_TIMEOUT)
		sc_alarm_disarm(alarm);
}

void sc_wait_withdraw(struct sc_scope *place)
{
	struct sc_strand *strand = sc_self()->strand;

	disarm(strand);
	sc_host(strand)->lingers = NULL;
	sc_unregister(place);
}

int sc_wait_end(struct sc_scope *place)
{
	struct sc_worker *worker = sc_self();
	enum sc_wait outcome = sc_wait_outcome(worker->strand);

	disarm(worker->strand);
	if (outcome == SC_WAIT_EVENT || outcome == SC_WAIT_TIMEOUT) {
		sc_wait_linger(worker->strand, place);
		if (outcome == SC_WAIT_EVENT)
			return 0;
		sc_timed_out(worker);
		return -ETIMEDOUT;
	}
	sc_look_again(worker);
	if (outcome == SC_WAIT_SHUTDOWN)
		return -ESHUTDOWN;
	sc_hit(place);
	return -ECANCELED;
}

/* ---- one wait after the other --------------------------------------------------------------- */

/* Most tasks wait again and again at one place.  There the waiter stays where a walk finds it, and
 * a walk that comes between two waits finds a word that is not WAITING and takes the waiter off,
 * or claims the next wait at that place, which is right too.  It must not claim one that is
 * elsewhere, nor a soft stop one that is not soft: so any other wait, and the close of the place,
 * forgets. */
void sc_wait_forget(struct sc_worker *worker)
{
	struct sc_host *host = sc_host(worker->strand);

	if (host->lingers)
		sc_unregister(host->lingers);
	host->lingers = NULL;
}
