/* scope_watch.h: changes of files and directories, as a stream that a task reads. */
#ifndef SCOPE_WATCH_H
#define SCOPE_WATCH_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

struct scope_watch;

/* What has happened; several may come together. */
enum scope_watch_what {
	SCOPE_WATCH_CONTENT = 1, /* it was written to */
	SCOPE_WATCH_FACTS = 2,   /* its permissions, owner or times have changed */
	SCOPE_WATCH_ADDED = 4,   /* a directory has got the name, by a new file or a rename */
	SCOPE_WATCH_REMOVED = 8, /* a directory has lost it */
	SCOPE_WATCH_GONE = 16,   /* what is watched was renamed, or removed: the last change */
	SCOPE_WATCH_LOST = 32    /* too much happened before it was read: look at everything */
};

struct scope_watch_event {
	unsigned what;  /* enum scope_watch_what */
	unsigned pad;
	char name[256]; /* in the directory that is watched; "": what is watched itself */
};

/**
 * Watches a file, or a directory and the files in it, by inotify(7): changes made through another
 * machine are not seen.  One that is left open is closed at the end of scope_run.
 *
 * out_watch  the stream, until scope_watch_close
 * Thread safety: any task of the run.
 * Cost: a few system calls.
 * Returns 0, else nothing is watched and *out_watch is untouched:
 *   -ENOTCONN  not called from a task
 *   -EINVAL    path or out_watch is NULL
 *   -ENOENT    there is no such file
 *   -EMFILE    the process has no descriptor left, or the user no watch
 *   -ENOMEM    no memory
 * or what inotify_init1(2) and inotify_add_watch(2) said.
 */
SCOPE_API int scope_watch_open(const char *path, struct scope_watch **out_watch);

/**
 * Waits for the next change since scope_watch_open, and takes it off the stream.
 *
 * Cancellation point: what comes is left in the stream.
 * Thread safety: any task of the run, one at a time.
 * Cost: a system call for some dozen changes.
 * Returns 0, else *out_event is untouched:
 *   -ENOTCONN   not called from a task
 *   -EINVAL     w or out_event is NULL
 *   -ECANCELED  the place is or was cancelled
 *   -ESHUTDOWN  it is a stopped place, in a soft region
 *   -EBUSY      another task waits at this stream
 *   -EBADF      the stream was closed meanwhile
 *   -ENOENT     what was watched is no more, and all that happened to it was told: nothing more
 *               will come
 */
SCOPE_API int scope_watch_next(struct scope_watch *w, struct scope_watch_event *out_event);

/**
 * Closes the stream; a task that waits there gets -EBADF.  NULL is allowed; does nothing outside
 * scope_run.  Not a cancellation point.
 *
 * Thread safety: any task of the run; no call on it begins any more.
 */
SCOPE_API void scope_watch_close(struct scope_watch *w);

#ifdef __cplusplus
}
#endif

#endif
