/* runtime/scope/ref.c: rights to a scope that outlive it: rules S5, S8.
 *
 * A right names an entry and the generation of the scope that the entry stands for.  Entries are
 * reused and freed only at the end of the run, so a right can be looked at when its scope is long
 * gone: the generation tells.  Generations go on from run to run; one from before this run says
 * that the entry is gone too.
 *
 * Who uses a right makes itself a unit of the scope, under the entry's lock.  A close that finds
 * no unit left takes that lock, looks again, and moves the generation on: so a task is joined or
 * refused.
 */
#include "scope/ref.h"
#include "scope/extra.h"
#include <errno.h>

struct sc_entry {
	struct sc_lock lock;
	uint32_t outside;        /* lock: it holds off deadlock detection */
	uint64_t generation;     /* lock */
	struct sc_scope *scope;  /* lock; const while the generation is that */
	struct sc_entry *free;   /* entries: the next one */
	struct sc_entry *all;    /* const: the one made before */
};

static struct sc_lock entries;      /* taken for the lists */
static struct sc_entry *free_entries, *all_entries;
static SC_WORD(uint64_t) generations; /* given out so far */
static uint64_t before_run;         /* const during a run: given out before it */

/* ---- entries ------------------------------------------------------------------------------- */

void sc_refs_begin(void)
{
	before_run = at_load_rlx(&generations);
}

void sc_refs_end(void)
{
	struct sc_entry *entry = all_entries, *before;

	all_entries = free_entries = NULL;
	for (; entry; entry = before) {
		before = entry->all;
		sc_os.free(entry);
	}
}

static struct sc_entry *take_free(void)
{
	struct sc_entry *entry;

	sc_lock_take(&entries);
	entry = free_entries;
	if (entry)
		free_entries = entry->free;
	sc_lock_drop(&entries);
	return entry;
}

static void give_back(struct sc_entry *entry)
{
	sc_lock_take(&entries);
	entry->free = free_entries;
	free_entries = entry;
	sc_lock_drop(&entries);
}

static struct sc_entry *new_entry(void)
{
	struct sc_entry *entry = take_free();

	if (entry)
		return entry;
	entry = sc_os.alloc(sizeof *entry);
	if (!entry)
		return NULL;
	*entry = (struct sc_entry){0};
	sc_lock_take(&entries);
	entry->all = all_entries;
	all_entries = entry;
	sc_lock_drop(&entries);
	return entry;
}

static void set(struct sc_entry *entry, struct sc_scope *s)
{
	sc_lock_take(&entry->lock);
	entry->generation = at_add_rlx(&generations, 1) + 1;
	entry->scope = s;
	entry->outside = 0;
	sc_lock_drop(&entry->lock);
}

/* The entry of s, made if it has none; NULL: no memory. */
static struct sc_entry *entry_of(struct sc_scope *s)
{
	struct sc_entry *fresh = new_entry(), *entry = NULL;
	struct sc_extra *extra;

	sc_scope_lock(s);
	extra = sc_extra(s);
	if (extra && !extra->entry && fresh) {
		set(fresh, s);
		extra->entry = fresh;
		fresh = NULL;
	}
	if (extra)
		entry = extra->entry;
	at_or_rlx(&s->state, SC_SHARED);
	sc_scope_unlock(s);
	if (fresh)
		give_back(fresh);
	return entry;
}

/* ---- rights -------------------------------------------------------------------------------- */

int sc_right_of(struct sc_scope *s, int outside, struct sc_right *out)
{
	struct sc_entry *entry;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_ref, or a call like it,");
	sc_check_open("a right to", s);
	if ((sc_state(s) & SC_CLOSED) || !sc_begin_use(s))
		return -ESTALE;
	entry = entry_of(s);
	if (entry) {
		sc_lock_take(&entry->lock);
		if (outside && !entry->outside) {
			entry->outside = 1;
			sc_outside(SC_DOOR, 1);
		}
		*out = (struct sc_right){entry, entry->generation};
		sc_lock_drop(&entry->lock);
	}
	sc_end_use(s);
	return entry ? 0 : -ENOMEM;
}

struct sc_scope *sc_hold(const struct sc_right *right)
{
	struct sc_scope *s = NULL;

	if (right->generation <= before_run)
		return NULL;
	sc_lock_take(&right->entry->lock);
	if (right->entry->generation == right->generation) {
		s = right->entry->scope;
		at_add_rlx(&s->count, 1);
	}
	sc_lock_drop(&right->entry->lock);
	return s;
}

int sc_rights_end(struct sc_scope *s)
{
	struct sc_entry *entry = sc_state(s) & SC_EXTRA ? s->extra->entry : NULL;
	int ends;

	if (!entry)
		return 1;
	sc_lock_take(&entry->lock);
	ends = sc_all_ended(s) && !((sc_state(s) & SC_OBJECTS) && s->children);
	if (ends) {
		entry->generation = 0;
		if (entry->outside)
			sc_outside(SC_DOOR, -1);
	}
	sc_lock_drop(&entry->lock);
	if (!ends)
		return 0;
	s->extra->entry = NULL;
	give_back(entry);
	return 1;
}

/* ---- for tasks ----------------------------------------------------------------------------- */

static struct sc_right *right_in(const struct scope_ref *ref)
{
	return (struct sc_right *)(uintptr_t)ref;
}

_Static_assert(sizeof(struct sc_right) <= sizeof(struct scope_ref), "a right fits");

int scope_ref_get(struct scope *s, struct scope_ref *out_ref)
{
	return sc_right_of(sc_view(s), 1, right_in(out_ref));
}

int scope_ref_spawn(const struct scope_ref *ref, scope_task_fn *fn, void *arg)
{
	struct sc_scope *s;
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_ref_spawn");
	s = sc_hold(right_in(ref));
	if (!s)
		return -ESTALE;
	rc = sc_spawn_slow(s, fn, arg, __builtin_return_address(0));
	sc_drop_units(s, 1);
	return rc;
}

/* ---- spawners ------------------------------------------------------------------------------ */

static int spawn_into_scope(const struct sc_spawner *spawner, scope_task_fn *fn, void *arg,
			    const struct scope_spawn_options *options, const void *site)
{
	struct sc_scope *s;
	int rc;

	if (!sc_spawn_options_plain(options))
		return -EINVAL;
	s = sc_hold(&spawner->right);
	if (!s)
		return -ESTALE;
	rc = options ? sc_spawn_with(s, fn, arg, options->copy_size, options, site)
		     : sc_spawn_slow(s, fn, arg, site);
	sc_drop_units(s, 1);
	return rc;
}

static const struct sc_spawner *inside(const struct scope_spawner *spawner)
{
	return (const struct sc_spawner *)spawner;
}

_Static_assert(sizeof(struct sc_spawner) <= sizeof(struct scope_spawner), "a spawner fits");

int scope_spawner_of(struct scope *s, struct scope_spawner *out_spawner)
{
	struct sc_spawner spawner = {spawn_into_scope, {NULL, 0}, NULL};
	int rc = sc_right_of(sc_view(s), 0, &spawner.right);

	*(struct sc_spawner *)out_spawner = rc == 0 ? spawner : (struct sc_spawner){0};
	return rc;
}

int scope_spawner_spawn(const struct scope_spawner *spawner, scope_task_fn *fn, void *arg)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_spawner_spawn");
	if (!inside(spawner)->spawn)
		return -ESTALE;
	return inside(spawner)->spawn(inside(spawner), fn, arg, NULL, __builtin_return_address(0));
}

int scope_spawner_spawn_with(const struct scope_spawner *spawner, scope_task_fn *fn, void *arg,
			     const struct scope_spawn_options *options)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_spawner_spawn_with");
	if (!sc_spawn_options_valid(options))
		return -EINVAL;
	if (!inside(spawner)->spawn)
		return -ESTALE;
	return inside(spawner)->spawn(inside(spawner), fn, arg, options,
				      __builtin_return_address(0));
}
