/* runtime/sched/wheel.h: a hierarchical timing wheel with exact nanosecond expiry.
 *
 * Eleven levels of 64 slots; a timer sits at the level of the highest bit in which its
 * expiry differs from the wheel's time, and moves down as time comes near.  Insert and
 * remove are O(1); each timer moves at most once a level.  The caller locks.
 */
#ifndef SC_SCHED_WHEEL_H
#define SC_SCHED_WHEEL_H

#include "base/base.h"

/* Embedded in what waits; `when` is set by the caller before insert. */
struct sc_timer {
	int64_t when;           /* absolute ns, >= 0 */
	struct sc_timer *next;
	struct sc_timer **link; /* what points to this timer; NULL: not in a wheel */
};

enum { SC_WHEEL_LEVELS = 11, SC_WHEEL_SLOTS = 64 };

struct sc_wheel {
	int64_t time;   /* everything due at or before it has been taken out */
	uint64_t count; /* timers inside */
	uint64_t occupied[SC_WHEEL_LEVELS]; /* bit i: slot i holds a timer */
	struct sc_timer *slot[SC_WHEEL_LEVELS][SC_WHEEL_SLOTS];
	struct sc_timer *due; /* inserted with when <= time: expire at the next advance */
};

void sc_wheel_init(struct sc_wheel *wheel, int64_t now);
void sc_wheel_insert(struct sc_wheel *wheel, struct sc_timer *timer);
void sc_wheel_remove(struct sc_wheel *wheel, struct sc_timer *timer); /* must be inside */
/* Moves time to `now` and takes out up to `most` timers due by then, earliest `when` first
 * among those taken in one call as far as they come from different slots; linked by next,
 * link NULL.  NULL: none is left that is due. */
struct sc_timer *sc_wheel_advance(struct sc_wheel *wheel, int64_t now, unsigned most);
/* The earliest `when`, exactly if `exact`, else perhaps a little early (never late) and
 * cheap; INT64_MAX if empty. */
int64_t sc_wheel_next(const struct sc_wheel *wheel, int exact);

#endif
