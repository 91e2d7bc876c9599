/* runtime/io/pool.h: calls that block, and the threads that run them.
 *
 *   QUEUED --taken--> RUNNING --returned--> DONE
 *      |                 +------abandoned--> ABANDONED
 *      +--taken back--> REFUSED
 *
 * All changes are made under the pool's lock.  Whoever makes a call DONE or REFUSED claims the
 * wait of its strand under that lock too; a strand whose wait was claimed by a cancel takes the
 * lock before it goes on.  So a claim never meets another wait of the strand.
 */
#ifndef SC_IO_POOL_H
#define SC_IO_POOL_H

#include "scope/tree.h"

enum sc_call_state {
	SC_CALL_QUEUED,
	SC_CALL_RUNNING,
	SC_CALL_DONE,
	SC_CALL_ABANDONED, /* the thread that runs it drops and frees it */
	SC_CALL_REFUSED    /* fn did not and will not run */
};

/* On the stack of the task that waits; one that may be abandoned, from the heap. */
struct sc_call {
	struct sc_call *next;     /* lock: in the queue */
	scope_task_fn *fn;        /* const */
	void *arg;                /* const */
	void (*drop)(void *arg, int result); /* const */
	struct sc_strand *strand; /* const: who waits */
	enum sc_call_state state; /* lock */
	int result;               /* lock; DONE: of fn; REFUSED: why */
	uint32_t by_signal;       /* const: fn may be interrupted by a signal */
	uint32_t interrupted;     /* lock: signals are being sent */
};

/* Queues a call whose strand's wait is prepared.  False if it is REFUSED, since there is no thread
 * and none can be started: then the strand must not park. */
int sc_pool_submit(struct sc_call *call);

/* A cancel won the wait of its strand.  Takes the call back if it has not begun, abandons it if
 * that is asked for and it runs.  What it is then. */
enum sc_call_state sc_pool_cancel(struct sc_call *call, int abandon);

/* Has signals sent to the thread that runs the call until it has returned. */
void sc_pool_interrupt(struct sc_call *call);

/* Prepares another wait of the strand for the end of the call: false if it has ended. */
int sc_pool_wait_again(struct sc_call *call);

#endif
