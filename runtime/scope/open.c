/* runtime/scope/open.c: opening with options, cancel, shield, and the questions to a scope. */
#include "scope/child.h"
#include "scope/extra.h"
#include "scope/fast.h"
#include <errno.h>

static int options_valid(const struct scope_options *options)
{
	size_t i;

	for (i = 0; i < sizeof options->reserved / sizeof options->reserved[0]; i++)
		if (options->reserved[i])
			return 0;
	/* Both are 0 or 1. */
	return options->deadline_ns >= 0 && (options->on_timeout | options->policy) <= 1;
}

/* What there is no room for in the scope itself. */
static int needs_extra(const struct scope_options *options)
{
	return options->name || options->policy != SCOPE_ALL;
}

static int open_extra(struct sc_scope *s, const struct scope_options *options)
{
	struct sc_extra *extra = sc_extra(s);

	if (!extra)
		return -ENOMEM;
	extra->name = options->name;
	extra->policy = options->policy;
	return 0;
}

/* Later calls find a closed scope, whatever the memory held before. */
static int not_opened(struct sc_scope *s, int error)
{
	s->parent = 0;
	s->site = NULL;
	s->frame = NULL;
	s->state = SC_CLOSED;
	sc_seal(s);
	return error;
}

/* What the options ask of a scope that nobody sees yet. */
SC_INLINE int prepare(struct sc_worker *worker, struct sc_scope *s,
		   const struct scope_options *options)
{
	s->state = 0;
	if (!options)
		return 0;
	if (!options_valid(options))
		return not_opened(s, -EINVAL);
	if (needs_extra(options) && open_extra(s, options) < 0)
		return not_opened(s, -ENOMEM);
	if (options->shield)
		s->state |= SC_SHIELD;
	if (options->on_timeout == SCOPE_MOVE_ON)
		s->state |= SC_MOVE_ON;
	if (options->deadline_ns && options->deadline_ns != SC_NEVER)
		sc_open_deadline(worker, s, options->deadline_ns);
	return 0;
}

int scope_open_with(struct scope *public, const struct scope_options *options)
{
	struct sc_worker *worker = sc_self();
	struct sc_scope *s = sc_view(public);
	uint32_t state;
	int rc;

	if (worker->cur == 0)
		return -ENOTCONN;
	rc = prepare(worker, s, options);
	if (rc < 0)
		return rc;
	state = s->state;
	sc_open_at(worker, s, __builtin_return_address(0));
	s->state = state;
	/* In a cancelled place code under a shield is not: look again. */
	if ((state & SC_SHIELD) && worker->strand->cancelled)
		sc_poke(worker);
	return 0;
}

static int open_in(struct sc_scope *s, struct sc_scope *parent, const struct scope_options *options,
		   const void *site)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return -ENOTCONN;
	sc_check_open("scope_open_in below", parent);
	if (sc_state(parent) & SC_CLOSED)
		return not_opened(s, -ESTALE);
	rc = prepare(worker, s, options);
	if (rc == 0)
		sc_hang(worker, s, parent, sc_task_of(worker->cur), site);
	return rc;
}

int scope_open_in(struct scope *s, struct scope *parent)
{
	return open_in(sc_view(s), sc_view(parent), NULL, __builtin_return_address(0));
}

int scope_open_in_with(struct scope *s, struct scope *parent, const struct scope_options *options)
{
	return open_in(sc_view(s), sc_view(parent), options, __builtin_return_address(0));
}

void scope_cancel(struct scope *s)
{
	sc_check_open("scope_cancel of", sc_view(s));
	if (sc_self()->cur && !(sc_state(sc_view(s)) & SC_CLOSED))
		sc_cancel(sc_view(s), SCOPE_CAUSE_EXPLICIT);
}

int scope_set_shield(struct scope *s, bool on)
{
	if (sc_self()->cur == 0)
		return -ENOTCONN;
	sc_check_open("scope_set_shield of", sc_view(s));
	if (sc_state(sc_view(s)) & SC_CLOSED)
		return -ESTALE;
	sc_set_shield(sc_view(s), on);
	return 0;
}

bool scope_timed_out(const struct scope *s)
{
	uint32_t both = SC_TIMED_OUT | SC_HIT_OWN;

	sc_check_scope("scope_timed_out of", sc_view(s));
	return (sc_state(sc_view(s)) & both) == both;
}

bool scope_cancel_called(const struct scope *s)
{
	sc_check_scope("scope_cancel_called of", sc_view(s));
	return (sc_state(sc_view(s)) & SC_OWN) != 0;
}

