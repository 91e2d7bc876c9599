/* tests/sim/scn.h: what the scenarios share: scopes and tasks that check themselves. */
#ifndef SC_TESTS_SIM_SCN_H
#define SC_TESTS_SIM_SCN_H

#include "harness.h"
#include "os/os.h"
#include "sim.h"

#include <errno.h>
#include <scope.h>
#include <scope_observe.h>

struct group;

/* A task; lives as long as its group is open. */
struct job {
	struct group *group;
	int (*body)(struct job *job);
	uint64_t number;  /* for the body */
	void *pointer;    /* for the body */
	unsigned runs;    /* must end as 1 if accepted, else 0 */
	int saw;          /* what the body's checkpoint returned, for the scenario */
};

/* A scope that counts its tasks. */
struct group {
	struct scope scope;
	unsigned accepted, ended;
	unsigned hits; /* checkpoints inside that failed, as far as bodies count them */
	bool open;
	bool in_object; /* it may be closed with its parent: then it accepts nothing any more */
};

void group_open(struct group *group);
void group_open_with(struct group *group, const struct scope_options *options);
/* Checks that the task does not run if refused. */
int group_spawn(struct group *group, struct job *job, int (*body)(struct job *job));
int group_spawn_with(struct group *group, struct job *job, int (*body)(struct job *job),
		     const struct scope_spawn_options *options);
/* The same of a scope in an object; its memory stays until it was closed, by either. */
void group_open_in(struct group *group, struct group *parent);
/* Checks that all accepted tasks have ended, then overwrites the scope and looks for a
 * while whether somebody still writes to it. */
int group_close(struct group *group);
/* What group_close does after scope_close. */
void group_closed(struct group *group, int rc);

/* Bodies. */
int body_nothing(struct job *job);
int body_points(struct job *job);   /* some schedule points */
int body_yield(struct job *job);    /* yields `number` times, until cancelled */
int body_sleep(struct job *job);    /* sleeps `number` ns; counts a hit; returns 0 */
int body_for_ever(struct job *job); /* sleeps until cancelled; returns -ECANCELED */
int body_cancel(struct job *job);   /* cancels its group, or the one at `pointer` */

/* Some schedule points. */
void pause_randomly(void);

/* Runs `root` in scope_run with 1 .. 3 workers in many schedules. */
enum {
	WITH_TIMERS = 1, /* all threads may wait for the clock */
	PARALLEL = 2,    /* at least 2 workers */
	VIRTUAL = 4,     /* SCOPE_VIRTUAL_CLOCK, so that nobody waits for the other one */
	DEADLOCK = 8,    /* SCOPE_DETECT_DEADLOCK, and there is one */
	INTERRUPTS = 16  /* a thread of the program's own sends SIGINT once or twice */
};
void explore(const char *name, int (*root)(void *arg), unsigned flags);

#endif
