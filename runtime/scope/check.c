/* runtime/scope/check.c: misuse of scopes, which a library compiled with SC_DEBUG reports.
 *
 * An ordinary library answers misuse with an errno value where it can tell and is undefined
 * where it can't.  With SC_DEBUG each scope carries a seal over the fields that are const
 * while it is open and still there after close; whoever is handed a scope compares.
 */
#include "scope/tree.h"
#ifdef SC_DEBUG
#include <errno.h>
#include <stdlib.h>

static uint64_t *seal(struct sc_scope *s)
{
	return sc_state(s) & SC_TASK ? &SC_CONTAINER(s, struct sc_leaf, node)->seal : &s->seal;
}

static uint64_t seal_of(struct sc_scope *s)
{
	uint64_t seal = (uintptr_t)s;

	/* A scope in an object may get another parent. */
	seal = (seal ^ (sc_is_object(s) ? 0 : s->parent)) * UINT64_C(0x9e3779b97f4a7c15);
	if (sc_state(s) & SC_TASK)
		return seal | 1;
	seal = (seal ^ (uintptr_t)s->site) * UINT64_C(0x9e3779b97f4a7c15);
	return (seal ^ (uintptr_t)s->frame) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

void sc_seal(struct sc_scope *s)
{
	*seal(s) = seal_of(s);
}

int sc_sound(uintptr_t place)
{
	struct sc_scope *s = sc_untag(place);

	return *seal(s) == seal_of(s);
}

SC_COLD static void accuse(uintptr_t place, const char *what, const char *fault)
{
	char task[1280];

	sc_describe(place, task, sizeof task);
	sc_reportf("libscope: misuse by %s: %s %s\n", task, what, fault);
	abort();
}

/* What the task at `place` did wrong to s, and what it should do. */
SC_COLD static void misuse(uintptr_t place, const char *what, struct sc_scope *s, const char *fault)
{
	char task[1280], scope[320];

	sc_describe_scope(s, scope, sizeof scope);
	sc_describe(place, task, sizeof task);
	sc_reportf("libscope: misuse by %s: %s %s, %s\n", task, what, scope, fault);
	abort();
}

int sc_not_connected(const char *what)
{
	static SC_WORD(uint32_t) said;
	uint32_t none = 0;

	if (at_cas_rlx(&said, &none, 1))
		sc_reportf("libscope: %s was called outside scope_run, and did nothing: scopes and "
			   "tasks exist in the function that scope_run is given, and in what that "
			   "calls, not in main, in threads of the program's own or in a forked "
			   "child\n",
			   what);
	return -ENOTCONN;
}

void sc_check_given(const char *what, const void *s)
{
	uintptr_t place = sc_self()->cur;

	if (place && !s)
		accuse(place, what, "NULL: give it the scope that scope_open was given");
}

void sc_check_function(const char *what, scope_task_fn *fn)
{
	uintptr_t place = sc_self()->cur;

	if (place && !fn)
		accuse(place, what, "a NULL function: give it what the task is to run");
}

static void check_seal(uintptr_t place, const char *what, struct sc_scope *s)
{
	sc_check_given(what, s);
	if (place && !sc_sound((uintptr_t)s))
		misuse(place, what, s,
		       "which is no scope: it was overwritten, or never opened, or the function "
		       "that it belonged to has returned");
}

void sc_check_scope(const char *what, struct sc_scope *s)
{
	check_seal(sc_self()->cur, what, s);
}

void sc_check_open(const char *what, struct sc_scope *s)
{
	uintptr_t place = sc_self()->cur;

	check_seal(place, what, s);
	/* One in an object may have been closed with its parent: its owner can't know. */
	if (place && (sc_state(s) & SC_CLOSED) && !sc_is_object(s))
		misuse(place, what, s, "which is closed: its owner closes it last, and once");
}

/* The running task's own scopes, up to the first that is s or not its own. */
static void check_younger(uintptr_t place, const char *what, struct sc_scope *s)
{
	uintptr_t at = place;
	char fault[160];

	while (sc_sound(at) && sc_untag(at) != s && !(at & 1) &&
	       !(sc_state((struct sc_scope *)at) & SC_TASK))
		at = ((struct sc_scope *)at)->parent;
	if (sc_sound(at))
		return;
	snprintf(fault, sizeof fault,
		 "while the one at %p, opened later, is open, and that was "
		 "overwritten or the function that it belonged to has returned",
		 (void *)at);
	misuse(place, what, s, fault);
}

void sc_check_close(const char *what, struct sc_scope *s)
{
	uintptr_t place = sc_self()->cur;

	sc_check_open(what, s);
	if (place)
		check_younger(place, what, s);
}

void sc_check_relation(const char *what, struct sc_scope *s, int relation)
{
	uintptr_t place = sc_self()->cur;
	char other[1280], fault[1600];

	if (relation == -EBUSY && sc_is_aside(sc_untag(place)))
		misuse(place, what, s, "in a function that this scope itself calls");
	if (relation == -EBUSY) {
		sc_describe_scope(sc_untag(place), other, sizeof other);
		snprintf(fault, sizeof fault,
			 "while the %s, opened later, is open: close scopes in "
			 "the reverse order of opening",
			 other);
		misuse(place, what, s, fault);
	}
	if (relation == -EDEADLK)
		misuse(place, what, s,
		       "of which it is a member: it would wait for itself; only the "
		       "task that opened a scope closes it");
	if (relation == -EPERM) {
		sc_describe((uintptr_t)s, other, sizeof other);
		snprintf(fault, sizeof fault, "of %s: only the task that opened a scope closes it",
			 other);
		misuse(place, what, s, fault);
	}
}

void sc_check_leak(uintptr_t place)
{
	misuse(place, "return with", (struct sc_scope *)place,
	       "still open: close a scope in the task that opened it, on every way out");
}
#endif
