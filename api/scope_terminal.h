/* scope_terminal.h: a terminal: what is typed, as lines or as keys, and its size. */
#ifndef SCOPE_TERMINAL_H
#define SCOPE_TERMINAL_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_terminal;

enum scope_terminal_mode {
	SCOPE_TERMINAL_LINES = 0, /* as it was opened: lines to be edited, Ctrl-C interrupts */
	/* Keys as they come, several bytes for some, not shown; Ctrl-C is the byte 3, Ctrl-Z 26.
	 * What is written is shown as before. */
	SCOPE_TERMINAL_KEYS = 1
};

/**
 * Opens the terminal that a descriptor leads to, 0 for instance, anew: the descriptor and what the
 * program does with it stay as they are.  One that is left open is closed at the end of scope_run
 * or at exit(3); both put its mode back.  A program that a signal ends or stops, SIGHUP or SIGTSTP
 * for instance, leaves it in the mode that it has, unless it waits for that signal itself
 * (scope_signal_open): then `stty sane` helps.
 *
 * fd            of a terminal; it may be closed afterwards
 * out_terminal  until scope_terminal_close
 * Thread safety: any task of the run.
 * Cost: some system calls.
 * Returns 0, else nothing is open and *out_terminal is untouched:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    out_terminal is NULL
 *   -EBADF     fd is not open
 *   -ENOTTY    it leads to something else
 *   -EMFILE    the process has no descriptor left
 *   -ENOMEM    no memory
 * or what open(2) said of the terminal.
 */
SCOPE_API int scope_terminal_open(int fd, struct scope_terminal **out_terminal);

/**
 * Puts the mode back and closes it; a task that waits there gets -EBADF.  NULL is allowed; does
 * nothing outside scope_run.  Not a cancellation point.
 *
 * Thread safety: any task of the run; no call on it begins any more.
 */
SCOPE_API void scope_terminal_close(struct scope_terminal *t);

/**
 * Says how what is typed comes.
 *
 * mode  enum scope_terminal_mode
 * Cancellation point: a change that has begun is waited for, until what was written is shown.
 * Thread safety: any task of the run, one at a time.
 * Cost: two switches between threads, 10 to 100 us.
 * Returns 0, else the mode is what it was:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     t is NULL or mode is none
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 * or what tcsetattr(3) said, -EIO of a terminal that is gone, and scope_offload.
 */
SCOPE_API int scope_terminal_mode(struct scope_terminal *t, unsigned mode);

/**
 * Tells its size in characters.  A change of it is told by SIGWINCH: see scope_signal_open.
 *
 * Thread safety: any task of the run.
 * Cost: a system call.
 * Returns 0, else nothing is stored:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    t, out_columns or out_rows is NULL
 * or what ioctl(2) said, -EIO of a terminal that is gone.
 */
SCOPE_API int scope_terminal_size(const struct scope_terminal *t, unsigned *out_columns,
				  unsigned *out_rows);

/**
 * Waits for what is typed: a line, or keys.
 *
 * size      at most, over 0
 * out_done  bytes in buffer; 0: the end (Ctrl-D in an empty line, or the terminal is gone, which
 *           keys tell by nothing else), and after an error
 * Cancellation point: -ECANCELED has taken nothing.
 * Thread safety: any task of the run, one at a time.
 * Cost: a system call, or a wait.
 * Returns 0, else buffer is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     t, buffer or out_done is NULL, or size is 0
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBUSY      another task reads
 *   -EBADF      it was closed meanwhile
 *   -EIO        the program is in the background, or it is gone
 */
SCOPE_API int scope_terminal_read(struct scope_terminal *t, void *buffer, size_t size,
				  size_t *out_done);

/**
 * Shows it, all of it.
 *
 * out_done  bytes that were written, after an error too; may be NULL
 * Cancellation point: -ECANCELED after *out_done bytes.
 * Thread safety: any task of the run, one at a time.
 * Cost: a system call, or a wait until there is room.
 * Returns 0, else *out_done bytes were written:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     t or data is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBUSY      another task writes
 *   -EBADF      it was closed meanwhile
 *   -EIO        it is gone
 */
SCOPE_API int scope_terminal_write(struct scope_terminal *t, const void *data, size_t size,
				   size_t *out_done);

#ifdef __cplusplus
}
#endif

#endif
