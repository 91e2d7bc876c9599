/* runtime/scope/block.c: what scope_block.h calls at the end of a block (S18). */
#include "scope/tree.h"
#include <scope_block.h>

static int is_open(struct sc_scope *s)
{
	return sc_self()->cur && !(sc_state(s) & SC_CLOSED);
}

/* Nobody sees what close returned, so it is an error of the place that the block is in.  In
 * the wrong order of closing nothing was closed: then the task's end tells (S11). */
static void close_unseen(struct scope *s, const void *site)
{
	int rc = scope_close(s);

	if (rc != 0 && (sc_state(sc_view(s)) & SC_CLOSED))
		sc_failed_at(sc_untag(sc_self()->cur), rc, sc_self()->cur, site,
			     SCOPE_SITE_FAIL, NULL);
}

struct scope *scope_block_end(struct scope *s)
{
	if (is_open(sc_view(s)))
		close_unseen(s, __builtin_return_address(0));
	return NULL;
}

void scope_block_leave(struct scope *s)
{
	if (!is_open(sc_view(s)))
		return;
	sc_cancel(sc_view(s), SCOPE_CAUSE_EXPLICIT);
	close_unseen(s, __builtin_return_address(0));
}
