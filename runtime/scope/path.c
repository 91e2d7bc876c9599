/* runtime/scope/path.c: who a task is: its name, number and path, and where it was spawned. */
#include "scope/path.h"
#include <string.h>

/* ---- numbers --------------------------------------------------------------------------------- */

/* The last number that a name has given; a name found no place: all such names together. */
enum { NAMES = 512 };

static struct {
	SC_WORD(uint64_t) key;
	SC_WORD(uint32_t) last;
} names[NAMES];
static SC_WORD(uint32_t) other_names;

void sc_numbers_reset(void)
{
	memset((void *)names, 0, sizeof names);
	at_store_rlx(&other_names, 1);
}

static uint64_t key_of(const struct sc_step *step)
{
	uint64_t key = UINT64_C(0xcbf29ce484222325);
	const char *c;

	if (!step->name)
		return (uintptr_t)step->fn;
	for (c = step->name; *c; c++)
		key = (key ^ (unsigned char)*c) * UINT64_C(0x100000001b3);
	return key | 1;
}

/* Without a lock: reports are made anywhere, in the handler of a fault too. */
static uint32_t next_number(uint64_t key)
{
	uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15) >> 32;
	unsigned i;

	for (i = 0; i < NAMES; i++) {
		unsigned at = (unsigned)(hash + i) % NAMES;
		uint64_t seen = at_load_rlx(&names[at].key);

		if (seen == 0 && at_cas_rlx(&names[at].key, &seen, key))
			seen = key;
		if (seen == key)
			return at_add_rlx(&names[at].last, 1) + 1;
	}
	return at_add_rlx(&other_names, 1) + 1;
}

/* The number of the inlined child of s.  It goes by a mark in the child's site, which the next
 * child's overwrites; TAINT has a range look, whose children share one site. */
SC_RACY static uint32_t number_of_inlined(struct sc_scope *s, uint64_t key)
{
	uintptr_t site = s->running.site;

	while (!(site & SC_RUNNING_NUMBERED)) {
		at_store_rlx(&s->number, next_number(key));
		if (at_cas_rlx(&s->running.site, &site, site | SC_RUNNING_NUMBERED)) {
			at_or_rlx(&s->state, SC_TAINT);
			break;
		}
	}
	return at_load_rlx(&s->number);
}

static uint32_t number_of(uintptr_t task, uint64_t key)
{
	struct sc_scope *node = sc_untag(task);
	uint32_t number = 0;

	if (task & 1)
		return number_of_inlined(node, key);
	number = at_load_rlx(&node->number);
	if (number == 0) {
		uint32_t next = next_number(key);

		if (at_cas_rlx(&node->number, &number, next))
			number = next;
	}
	return number;
}

uint32_t sc_trail_number(struct sc_scope *node, const void *fn, const char *name)
{
	struct sc_step step = {fn, name, 0};

	return number_of((uintptr_t)node, key_of(&step));
}

/* ---- trails ---------------------------------------------------------------------------------- */

/* The task that `task` stands for (a node, or s|1), and the place of its parent. */
SC_RACY static struct sc_step what_runs(uintptr_t task, uintptr_t *out_parent)
{
	struct sc_scope *s = sc_untag(task);
	struct sc_step step = {0};
	struct sc_task *record = NULL;

	if (task & 1) {
		step.fn = s->running.what;
		if (s->running.site & SC_RUNNING_NAMED)
			record = (struct sc_task *)(uintptr_t)step.fn;
		*out_parent = (uintptr_t)s;
	} else {
		struct sc_strand *strand = sc_card_of(s)->strand;

		step.fn = (const void *)strand->slot.fn;
		record = strand->task;
		*out_parent = s->parent;
	}
	if (record) {
		step.fn = (const void *)record->slot.fn;
		step.name = record->name;
	}
	return step;
}

static unsigned index_of(const struct sc_trail *trail, unsigned i)
{
	return i < trail->inner ? i : trail->inner + (i - trail->inner) % trail->outer;
}

static int is_kept(const struct sc_trail *trail, unsigned i)
{
	return i < trail->inner || i + trail->outer >= trail->depth;
}

SC_RACY void sc_trail_fill_held(struct sc_trail *trail, uintptr_t place)
{
	trail->depth = 0;
	trail->known = 1;
	while (sc_untag(place) != &sc_root) {
		uintptr_t task = sc_task_of(place);
		struct sc_step step;

		if (!sc_sound(task)) {
			trail->known = 0;
			return;
		}
		step = what_runs(task, &place);
		if (step.fn == (const void *)sc_range_entry)
			continue; /* a thief's share is no task */
		/* There is one root task. */
		step.number = sc_untag(place) == &sc_root ? 1 : number_of(task, key_of(&step));
		trail->steps[index_of(trail, trail->depth)] = step;
		trail->depth++;
	}
}

void sc_trail_fill(struct sc_trail *trail, uintptr_t place)
{
	int held = sc_lineage_hold();

	sc_trail_fill_held(trail, place);
	sc_lineage_drop(held);
}

static size_t put_step(const struct sc_step *step, char *out, size_t size)
{
	char symbol[128], number[16] = "";
	const char *name = step->name;
	int length;

	if (!name) {
		sc_os_symbol(step->fn, 0, symbol, sizeof symbol);
		name = symbol;
	}
	if (step->number > 1)
		snprintf(number, sizeof number, "#%u", (unsigned)step->number);
	length = snprintf(out, size, "/%s", name);
	/* A name that is too long loses its end, not its number. */
	if ((size_t)length + strlen(number) >= size)
		length = (int)(size - 1 - strlen(number));
	strcpy(out + length, number);
	return (size_t)length + strlen(number);
}

/* The innermost tasks say most.  They are written from the end of the buffer on backwards, and
 * a quarter of it is kept for the outermost, as long as not all are there. */
void sc_trail_print(const struct sc_trail *trail, char *out, size_t size)
{
	static const char cut[] = "/…", unknown[] = "(unknown)";
	char *end = out + size - 1, *tail = end, text[200];
	unsigned from = 0, to = trail->depth;
	size_t used = 0, length;

	if (!trail->known)
		used = (size_t)snprintf(out, size, "%s", unknown);
	for (; from < to && is_kept(trail, from); from++) {
		length = put_step(&trail->steps[index_of(trail, from)], text, sizeof text);
		if (tail - out < (ptrdiff_t)(length + used + (from + 1 < to ? size / 4 : 0)))
			break;
		tail -= length;
		memcpy(tail, text, length);
	}
	for (; from < to && is_kept(trail, to - 1); to--) {
		size_t mark = from + 1 < to ? sizeof cut - 1 : 0;

		length = put_step(&trail->steps[index_of(trail, to - 1)], text, sizeof text);
		if (tail - out < (ptrdiff_t)(used + length + mark))
			break;
		memcpy(out + used, text, length);
		used += length;
	}
	if (from < to && tail - out >= (ptrdiff_t)(used + sizeof cut - 1)) {
		memcpy(out + used, cut, sizeof cut - 1);
		used += sizeof cut - 1;
	}
	memmove(out + used, tail, (size_t)(end - tail));
	out[used + (size_t)(end - tail)] = '\0';
}

/* ---- in words -------------------------------------------------------------------------------- */

SC_RACY void sc_path(uintptr_t place, char *out, size_t size)
{
	struct sc_step steps[48];
	struct sc_trail trail = {steps, 40, 8, 0, 1};

	sc_trail_fill(&trail, place);
	sc_trail_print(&trail, out, size);
}

/* Where the task at `place` was spawned; that of an inlined one is in the scope it runs for. */
static const void *site_of(uintptr_t place)
{
	uintptr_t task = sc_task_of(place);

	if (!sc_sound(task))
		return NULL;
	if (task & 1)
		return (const void *)(sc_untag(task)->running.site & ~SC_RUNNING_MARKS);
	return sc_card_of(sc_untag(task))->strand->slot.site;
}

SC_RACY static void describe(uintptr_t place, int in_handler, char *out, size_t size)
{
	const char *from = sc_sound(sc_task_of(place)) ? "scope_run" : "(unknown)";
	char path[1024], where[SC_SITE_SIZE];
	const void *site = site_of(place);

	sc_path(place, path, sizeof path);
	if (site && in_handler)
		sc_os_symbol(site, 1, where, sizeof where);
	else if (site)
		sc_os_site(site, where, sizeof where);
	snprintf(out, size, "task %s, spawned at %s", path, site ? where : from);
}

void sc_describe(uintptr_t place, char *out, size_t size)
{
	describe(place, 0, out, size);
}

void sc_describe_in_handler(uintptr_t place, char *out, size_t size)
{
	describe(place, 1, out, size);
}

SC_RACY void sc_describe_scope(struct sc_scope *s, char *out, size_t size)
{
	char where[SC_SITE_SIZE];
	const char *name;

	if (!sc_sound((uintptr_t)s)) {
		snprintf(out, size, "%p", (void *)s);
		return;
	}
	if (!s->site) {
		snprintf(out, size, "a scope that scope_open_with refused");
		return;
	}
	name = sc_name(s);
	sc_os_site(s->site, where, sizeof where);
	snprintf(out, size, "scope %s%s%sopened at %s", name ? "\"" : "", name ? name : "",
		 name ? "\" " : "", where);
}
