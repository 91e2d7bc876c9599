/* runtime/scope/open.c: opening with options, cancel, shield, and the questions to a scope. */
#include "scope/child.h"
#include "scope/fast.h"
#include "scope/joiner.h"
#include <errno.h>

/* Nothing that there is no room for in the scope itself: one test for all. */
SC_INLINE int is_plain(const struct scope_options *options)
{
	uint64_t any = (uintptr_t)options->name | options->results | options->policy |
		       options->max_tasks | (uintptr_t)options->on_exit |
		       (uintptr_t)options->drop | (uintptr_t)options->out_winner |
		       (uintptr_t)options->class_of;

	return any == 0 && SC_UNRESERVED(options);
}

/* 0, -EINVAL, -ENOMEM. */
static SC_NOINLINE int open_extra(struct sc_scope *s, const struct scope_options *options)
{
	struct sc_extra *extra;

	if (!SC_UNRESERVED(options) || !sc_joiner_valid(options))
		return -EINVAL;
	extra = sc_extra(s);
	if (!extra)
		return -ENOMEM;
	extra->name = options->name;
	extra->policy = options->policy;
	if (!sc_joiner_wanted(options))
		return 0;
	extra->joiner = sc_joiner_new(options);
	s->state |= SC_JOINED;
	return extra->joiner ? 0 : -ENOMEM;
}

/* Later calls find a closed scope, whatever the memory held before. */
static SC_NOINLINE int not_opened(struct sc_scope *s, int error)
{
	if (s->state & SC_EXTRA)
		sc_drop_extra(s);
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
	int rc;

	s->state = 0;
	if (!options)
		return 0;
	if (options->deadline_ns < 0 || options->on_timeout > SCOPE_MOVE_ON)
		return not_opened(s, -EINVAL);
	if (!is_plain(options)) {
		rc = open_extra(s, options);
		if (rc < 0)
			return not_opened(s, rc);
	}
	if (options->shield)
		s->state |= SC_SHIELD;
	if (options->on_timeout == SCOPE_MOVE_ON)
		s->state |= SC_MOVE_ON;
	if (options->deadline_ns && options->deadline_ns != SC_NEVER)
		sc_open_deadline(worker, s, options->deadline_ns);
	return 0;
}

SC_INLINE int open_with(struct sc_scope *s, const struct scope_options *options, const void *site)
{
	struct sc_worker *worker = sc_self();
	uint32_t state;
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_open_with");
	sc_check_given("scope_open_with of", s);
	rc = s ? prepare(worker, s, options) : -EINVAL;
	if (rc < 0)
		return rc;
	state = s->state;
	if (SC_LIKELY(!(state & SC_COUNTED))) {
		sc_open_at(worker, s, site);
		s->state = state;
	} else if (sc_open_counted(worker, s, site) < 0) {
		return not_opened(s, -ENOMEM);
	}
	/* In a cancelled place code under a shield is not: look again. */
	if ((state & SC_SHIELD) && worker->strand->cancelled)
		sc_poke(worker);
	return 0;
}

int scope_open_with(struct scope *s, const struct scope_options *options)
{
	return open_with(sc_view(s), options, __builtin_return_address(0));
}

int sc_open_with(struct sc_scope *s, const struct scope_options *options, const void *site)
{
	return open_with(s, options, site);
}

static int open_in(struct sc_scope *s, struct sc_scope *parent, const struct scope_options *options,
		   const void *site)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_open_in");
	sc_check_given("scope_open_in of", s);
	sc_check_open("scope_open_in below", parent);
	s->state = 0;
	if ((sc_state(parent) & SC_CLOSED) || !sc_begin_use(parent))
		return not_opened(s, -ESTALE);
	rc = prepare(worker, s, options);
	if (rc == 0)
		sc_hang(worker, s, parent, sc_task_of(worker->cur), site);
	sc_end_use(parent);
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

void scope_cancel(struct scope *public)
{
	uintptr_t place = sc_self()->cur;
	struct sc_scope *s = sc_view(public);

	sc_check_open("scope_cancel of", s);
	if (place == 0 || !s || (sc_state(s) & (SC_CLOSED | SC_OWN)))
		return;
	sc_cancel_by(s, SCOPE_CAUSE_EXPLICIT,
		     sc_note_canceller(place, __builtin_return_address(0)));
}

int scope_set_shield(struct scope *s, bool on)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_set_shield");
	sc_check_open("scope_set_shield of", sc_view(s));
	if (!s)
		return -EINVAL;
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

