/* runtime/scope/class.c: scopes of a class, and what their tasks did: rules O2, Y1. */
#include "scope/class.h"
#include <errno.h>
#include <string.h>

void sc_class_spawn(struct sc_scope *s, size_t count)
{
	struct scope_class *class_of = sc_joiner(s)->class_of;

	if (class_of)
		at_add_rlx(&sc_tally(class_of)->spawned, count);
}

void sc_class_end(struct sc_scope *s, struct sc_strand *strand, int rc)
{
	struct scope_class *class_of = sc_joiner(s)->class_of;
	struct sc_tally *tally;

	if (!class_of)
		return;
	tally = sc_tally(class_of);
	if (strand && strand->since != 0)
		at_add_rlx(&tally->parked, 1);
	if (rc != 0)
		at_add_rlx(sc_told(s, rc) ? &tally->cancelled : &tally->failed, 1);
	at_add_rlx(&tally->ended, 1);
}

int scope_open_class(struct scope *s, struct scope_class *class_of)
{
	const void *site = __builtin_return_address(0);
	struct scope_options options;

	if (!class_of)
		return sc_open_with(sc_view(s), NULL, site);
	options = class_of->options;
	if (class_of->name)
		options.name = class_of->name;
	if (class_of->timeout_ns < 0)
		options.deadline_ns = -1;
	else if (class_of->timeout_ns > 0 &&
		 __builtin_add_overflow(sc_now(), class_of->timeout_ns, &options.deadline_ns))
		options.deadline_ns = SC_NEVER;
	if (class_of->counts)
		options.class_of = class_of;
	return sc_open_with(sc_view(s), &options, site);
}

int scope_class_stats_get(const struct scope_class *class_of, struct scope_class_stats *out_stats)
{
	struct sc_tally *tally;

	if (!class_of || !out_stats)
		return -EINVAL;
	tally = sc_tally(class_of);
	memset(out_stats, 0, sizeof *out_stats);
	out_stats->spawned = at_load_rlx(&tally->spawned);
	out_stats->ended = at_load_rlx(&tally->ended);
	out_stats->parked = at_load_rlx(&tally->parked);
	out_stats->cancelled = at_load_rlx(&tally->cancelled);
	out_stats->failed = at_load_rlx(&tally->failed);
	return 0;
}
