/* runtime/scope/held.c: takes back what tasks held when they ended; see held.h. */
#include "scope/held.h"
#include <errno.h>

/* `place`: where the task ran, for its path; 0: something else runs there by now. */
static void fail_holder(struct sc_scope *s, struct sc_holding *holding, uintptr_t place)
{
	/* As soon as it is taken back its memory may go. */
	const void *site = holding->site;

	holding->take_back(holding);
	sc_failed_at(s, -EPROTO, place, site, SCOPE_SITE_LOCK,
		     "the task returned with a mutex still locked");
}

void sc_held_sweep(struct sc_host *host)
{
	struct sc_holding **link = &host->held, *holding;

	while ((holding = *link)) {
		if (!sc_has_held(holding->task)) { /* an earlier child's */
			*link = holding->next;
			fail_holder(sc_untag(holding->task), holding, 0);
		} else {
			link = &holding->next;
		}
	}
}

void sc_held_end(struct sc_host *host, struct sc_scope *s, uintptr_t task)
{
	struct sc_holding **link = &host->held, *holding;

	while ((holding = *link)) {
		if (holding->task == task) {
			*link = holding->next;
			fail_holder(s, holding, task);
		} else {
			link = &holding->next;
		}
	}
}

void sc_hold_first(struct sc_host *host, struct sc_scope *s)
{
	sc_held_sweep(host);
	at_or_rlx(&s->running.site, SC_RUNNING_HOLDS);
	at_or_rlx(&s->state, SC_TAINT);
}
