/* scope_chan.h: channels between tasks, and waiting for the first of several things.
 *
 * Items are copied in and out, in the order in which they are sent.  Who waits is served in the
 * order of coming.  A cancelled call has sent or received nothing; one that was chosen at the
 * instant of a cancel has succeeded, and the next checkpoint shows the cancel: so no item is lost
 * or doubled.  Between tasks of one run.
 */
#ifndef SCOPE_CHAN_H
#define SCOPE_CHAN_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_chan;

/* A capacity: sending never waits. */
#define SCOPE_UNBOUNDED SIZE_MAX

/**
 * Makes a channel.
 *
 * item_size  bytes of an item; 0: what is sent is only that it happened
 * capacity   items that are kept when nobody waits for one; 0: sending waits for who receives;
 *            SCOPE_UNBOUNDED: as many as memory holds
 * drop       called by scope_chan_free for each item that is left; NULL: nothing
 * out_chan   until scope_chan_free
 * Thread safety: any thread.
 * Returns 0, else *out_chan is unchanged:
 *   -EINVAL  out_chan is NULL
 *   -ENOMEM  no memory for so many items
 */
SCOPE_API int scope_chan_new(size_t item_size, size_t capacity, void (*drop)(void *item),
			     struct scope_chan **out_chan);

/**
 * Sends a copy of an item; waits while the channel is full, or without capacity until a task
 * receives it.
 *
 * item  read before the call returns
 * Cancellation point: -ECANCELED has not sent it.
 * Thread safety: any task.
 * Cost: 10 to 30 ns if it need not wait.
 * Returns 0: it is sent, else it is still the caller's:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EPIPE      the channel is or was closed
 *   -ENOMEM     no memory for one more item of an unbounded channel
 */
SCOPE_API int scope_chan_send(struct scope_chan *c, const void *item);

/**
 * As scope_chan_send, for a time.
 *
 * deadline_ns  absolute, monotonic; already past: sends if it need not wait
 * Cancellation point: -ECANCELED has not sent it.
 * Thread safety: any task.
 * Returns 0: it is sent, else it is still the caller's:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -ETIMEDOUT  there was no room until deadline_ns
 *   -EPIPE      the channel is or was closed
 *   -ENOMEM     no memory for one more item of an unbounded channel
 */
SCOPE_API int scope_chan_send_until(struct scope_chan *c, const void *item, int64_t deadline_ns);

/**
 * Sends an item if it need not wait.
 *
 * Thread safety: any task.
 * Returns 0: it is sent, else it is still the caller's:
 *   -ENOTCONN  not called from a task
 *   -EAGAIN    the channel is full, or has no capacity and nobody waits to receive
 *   -EPIPE     the channel is closed
 *   -ENOMEM    no memory for one more item of an unbounded channel
 */
SCOPE_API int scope_chan_try_send(struct scope_chan *c, const void *item);

/**
 * Receives the oldest item; waits until there is one.
 *
 * out_item  item_size bytes
 * Cancellation point: -ECANCELED has taken none.
 * Thread safety: any task.
 * Cost: 10 to 30 ns if it need not wait.
 * Returns 0, else *out_item is unchanged:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -EPIPE      the channel is or was closed, and no item is left
 */
SCOPE_API int scope_chan_recv(struct scope_chan *c, void *out_item);

/**
 * As scope_chan_recv, for a time.
 *
 * deadline_ns  absolute, monotonic; already past: takes an item that is there
 * Cancellation point: -ECANCELED has taken none.
 * Thread safety: any task.
 * Returns 0, else *out_item is unchanged:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region
 *   -ETIMEDOUT  there was none until deadline_ns
 *   -EPIPE      the channel is or was closed, and no item is left
 */
SCOPE_API int scope_chan_recv_until(struct scope_chan *c, void *out_item, int64_t deadline_ns);

/**
 * Receives an item if there is one.
 *
 * Thread safety: any task.
 * Returns 0, else *out_item is unchanged:
 *   -ENOTCONN  not called from a task
 *   -EAGAIN    there is none
 *   -EPIPE     the channel is closed, and no item is left
 */
SCOPE_API int scope_chan_try_recv(struct scope_chan *c, void *out_item);

/**
 * Closes the channel: who sends gets -EPIPE from now on; who receives first gets the items that
 * are left.  All who wait go on.
 *
 * Thread safety: any task.
 * Returns 0, else nothing is changed:
 *   -ENOTCONN  not called from a task
 *   -EBADF     it is closed already
 */
SCOPE_API int scope_chan_close(struct scope_chan *c);

/**
 * Frees the channel, closed or not, and drops the items that are left; NULL does nothing.
 *
 * Thread safety: any thread; nobody uses it any more.
 */
SCOPE_API void scope_chan_free(struct scope_chan *c);

/* ---- select ---------------------------------------------------------------------------- */

/* What an arm waits for; the field of struct scope_case that says more. */
enum scope_case_kind {
	SCOPE_CASE_SEND = 1, /* to send `item` to the channel `object` */
	SCOPE_CASE_RECV,     /* to receive into `item` from the channel `object` */
	SCOPE_CASE_EVENT,    /* that the struct scope_event `object` is set */
	SCOPE_CASE_DEADLINE, /* that `deadline_ns` is there */
	SCOPE_CASE_END,      /* that no task of the struct scope `object` is left: the innermost
			      * of the caller, or one with max_tasks, results or a policy */
	SCOPE_CASE_SHUTDOWN, /* that the place is softly stopped, in a soft region or not */
	SCOPE_CASE_FD        /* that `fd` is ready for one of `events`, as scope_fd_wait_until of
			      * scope_net.h */
};

enum { SCOPE_CASE_WORDS = 15 };

/* One arm; all zero but for what its kind asks for. */
struct scope_case {
	unsigned kind;       /* enum scope_case_kind */
	int result;          /* out, of the arm that fired: 0, or -EPIPE, -ENOMEM of a channel; of
			      * a descriptor what it is ready for, as scope_fd_poll_until tells it,
			      * or why it can't be waited for */
	void *object;
	void *item;
	int64_t deadline_ns;
	int fd;
	unsigned events;     /* enum scope_fd_event */
	uint64_t opaque[SCOPE_CASE_WORDS]; /* the call's own */
};

enum { SCOPE_SELECT_ORDERED = 1 }; /* of the arms that can fire, the first one in the array */

/**
 * Waits until one of several arms can fire, and fires it and no other: what it sends is sent, what
 * it receives is taken.  Of several that can, any is as likely as the others.  An arm of a channel
 * that is closed fires with the result -EPIPE.  One of a descriptor that is not open, or that
 * scope_fd_close closes meanwhile, fires with -EBADF, and with -EBUSY if another task or arm waits
 * to read, or to write, it.  The children of a scope whose end is waited for run on stacks of their
 * own.
 *
 * cases        used by the call until it returns
 * flags        SCOPE_SELECT_ORDERED or 0
 * deadline_ns  absolute, monotonic; SCOPE_NEVER; already past: fires an arm that can
 * Cancellation point: -ECANCELED has fired none.
 * Thread safety: any task.
 * Cost: two locks an arm, if it has to wait four; of a descriptor a system call, and one more.
 * Returns the index of the arm that fired, else none has:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     an unknown kind or flag, no object, no or unknown events, a scope that the caller
 *               may not wait for, or in two arms
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is or was stopped, and the caller in a soft region; with an arm that waits for
 *               that, the arm fires
 *   -ETIMEDOUT  none could until deadline_ns
 */
SCOPE_API int scope_select_until(struct scope_case *cases, size_t count, unsigned flags,
				 int64_t deadline_ns);

#ifdef __cplusplus
}
#endif

#endif
