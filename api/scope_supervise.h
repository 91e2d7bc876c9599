/* scope_supervise.h: tasks that are started again when they end.
 *
 *	struct scope_spawner pool;
 *	struct scope s;
 *
 *	scope_open(&s);
 *	rc = scope_fail(&s, scope_supervise(&s, NULL, &pool), NULL);
 *	if (rc == 0)                                    else there is no spawner
 *		scope_spawner_spawn(&pool, serve, &server);     whoever is handed `pool` may add
 *	rc = scope_close(&s);                           until all have ended for good, or a cancel
 *
 * The spawner is one as any other: a function that takes a spawner need not know whether what it
 * spawns is supervised.
 */
#ifndef SCOPE_SUPERVISE_H
#define SCOPE_SUPERVISE_H

#include "scope_ref.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which children are started again when one has ended and is.  Those that still run are stopped
 * for it, one at a time, the last spawned first. */
enum scope_strategy {
	SCOPE_ONE_FOR_ONE = 0, /* that one */
	SCOPE_ONE_FOR_ALL = 1, /* all */
	SCOPE_REST_FOR_ONE = 2 /* that one and all that were spawned after it */
};

/* Whether a child that has ended by itself is started again. */
enum scope_restart {
	SCOPE_PERMANENT = 1, /* always */
	SCOPE_TRANSIENT = 2, /* after an error */
	SCOPE_TEMPORARY = 3  /* never, nor with others; an error is listed: see below */
};

struct scope_supervise_options {
	const char *name;       /* for paths and reports; must live until the scope is closed */
	unsigned strategy;      /* enum scope_strategy */
	unsigned restart;       /* enum scope_restart, of children that don't say; 0: permanent */
	unsigned max_restarts;  /* in period_ns, at most 10,000; 0: 1; UINT_MAX: without limit */
	int64_t period_ns;      /* 0: 5 s */
	int64_t backoff_ns;     /* pause before a restart; 0: none */
	int64_t max_backoff_ns; /* 0: 30 s */
	int64_t grace_ns;       /* of children that don't say: see below; 0: cancelled at once */
	scope_exit_fn *on_exit; /* asked at each end, or NULL */
	void *on_exit_arg;
	uint64_t reserved[4];   /* must be 0 */
};

/**
 * Starts a supervisor of the scope and makes a spawner by which tasks are added to those that it
 * watches, its children.  A child that ends is started again as its kind says, with the same
 * function and argument; each time the pause is doubled, up to max_backoff_ns, until the child
 * has run for period_ns, and of each pause a part between half and all of it, by chance, is
 * waited.  If children want to be started again more than max_restarts times within period_ns,
 * all are stopped and `s` fails with the error of the last one (-ECHILD if it had none), whose
 * record is the context of that error; those before it are listed.
 *
 * An error that leads to a restart is dealt with by that.  Other errors of children are errors of
 * `s`: that of a temporary one cancels nothing, as with SCOPE_AWAIT_ALL, what comes up while all
 * are being stopped does what the policy of `s` says.
 *
 * Children keep `s` open until they have ended for good; those that were spawned with
 * SCOPE_SERVICE do not, nor does a supervisor without children.  A cancel of `s`, or from above,
 * does not reach the children but their supervisor, which starts none any more and stops them,
 * one at a time, the last spawned first: each is shut down as by scope_shutdown with its grace
 * period, cancelled at once if it has none, and waited for.  A soft stop reaches soft regions
 * in children too, which then are not started again; those with a grace period are shut down one
 * after another, and the end of the grace period above cuts short all of theirs.
 *
 * on_exit is called in the supervisor, in a place that no cancel reaches, at each end of a child;
 * scope_last_error has the record of an error.  It may change `result->rc`, by which the child
 * is judged then.  SCOPE_EXIT_RESTART starts a child again whatever its kind is,
 * SCOPE_EXIT_CANCEL stops all and takes no more; while children are being stopped the answer
 * counts for nothing.
 *
 * s        keeps the supervisor until it is closed
 * options  NULL: all defaults; read only during the call, the name until `s` is closed
 * Thread safety: any task that holds the scope while it is open.
 * Cost: an allocation and a task; two allocations a child, none a restart.
 * Returns 0, else there is no supervisor, and *out_spawner refuses all (-ESTALE):
 *   -ENOTCONN   not called from a task
 *   -EINVAL     s or out_spawner is NULL, or an option is out of range or a reserved one is set
 *   -ESTALE     the scope is closed
 *   -ECANCELED  the scope is a cancelled place
 *   -ENOMEM     no memory; also an error of the scope
 */
SCOPE_API int scope_supervise(struct scope *s, const struct scope_supervise_options *options,
			      struct scope_spawner *out_spawner);

#ifdef __cplusplus
}
#endif

#endif
