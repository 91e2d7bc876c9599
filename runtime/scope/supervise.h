/* runtime/scope/supervise.h: supervisors: tasks that start others again: rule V1.
 *
 *   scope s
 *     the supervisor's scope in between (a service of s): its task
 *       a child's scope in between, shielded: the child's task
 *
 * A cancel from above so ends at the shields of the children and reaches the supervisor's task,
 * which alone starts, stops and closes them, one thing at a time.  Others only leave word:
 * a spawner puts a child into `fresh`, the end of a child's task puts it into `ended`, and both
 * unpark the supervisor.
 *
 * Units.  A child that is no service is one of s until it is gone.  Each run of a child is one of
 *   the supervisor's scope, and so is the supervisor's task.  That scope is closed, and the
 *   memory of the supervisor freed, by the close of s, which claims it as a service; so whoever
 *   holds a unit there (a spawner by its right, a run until its very end) may use it.
 *
 * A child is WAITING, to be started at `due`, or RUNNING.  A restart of several is a group: those
 * from `group_first` to `group_last`, by `serial`, are stopped from the end on, then all wait for
 * the same instant.  Who ends outside of a group has to wait until it is done.
 */
#ifndef SC_SCOPE_SUPERVISE_H
#define SC_SCOPE_SUPERVISE_H

#include "scope/child.h"
#include "scope/extra.h"
#include <limits.h>
#include <scope_supervise.h>

struct sc_child {
	struct sc_between between; /* first: of the run that is under way */
	struct sc_supervisor *supervisor; /* const, as what follows */
	struct sc_task *task;
	unsigned restart;   /* enum scope_restart */
	uint32_t service;   /* it does not keep the scope open */
	int64_t grace;
	struct sc_child *next; /* lock: in fresh or ended */

	/* supervisor's task */
	struct sc_child *before, *after; /* in the order in which they were spawned */
	uint64_t serial;    /* grows in that order */
	uint32_t running;
	uint32_t asked;     /* to stop, in this run */
	uint32_t ending;    /* ... because all end */
	uint32_t has_run;
	uint32_t restarts;  /* in a row */
	int64_t due;        /* WAITING */
	int64_t started_at; /* RUNNING */
};

struct sc_supervisor {
	struct sc_between between; /* first */
	struct sc_task task;
	struct scope_supervise_options options; /* const; nothing is left to defaults */
	struct scope_parker parker; /* where its task waits */

	struct sc_lock lock;
	struct sc_child *fresh, **fresh_end; /* lock */
	struct sc_child *ended, **ended_end; /* lock */
	uint32_t over;                       /* lock: nothing is accepted any more */

	/* supervisor's task */
	struct sc_child *first, *last;
	uint64_t serial;   /* of the child that was spawned last */
	int64_t next_due;  /* no child is to be started earlier */
	uint32_t stopping; /* for good */
	uint32_t grouped;  /* a group is being stopped */
	uint64_t group_first, group_last;
	struct sc_child *cursor; /* the next of the group to be stopped, or the one before it */
	int64_t group_pause;

	/* The record of the last error that led to a restart is the task's last error, as long
	 * as there is no other; those before it are listed in the supervisor's scope. */
	int32_t last_code; /* 0: none */
	const void *last_site;
	uint32_t restarts, oldest; /* in the ring */
	int64_t times[];           /* of the restarts in the last period */
};

SC_INLINE struct sc_scope *sc_supervised(struct sc_supervisor *sup)
{
	return sc_untag(sup->between.scope.parent);
}

/* ---- supervise.c, for the supervisor's task ---- */

/* It is to be started then. */
void sc_child_wait(struct sc_child *child, int64_t due);
void sc_child_start(struct sc_child *child);
/* Shuts it down, with so much time. */
void sc_child_ask(struct sc_child *child, int64_t grace);
/* It will not be started any more. */
void sc_child_gone(struct sc_child *child);

/* ---- restart.c ---- */

/* A child's run has ended. */
void sc_restart_hear(struct sc_supervisor *sup, struct sc_child *child);
/* Whether a child belongs to the group that is being stopped. */
int sc_restart_in_group(const struct sc_supervisor *sup, const struct sc_child *child);
/* Goes on with the group: true if it has just been stopped. */
int sc_restart_group(struct sc_supervisor *sup);
/* Nothing is started again from here on. */
void sc_restart_stop(struct sc_supervisor *sup);

#endif
