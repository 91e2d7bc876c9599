/* scope_signal.h: a signal as a stream that a task reads. */
#ifndef SCOPE_SIGNAL_H
#define SCOPE_SIGNAL_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_signal;

/**
 * From now on `signal` goes to this stream instead of to what it did before: to read a
 * configuration again at SIGHUP, to count SIGUSR1, or to do something else than scope_run at
 * SIGINT or SIGTERM, which then neither shut down nor cancel and are not told by `out_signal`.
 * No code of the program runs in a handler.  The handler, which counts, runs on any thread that
 * does not block the signal; if the program blocks it, on one of the library.  A stream that is
 * left open ends with scope_run.  While one is open, parked tasks are no deadlock.
 *
 * out_signal  the stream, until scope_signal_close or the end of scope_run
 * Thread safety: any task of the run.
 * Cost: an allocation and a few system calls.
 * Returns 0, else nothing is changed and *out_signal is untouched:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    out_signal is NULL, or no handler can have the signal: SIGKILL, SIGSTOP, those of
 *              the C library, those that tell of a fault (SIGSEGV, SIGBUS, SIGFPE, SIGILL,
 *              SIGTRAP, SIGSYS, SIGABRT), SIGRTMIN+3 and +4
 *   -EBUSY     a stream of the signal is open
 *   -ENOMEM    no memory
 */
SCOPE_API int scope_signal_open(int signal, struct scope_signal **out_signal);

/**
 * Waits for the next signal and takes it off the stream; those that came since
 * scope_signal_open are kept, up to 65,535.  Signals of a number below SIGRTMIN that come close
 * together are one to the kernel.  Soft: ends at a graceful shutdown, as if in a region of
 * scope_soft_begin.
 *
 * Cancellation point: what comes is left in the stream.
 * Thread safety: one task at a time.
 * Returns 0, else nothing was taken:
 *   -ENOTCONN   not called from a task
 *   -ECANCELED  the place is cancelled
 *   -ESHUTDOWN  it is a stopped place
 *   -EBUSY      another task waits at this stream
 *   -EBADF      the stream was closed meanwhile
 */
SCOPE_API int scope_signal_next(struct scope_signal *stream);

/**
 * Closes the stream and restores what the signal did before; what was not taken is dropped.
 * A task that waits there gets -EBADF.  Outside scope_run, where no stream is left, it does
 * nothing.
 *
 * Thread safety: any task of the run; no other one uses the stream from then on.
 * Cost: a few system calls; may wait some 10 us for the library's thread.
 */
SCOPE_API void scope_signal_close(struct scope_signal *stream);

#ifdef __cplusplus
}
#endif

#endif
