/* runtime/sched/wheel.h: a hierarchical timing wheel with exact nanosecond expiry.
 *
 * Eleven levels of 64 slots; a timer sits at the level of the highest bit in which its
 * expiry differs from the wheel's time, and moves down as time comes near.  Insert and
 * remove are O(1); each timer moves at most once a level, and no more once its slot is
 * over, if that holds few.  The caller locks.
 */
#ifndef SC_SCHED_WHEEL_H
#define SC_SCHED_WHEEL_H

#include "base/atomic.h"

#define SC_NEVER INT64_MAX

/* Embedded in what waits; `when` is set by the caller before insert. */
struct sc_timer {
	SC_WORD(int64_t) when;  /* absolute ns, >= 0 */
	struct sc_timer *next;
	struct sc_timer **link; /* what points to this timer; NULL: not in a wheel */
};

enum { SC_WHEEL_LEVELS = 11, SC_WHEEL_SLOTS = 64 };

struct sc_wheel {
	int64_t time;   /* what is due at or before it was taken out or lies in `due` */
	SC_WORD(uint64_t) count; /* timers inside */
	uint64_t occupied[SC_WHEEL_LEVELS]; /* bit i: slot i holds a timer */
	struct sc_timer *slot[SC_WHEEL_LEVELS][SC_WHEEL_SLOTS];
	struct sc_timer *due; /* when <= time: taken out first by the next advance */
};

void sc_wheel_init(struct sc_wheel *wheel, int64_t now);
void sc_wheel_insert(struct sc_wheel *wheel, struct sc_timer *timer);
void sc_wheel_remove(struct sc_wheel *wheel, struct sc_timer *timer); /* must be inside */
/* Moves time towards `now` and takes out up to `most` timers due by then, earliest `when`
 * first (those inserted when already due come before, in any order); linked by next, link
 * NULL.  Less than `most`: time is `now` and none is left that is due. */
struct sc_timer *sc_wheel_advance(struct sc_wheel *wheel, int64_t now, unsigned most);
/* The earliest `when`, exactly if `exact` (looks at all timers of one slot), else perhaps
 * early (never late) and cheap: 0 if one is due; INT64_MAX if empty. */
int64_t sc_wheel_next(const struct sc_wheel *wheel, int exact);

#endif
