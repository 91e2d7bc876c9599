/* runtime/scope/survey.c: finds the tasks and scopes of a run without stopping it; see survey.h. */
#include "scope/extra.h"
#include "scope/path.h"
#include "scope/survey.h"
#include <errno.h>
#include <string.h>

/* Without memory for more, so many are shown. */
enum { FEW = 512 };
static struct sc_sight few[FEW];
static uint32_t few_slots[2 * FEW];

static int copy(void *to, const void *from, size_t size)
{
	return sc_os_peek(to, from, size) == 0;
}

/* Piece by piece: one that crosses no such boundary can be read as a whole or not at all. */
const char *sc_peek_text(const char *text, char *out, size_t size)
{
	enum { PIECE = 64 };
	size_t n = 0, end = 0;

	for (;;) {
		if (n == end) {
			end += PIECE - (uintptr_t)(text + n) % PIECE;
			if (end > size - 1)
				end = size - 1;
			if (n == end || !copy(&out[n], text + n, end - n))
				break;
		}
		if (out[n] == '\0')
			break;
		if ((unsigned char)out[n] < ' ' || out[n] == 127)
			out[n] = '?';
		n++;
	}
	out[n] = '\0';
	return out;
}

/* ---- what was seen ------------------------------------------------------------------------- */

static int grow(struct sc_survey *survey)
{
	uint32_t room = survey->room * 2;
	struct sc_sight *more = sc_os.alloc(room * sizeof *more);

	if (!more)
		return 0;
	memcpy(more, survey->sights, survey->count * sizeof *more);
	if (survey->sights != few)
		sc_os.free(survey->sights);
	survey->sights = more;
	survey->room = room;
	return 1;
}

static struct sc_sight *add(struct sc_survey *survey, enum sc_sight_kind kind, uintptr_t place,
			    uintptr_t above)
{
	struct sc_sight *sight;

	if (survey->count == survey->room && !grow(survey)) {
		survey->left_out++;
		return NULL;
	}
	sight = &survey->sights[survey->count++];
	*sight = (struct sc_sight){.kind = kind, .place = place, .above = above};
	return sight;
}

/* ---- a chain -------------------------------------------------------------------------------- */

/* On the way up a strand's chain. */
struct climb {
	struct sc_survey *survey;
	struct sc_strand *at;  /* what is where the strand is, and copies of it */
	struct sc_strand strand;
	struct sc_leaf leaf;
	struct sc_worker *worker;
	enum sc_reason reason; /* of the next task */
	uint32_t moving;       /* it did not stand still */
	uintptr_t inner;       /* the youngest scope that the next task has open */
};

static void see_scope(struct climb *climb, const struct sc_scope *at, const struct sc_scope *s)
{
	struct sc_sight *sight = add(climb->survey, SC_SIGHT_SCOPE, (uintptr_t)at, s->parent);

	if (!climb->inner && !(s->state & SC_BARRIER))
		climb->inner = (uintptr_t)at;
	if (!sight)
		return;
	sight->site = s->site;
	sight->state = s->state;
	sight->code = s->code;
	sight->count = s->count;
	if (s->state & SC_DEADLINE)
		sight->deadline = s->alarm.timer.when;
	if ((s->state & SC_EXTRA) && !copy(&sight->name, &s->extra->name, sizeof sight->name))
		sight->name = NULL;
}

/* fn or, if NULL, the record says what runs. */
static void see_task(struct climb *climb, uintptr_t place, uintptr_t above, const void *fn,
		     const struct sc_task *record, const void *site, uint32_t number)
{
	struct sc_sight *sight = add(climb->survey, SC_SIGHT_TASK, place, above);
	const struct sc_strand *strand = &climb->strand;
	enum sc_reason reason = climb->reason;
	struct sc_task task;

	climb->reason = SC_IN_CLOSE; /* the tasks above it */
	if (sight) {
		sight->fn = fn;
		if (record && copy(&task, record, sizeof task)) {
			sight->fn = (const void *)task.slot.fn;
			sight->name = task.name;
		}
		sight->share = fn == (const void *)sc_range_entry;
		sight->site = site;
		sight->number = number;
		sight->reason = reason;
		sight->moving = climb->moving;
		sight->since = strand->since;
		sight->object = strand->object;
		sight->wake_at = climb->leaf.card.alarm.timer.when;
		sight->inner_place = climb->inner;
		sight->worker = climb->worker;
		sight->fiber = &climb->at->fiber;
		if (reason != SC_RUNNING && !climb->worker)
			sight->stack = (size_t)(strand->fiber.stack_high -
						(const char *)strand->fiber.context.sp);
	}
	climb->inner = 0;
}

/* The node of the strand's first task; where it is, and what it says. */
static const struct sc_scope *node_of(const struct climb *climb)
{
	return (const struct sc_scope *)((struct sc_leaf *)climb->strand.fiber.card)->node;
}

static uintptr_t parent_of(const struct climb *climb)
{
	return (uintptr_t)climb->leaf.node[offsetof(struct sc_scope, parent) / 8];
}

static uint32_t number_of(const struct climb *climb)
{
	uint32_t number;

	memcpy(&number, (const char *)climb->leaf.node + offsetof(struct sc_scope, number),
	       sizeof number);
	return number;
}

static void see_first_task(struct climb *climb)
{
	const struct sc_strand *strand = &climb->strand;

	see_task(climb, (uintptr_t)node_of(climb), parent_of(climb), (const void *)strand->slot.fn,
		 strand->task, strand->slot.site, number_of(climb));
}

/* That task, which was seen last, gets its number now.  An inlined one has one only if it has been
 * named before: where it runs may not be written to from elsewhere. */
static void number_first_task(struct climb *climb)
{
	struct sc_survey *survey = climb->survey;
	struct sc_sight *sight = &survey->sights[survey->count - 1];
	char name[SC_SITE_SIZE];

	if (survey->left_out || sight->number || sight->share ||
	    sight->above == (uintptr_t)&sc_root)
		return;
	if (sight->name)
		sc_peek_text(sight->name, name, sizeof name);
	sight->number = sc_trail_number((struct sc_scope *)sight->place, sight->fn,
					sight->name ? name : NULL);
}

/* False if it leads nowhere. */
static int see_chain(struct climb *climb, uintptr_t place)
{
	const struct sc_scope *node = node_of(climb);
	uintptr_t marked = 0;
	uint64_t steps = 0;

	while (sc_untag(place) != node) {
		const struct sc_scope *at = sc_untag(place);
		struct sc_scope s;

		/* What is not a chain may be a circle. */
		if (place == marked || !copy(&s, at, sizeof s) || (s.state & SC_TASK))
			return 0;
		if ((steps & (steps - 1)) == 0)
			marked = place;
		steps++;
		if ((place & 1) && !(s.state & SC_COUNTED) && s.running.what) {
			uintptr_t site = s.running.site;

			see_task(climb, place, (uintptr_t)at, s.running.what,
				 site & SC_RUNNING_NAMED ? s.running.what : NULL,
				 (const void *)(site & ~SC_RUNNING_MARKS),
				 site & SC_RUNNING_NUMBERED ? s.number : 0);
		}
		see_scope(climb, at, &s);
		place = s.parent;
	}
	see_first_task(climb);
	return 1;
}

/* ---- a strand ------------------------------------------------------------------------------- */

/* Who runs it, and its place then; a strand between two workers has neither. */
static struct sc_worker *find_worker(const struct sc_strand *at, uintptr_t *out_place)
{
	unsigned i;

	for (i = 0; i < sc_sched.count; i++) {
		struct sc_worker *worker = &sc_sched.workers[i];
		const struct sc_strand *strand;

		if (copy(&strand, &worker->strand, sizeof strand) && strand == at &&
		    copy(out_place, &worker->cur, sizeof *out_place))
			return worker;
	}
	return NULL;
}

/* Who wakes a strand that waits cancellably leaves its reason as it was. */
static enum sc_reason reason_of(const struct climb *climb)
{
	uint32_t reason = climb->strand.reason;

	if (reason >= SC_REASONS)
		return SC_RUNNING;
	if (reason > SC_IN_CLOSE && climb->leaf.card.wait > SC_WAIT_WAITING)
		return SC_READY;
	return (enum sc_reason)reason;
}

/* False if it has no task. */
static int look(struct climb *climb, uintptr_t *out_place)
{
	if (!copy(&climb->strand, climb->at, sizeof climb->strand) ||
	    climb->strand.reason == SC_FREE ||
	    !copy(&climb->leaf, climb->strand.fiber.card, sizeof climb->leaf))
		return 0;
	*out_place = climb->strand.place;
	climb->reason = reason_of(climb);
	climb->inner = 0;
	climb->worker = climb->reason == SC_RUNNING ? find_worker(climb->at, out_place) : NULL;
	return 1;
}

static int stood_still(const struct climb *climb)
{
	const struct sc_strand *then = &climb->strand;
	struct sc_strand now;
	uintptr_t place;

	if (climb->reason == SC_RUNNING)
		return climb->worker && find_worker(climb->at, &place) == climb->worker;
	return copy(&now, climb->at, sizeof now) && now.reason == then->reason &&
	       now.place == then->place && now.since == then->since;
}

static void see_strand(void *arg, struct sc_fiber *fiber)
{
	struct sc_survey *survey = arg;
	struct climb climb = {.survey = survey};
	uintptr_t place;
	int tries;

	climb.at = SC_CONTAINER(fiber, struct sc_strand, fiber);
	for (tries = 0; tries < 3; tries++) {
		uint32_t before = survey->count;
		enum sc_reason reason;
		int whole;

		if (!look(&climb, &place))
			return;
		reason = climb.reason;
		whole = see_chain(&climb, place);
		climb.reason = reason;
		if (whole && stood_still(&climb)) {
			number_first_task(&climb);
			return;
		}
		survey->count = before;
	}
	if (!look(&climb, &place))
		return;
	climb.moving = 1;
	see_first_task(&climb);
}

/* ---- the tree ------------------------------------------------------------------------------- */

static uint32_t *slot_of(const struct sc_survey *survey, uintptr_t place)
{
	uint32_t i = (uint32_t)((place * UINT64_C(0x9e3779b97f4a7c15)) >> 32);

	for (;; i++) {
		uint32_t *slot = &survey->table[i & (survey->slots - 1)];

		if (!*slot || survey->sights[*slot - 1].place == place)
			return slot;
	}
}

static uint32_t find(const struct sc_survey *survey, uintptr_t place)
{
	return place ? *slot_of(survey, place) : 0;
}

static void make_table(struct sc_survey *survey)
{
	uint32_t i;

	for (survey->slots = 2 * FEW; survey->slots < 2 * survey->count; survey->slots *= 2)
		;
	survey->table = few_slots;
	if (survey->slots > 2 * FEW)
		survey->table = sc_os.alloc(survey->slots * sizeof *survey->table);
	if (!survey->table) {
		survey->left_out += survey->count - FEW;
		survey->count = FEW;
		survey->slots = 2 * FEW;
		survey->table = few_slots;
	}
	memset(survey->table, 0, survey->slots * sizeof *survey->table);
	for (i = 0; i < survey->count; i++) {
		uint32_t *slot = slot_of(survey, survey->sights[i].place);

		if (!*slot)
			*slot = i + 1;
	}
}

/* What was seen twice, on its way from one strand to another, counts once. */
static int is_first(const struct sc_survey *survey, uint32_t index)
{
	return find(survey, survey->sights[index].place) == index + 1;
}

/* Scopes that belong to no strand, and those of a strand that moved: known by what is in them. */
static void see_missing(struct sc_survey *survey)
{
	struct climb climb = {.survey = survey};
	uint32_t i;

	for (i = 0; i < survey->count && survey->count < survey->slots / 4 * 3; i++) {
		const struct sc_scope *at = (const struct sc_scope *)survey->sights[i].above;
		struct sc_scope s;

		if (at == &sc_root || ((uintptr_t)at & 1) || find(survey, (uintptr_t)at) ||
		    !copy(&s, at, sizeof s) || (s.state & SC_TASK))
			continue;
		see_scope(&climb, at, &s);
		*slot_of(survey, (uintptr_t)at) = survey->count;
	}
}

/* What is not in any list that begins at the run led to itself, and is not shown. */
static void link_up(struct sc_survey *survey)
{
	uint32_t i;

	for (i = survey->count; i-- > 0;) {
		struct sc_sight *sight = &survey->sights[i];
		uint32_t *list = &survey->first;

		if (!is_first(survey, i))
			continue;
		sight->inner = find(survey, sight->inner_place);
		sight->parent = find(survey, sight->above);
		if (sight->parent)
			list = &survey->sights[sight->parent - 1].child;
		sight->next = *list;
		*list = i + 1;
	}
}

uint32_t sc_survey_next(const struct sc_survey *survey, uint32_t index)
{
	const struct sc_sight *sights = survey->sights;

	if (sights[index - 1].child)
		return sights[index - 1].child;
	while (index && !sights[index - 1].next)
		index = sights[index - 1].parent;
	return index ? sights[index - 1].next : 0;
}

/* Ranges of tasks that park are passed on share by share: paths skip those. */
static void find_tasks(struct sc_survey *survey)
{
	uint32_t i;

	for (i = survey->first; i; i = sc_survey_next(survey, i)) {
		struct sc_sight *sight = &survey->sights[i - 1], *parent;

		if (!sight->parent)
			continue;
		parent = &survey->sights[sight->parent - 1];
		sight->task = parent->kind == SC_SIGHT_TASK && !parent->share ? sight->parent
									       : parent->task;
	}
}

void sc_survey_take(struct sc_survey *survey)
{
	*survey = (struct sc_survey){.sights = few, .room = FEW};
	sc_fiber_each(see_strand, survey);
	make_table(survey);
	see_missing(survey);
	link_up(survey);
	find_tasks(survey);
}

void sc_survey_drop(struct sc_survey *survey)
{
	if (survey->sights != few)
		sc_os.free(survey->sights);
	if (survey->table != few_slots)
		sc_os.free(survey->table);
}

/* ---- for the watchdog ----------------------------------------------------------------------- */

/* As sc_effective; what is read may be gone. */
static int is_cancelled(uintptr_t place)
{
	uint64_t part[offsetof(struct sc_scope, count) / 8];
	unsigned steps;

	for (steps = 0; steps < 1u << 20 && copy(part, sc_untag(place), sizeof part); steps++) {
		uint32_t state;

		memcpy(&state, (const char *)part + offsetof(struct sc_scope, state), sizeof state);
		if (state & SC_OWN)
			return 1;
		if (state & SC_SHIELD)
			return 0;
		if (state & SC_LINKED)
			return (state & SC_OUTER) != 0;
		memcpy(&place, (const char *)part + offsetof(struct sc_scope, parent),
		       sizeof place);
	}
	return 0;
}

/* Of very many strands nearly all are parked in what a cancel ends: one word of each is read. */
SC_RACY static int may_be_stuck(const struct sc_strand *strand)
{
	uint32_t reason = *(const volatile uint32_t *)&strand->reason;

	return reason == SC_RUNNING || reason == SC_IN_CLOSE || reason == SC_IN_OFFLOAD;
}

int sc_survey_stuck(struct sc_fiber *fiber, struct sc_stuck *out)
{
	struct climb climb = {.at = SC_CONTAINER(fiber, struct sc_strand, fiber)};
	uintptr_t place;

	if (!may_be_stuck(climb.at) || !look(&climb, &place) || climb.reason == SC_READY)
		return 0;
	*out = (struct sc_stuck){.fiber = fiber, .reason = climb.reason};
	if (climb.reason == SC_RUNNING) {
		if (!climb.worker || !place)
			return 0;
		out->stamp = at_load_rlx(&climb.worker->progress);
	} else {
		out->stamp = (uint64_t)climb.strand.since;
		out->place = place;
	}
	return is_cancelled(place);
}
