/* runtime/sched/wheel.c: the timing wheel: insert, remove, expiry in order of time.
 *
 * A timer in slot `i` of level `l` agrees with the wheel's time in all bits above that
 * level's six, and `i` is greater than the time's own six bits there.  Two facts follow
 * and carry everything below: all timers of a level are earlier than those of any higher
 * level, and within a level a lower slot is earlier; and time may move up to the start of
 * the first occupied slot without any timer being misplaced; or to the end of that slot, if
 * its timers are taken out.
 */
#include "sched/wheel.h"

#include <string.h>

enum { SLOT_BITS = 6, SLOT_MASK = SC_WHEEL_SLOTS - 1 };

static void push(struct sc_timer **head, struct sc_timer *timer)
{
	timer->next = *head;
	timer->link = head;
	if (timer->next)
		timer->next->link = &timer->next;
	*head = timer;
}

/* Files a timer by its distance from the wheel's time; does not count it. */
static void file(struct sc_wheel *wheel, struct sc_timer *timer)
{
	unsigned level, slot;

	if (timer->when <= wheel->time) {
		push(&wheel->due, timer);
		return;
	}
	level = (63u - (unsigned)__builtin_clzll((uint64_t)(timer->when ^ wheel->time))) /
		SLOT_BITS;
	slot = (unsigned)(timer->when >> (level * SLOT_BITS)) & SLOT_MASK;
	wheel->occupied[level] |= UINT64_C(1) << slot;
	push(&wheel->slot[level][slot], timer);
}

/* The level of the first occupied slot, SC_WHEEL_LEVELS if there is none. */
static unsigned first_level(const struct sc_wheel *wheel)
{
	unsigned level = 0;

	while (level < SC_WHEEL_LEVELS && !wheel->occupied[level])
		level++;
	return level;
}

static unsigned first_slot(const struct sc_wheel *wheel, unsigned level)
{
	return (unsigned)__builtin_ctzll(wheel->occupied[level]);
}

/* The earliest time that falls into the slot. */
static int64_t slot_start(const struct sc_wheel *wheel, unsigned level, unsigned slot)
{
	uint64_t above = 0;
	unsigned shift = level * SLOT_BITS;

	if (shift + SLOT_BITS < 63)
		above = (uint64_t)wheel->time >> (shift + SLOT_BITS) << (shift + SLOT_BITS);
	return (int64_t)(above | (uint64_t)slot << shift);
}

static int64_t slot_length(unsigned level)
{
	return INT64_C(1) << level * SLOT_BITS;
}

/* Moves time to the start of a slot and files its timers anew: lower, or as due. */
static void open_slot(struct sc_wheel *wheel, unsigned level, unsigned slot)
{
	struct sc_timer *timer = wheel->slot[level][slot];
	struct sc_timer *next;

	wheel->time = slot_start(wheel, level, slot);
	wheel->slot[level][slot] = NULL;
	wheel->occupied[level] &= ~(UINT64_C(1) << slot);
	for (; timer; timer = next) {
		next = timer->next;
		file(wheel, timer);
	}
}

/* Sorts the timers of a slot that is over into an empty due list, at most so many: they need not
 * come down level by level.  Mostly the last that came is the last to expire, and is the first
 * here. */
enum { SORTED = 32 };

static int take_slot(struct sc_wheel *wheel, unsigned level, unsigned slot)
{
	struct sc_timer *timer = wheel->slot[level][slot], *next;
	unsigned count = 0;

	for (next = timer; next; next = next->next)
		if (++count > SORTED)
			return 0;
	wheel->time = slot_start(wheel, level, slot) + (slot_length(level) - 1);
	wheel->slot[level][slot] = NULL;
	wheel->occupied[level] &= ~(UINT64_C(1) << slot);
	for (; timer; timer = next) {
		struct sc_timer **place = &wheel->due;

		next = timer->next;
		while (*place && (*place)->when < timer->when)
			place = &(*place)->next;
		push(place, timer);
	}
	return 1;
}

/* Fills an empty due list with what expires first, at `now` at the latest. */
static void refill(struct sc_wheel *wheel, int64_t now)
{
	while (!wheel->due) {
		unsigned level = first_level(wheel), slot;
		int64_t start;

		if (level == SC_WHEEL_LEVELS)
			break;
		slot = first_slot(wheel, level);
		start = slot_start(wheel, level, slot);
		if (start > now)
			break;
		if (now - start < slot_length(level) - 1 || !take_slot(wheel, level, slot))
			open_slot(wheel, level, slot);
	}
	if (!wheel->due && now > wheel->time)
		wheel->time = now;
}

void sc_wheel_init(struct sc_wheel *wheel, int64_t now)
{
	memset(wheel, 0, sizeof(*wheel));
	wheel->time = now;
}

void sc_wheel_insert(struct sc_wheel *wheel, struct sc_timer *timer)
{
	wheel->count++;
	file(wheel, timer);
}

void sc_wheel_remove(struct sc_wheel *wheel, struct sc_timer *timer)
{
	struct sc_timer **link = timer->link;
	struct sc_timer **first = &wheel->slot[0][0];

	SC_ASSERT(link && wheel->count, "timer %p is not in the wheel", (void *)timer);
	wheel->count--;
	*link = timer->next;
	timer->link = NULL;
	if (timer->next) {
		timer->next->link = link;
	} else if (link >= first && link < first + SC_WHEEL_LEVELS * SC_WHEEL_SLOTS) {
		size_t index = (size_t)(link - first);

		wheel->occupied[index / SC_WHEEL_SLOTS] &=
			~(UINT64_C(1) << index % SC_WHEEL_SLOTS);
	}
}

struct sc_timer *sc_wheel_advance(struct sc_wheel *wheel, int64_t now, unsigned most)
{
	struct sc_timer *taken = NULL;
	struct sc_timer **end = &taken;

	for (; most; most--) {
		struct sc_timer *timer;

		if (!wheel->due)
			refill(wheel, now);
		timer = wheel->due;
		if (!timer)
			break;
		wheel->due = timer->next;
		if (timer->next)
			timer->next->link = &wheel->due;
		timer->link = NULL;
		wheel->count--;
		*end = timer;
		end = &timer->next;
	}
	*end = NULL;
	return taken;
}

int64_t sc_wheel_next(const struct sc_wheel *wheel, int exact)
{
	const struct sc_timer *timer = wheel->due;
	int64_t earliest = INT64_MAX;
	unsigned level, slot;

	if (!timer) {
		level = first_level(wheel);
		if (level == SC_WHEEL_LEVELS)
			return INT64_MAX;
		slot = first_slot(wheel, level);
		if (!exact || !level)
			return slot_start(wheel, level, slot);
		timer = wheel->slot[level][slot];
	} else if (!exact) {
		return 0;
	}
	for (; timer; timer = timer->next)
		if (timer->when < earliest)
			earliest = timer->when;
	return earliest;
}
