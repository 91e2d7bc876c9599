/* runtime/io/engine.h: operations that libuv carries out, and the tasks that wait for them.
 *
 *   WAITED --ended--> DONE
 *      +---abandoned---> ABANDONED --ended--> dropped
 *
 * libuv has one loop for the process, which no thread runs for its own sake: its descriptor is
 * watched by the workers' poller, and whoever hears of it gives the loop a turn.  All use of the
 * loop and all changes above are made under the engine's lock, which nobody holds while waiting.
 * Whoever makes an operation DONE claims the wait of its strand under that lock too; a strand
 * whose wait was claimed by a cancel takes the lock before it goes on.  So a claim never meets
 * another wait of the strand.
 */
#ifndef SC_IO_ENGINE_H
#define SC_IO_ENGINE_H

#include "scope/tree.h"

#include <uv.h>

enum sc_op_state { SC_OP_WAITED, SC_OP_DONE, SC_OP_ABANDONED };

/* On the stack of the task that waits; one that may be abandoned, from the heap.  All zero but for
 * `what` and `drop`. */
struct sc_op {
	union {
		uv_fs_t fs;
		uv_getaddrinfo_t names;
		uv_req_t any;
	} uv; /* its callback calls sc_op_ended */
	struct sc_op *next, **link; /* lock: among those under way */
	struct sc_strand *strand;   /* const: who waits */
	const void *what;           /* const: the function that a report names */
	/* const.  NULL: it is waited for to its end.  Else it may be abandoned, and this frees it,
	 * when it has ended, or where it was refused, as it was given. */
	void (*drop)(struct sc_op *op);
	enum sc_op_state state; /* lock */
};

/* Hands the operation to libuv: 0, or why not.  Under the lock. */
typedef int sc_op_start(uv_loop_t *loop, struct sc_op *op);

/* A cancellation point.  0: the operation has ended, what became of it is in op->uv.  Else it has
 * not begun or is not waited for any more: one with a drop is not the caller's any more. */
int sc_op_run(struct sc_op *op, sc_op_start *start);

/* Does something with the loop, under the lock, and gives it a turn if that went well.  Its result,
 * or why there is no loop. */
int sc_engine_use(int (*fn)(uv_loop_t *loop, void *arg), void *arg);

/* terminal.c: at the end of a run, and of the process.  Then, under the lock, libuv's
 * handles are closed. */
void sc_terminals_put_back(void);
void sc_terminals_end(void);

/* leave.c: before libuv is used. */
void sc_expect_the_end(void);
/* At the end of the process: whether libuv would wait for an operation, or for threads
 * that a fork has left behind. */
int sc_engine_hangs(void);

/* By the callbacks. */
void sc_op_ended(struct sc_op *op);

#endif
