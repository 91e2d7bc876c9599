/* runtime/scope/cause.c: what cancelled what, and who did it: rule C10.
 *
 * A cancel stores its cause in the scope where it begins; name, error and owner are that
 * scope's, which is open as long as anybody below can ask.  Only the task that called
 * scope_cancel may have ended by then, and that call must not allocate: who it was is noted in
 * a table of the last NOTES such calls, and the scope keeps the number of its note.
 */
#include "scope/extra.h"
#include "scope/path.h"
#include <errno.h>
#include <signal.h>
#include <string.h>

enum { NOTES = 64, INNER = 6, OUTER = 2, NAME_SIZE = 24 };

struct note {
	uint32_t serial; /* 0: none */
	const void *site;
	struct sc_trail trail;
	struct sc_step steps[INNER + OUTER];
	char names[INNER + OUTER][NAME_SIZE]; /* a spawn's lives only as long as its task */
};

static struct sc_lock noting;
static struct note notes[NOTES]; /* lock: noting */
static uint32_t last_serial;     /* lock: noting; goes on from run to run */

uint32_t sc_note_canceller(uintptr_t place, const void *site)
{
	struct note note = {.site = site, .trail = {note.steps, INNER, OUTER, 0, 1}};
	unsigned i;

	sc_trail_fill(&note.trail, place);
	for (i = 0; i < INNER + OUTER && i < note.trail.depth; i++)
		if (note.steps[i].name)
			strncpy(note.names[i], note.steps[i].name, NAME_SIZE - 1);
	sc_lock_take(&noting);
	note.serial = ++last_serial | UINT32_C(1) << 31; /* never 0 */
	notes[note.serial % NOTES] = note;
	sc_lock_drop(&noting);
	return note.serial;
}

static int find_note(uint32_t serial, struct note *out)
{
	unsigned i;

	sc_lock_take(&noting);
	*out = notes[serial % NOTES];
	sc_lock_drop(&noting);
	if (serial == 0 || out->serial != serial)
		return 0;
	out->trail.steps = out->steps;
	for (i = 0; i < INNER + OUTER; i++)
		if (out->steps[i].name)
			out->steps[i].name = out->names[i];
	return 1;
}

static void copy(char *out, size_t size, const char *text)
{
	snprintf(out, size, "%s", text ? text : "");
}

/* lock: s, where the cancel began. */
static uint32_t read_scope(struct sc_scope *s, struct scope_cause_info *out)
{
	uint32_t state = sc_state(s);

	out->origin = (enum scope_cause)(state >> SC_CAUSE_SHIFT);
	copy(out->scope, sizeof out->scope, sc_name(s));
	out->site = s->site;
	if (out->origin == SCOPE_CAUSE_ERROR) {
		const struct scope_error *error = sc_first_error(s);

		out->code = s->code;
		out->site = s->error_site;
		copy(out->path, sizeof out->path, error ? error->path : NULL);
		copy(out->text, sizeof out->text, error ? error->text : NULL);
	}
	return s->canceller;
}

/* Who did it, as far as it is not in the scope's error. */
static void find_path(const struct sc_trail *owner, uint32_t serial, struct scope_cause_info *out)
{
	struct note note;

	if (out->origin == SCOPE_CAUSE_DEADLINE || out->origin == SCOPE_CAUSE_RUNTIME) {
		sc_trail_print(owner, out->path, sizeof out->path);
	} else if (out->origin == SCOPE_CAUSE_INTERRUPT) {
		copy(out->text, sizeof out->text,
		     at_load_rlx(&sc_sched.hard_signal) == SIGTERM ? "SIGTERM" : "SIGINT");
	} else if (out->origin != SCOPE_CAUSE_ERROR && find_note(serial, &note)) {
		sc_trail_print(&note.trail, out->path, sizeof out->path);
		out->site = note.site;
	}
}

/* The scope whose own cancel reaches s, or NULL. */
static struct sc_scope *origin_of(struct sc_scope *s)
{
	for (;; s = sc_untag(s->parent)) {
		uint32_t state = sc_state(s);

		if (state & SC_OWN)
			return s;
		if ((state & SC_SHIELD) || s == &sc_root)
			return NULL;
	}
}

/* Held: nothing is moved meanwhile, so the origin stays above s, and open. */
static struct sc_scope *look(struct sc_scope *s, struct sc_trail *owner, uint32_t *out_serial,
			     struct scope_cause_info *out)
{
	struct sc_scope *origin = origin_of(s);

	if (!origin)
		return NULL;
	sc_scope_lock(origin);
	*out_serial = read_scope(origin, out);
	sc_scope_unlock(origin);
	if (out->origin == SCOPE_CAUSE_DEADLINE || out->origin == SCOPE_CAUSE_RUNTIME)
		sc_trail_fill_held(owner, (uintptr_t)origin);
	return origin;
}

void sc_find_cause(struct sc_scope *s, struct scope_cause_info *out)
{
	struct sc_step steps[INNER + OUTER];
	struct sc_trail owner = {steps, INNER, OUTER, 0, 1};
	struct sc_scope *origin;
	uint32_t serial = 0;
	int held;

	memset(out, 0, sizeof *out);
	held = sc_lineage_hold();
	origin = look(s, &owner, &serial, out);
	sc_lineage_drop(held);
	if (!origin)
		return;
	out->cause = origin == s ? out->origin : SCOPE_CAUSE_PARENT;
	find_path(&owner, serial, out);
}

/* What a closed scope still knows. */
static void recall_cause(struct sc_scope *s, struct scope_cause_info *out)
{
	uint32_t state = sc_state(s);

	memset(out, 0, sizeof *out);
	if (state & SC_OWN)
		out->cause = out->origin = (enum scope_cause)(state >> SC_CAUSE_SHIFT);
	else if (state & SC_HIT_OUTER)
		out->cause = SCOPE_CAUSE_PARENT;
}

int scope_cause(const struct scope *public, struct scope_cause_info *out_info)
{
	struct sc_scope *s = sc_view(public);
	struct scope_cause_info info;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_cause");
	sc_check_scope("scope_cause of", s);
	if (sc_state(s) & SC_CLOSED)
		recall_cause(s, &info);
	else
		sc_find_cause(s, &info);
	if (out_info)
		*out_info = info;
	return (int)info.cause;
}

/* ---- in words -------------------------------------------------------------------------------- */

const char *sc_cause_text(enum scope_cause cause)
{
	static const char *const text[] = {
		[SCOPE_CAUSE_NONE] = "",
		[SCOPE_CAUSE_EXPLICIT] = "cancelled",
		[SCOPE_CAUSE_DEADLINE] = "deadline",
		[SCOPE_CAUSE_ERROR] = "sibling failed",
		[SCOPE_CAUSE_PARENT] = "cancelled from above",
		[SCOPE_CAUSE_INTERRUPT] = "interrupted",
		[SCOPE_CAUSE_SHUTDOWN] = "shutdown",
		[SCOPE_CAUSE_JOINER] = "joiner",
		[SCOPE_CAUSE_DEADLOCK] = "deadlock",
		[SCOPE_CAUSE_RUNTIME] = "rule broken",
		[SCOPE_CAUSE_SUPERVISOR] = "supervisor",
	};

	return text[cause];
}

static void put_scope(const struct scope_cause_info *cause, char *out, size_t size)
{
	if (cause->scope[0])
		snprintf(out, size, "scope \"%s\"", cause->scope);
	else
		snprintf(out, size, "a scope");
}

void sc_put_cause(const struct scope_cause_info *cause, char *out, size_t size)
{
	char scope[80], site[SC_SITE_SIZE], code[80];
	const char *who = cause->path;

	put_scope(cause, scope, sizeof scope);
	switch (cause->origin) {
	case SCOPE_CAUSE_ERROR:
		sc_put_code(cause->code, 0, code, sizeof code);
		snprintf(out, size, "%s failed with %s", *who ? who : "another task", code);
		return;
	case SCOPE_CAUSE_DEADLINE:
		snprintf(out, size, "the deadline of %s of %s has passed", scope, who);
		return;
	case SCOPE_CAUSE_SHUTDOWN:
		snprintf(out, size, "the grace period of %s has passed", scope);
		return;
	case SCOPE_CAUSE_JOINER:
		snprintf(out, size, "the policy of %s needs no more of it", scope);
		return;
	case SCOPE_CAUSE_INTERRUPT:
		snprintf(out, size, "%s", cause->text);
		return;
	case SCOPE_CAUSE_DEADLOCK:
		snprintf(out, size, "deadlock, every task was parked");
		return;
	case SCOPE_CAUSE_RUNTIME:
		snprintf(out, size, "%s returned and left %s open", who, scope);
		return;
	case SCOPE_CAUSE_SUPERVISOR:
		snprintf(out, size, "its supervisor stopped it");
		return;
	case SCOPE_CAUSE_PARENT:
		snprintf(out, size, "the scope above %s was closed", scope);
		return;
	default:
		break;
	}
	sc_os_site(cause->site, site, sizeof site);
	if (*who)
		snprintf(out, size, "%s was cancelled by %s at %s", scope, who, site);
	else
		snprintf(out, size, "%s opened at %s was cancelled", scope, site);
}
