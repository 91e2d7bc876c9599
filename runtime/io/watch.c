/* runtime/io/watch.c: streams of changes of files: rules N1 and N3.
 *
 * The kernel tells many changes at once.  They are read in here and given one at a time; the side
 * IN of the descriptor, which one call at a time uses, guards them.
 */
#include "io/io.h"
#include "os/inotify.h"

#include <errno.h>
#include <scope_watch.h>
#include <string.h>

_Static_assert((int)SCOPE_WATCH_CONTENT == SC_CHANGE_CONTENT &&
		       (int)SCOPE_WATCH_FACTS == SC_CHANGE_FACTS &&
		       (int)SCOPE_WATCH_ADDED == SC_CHANGE_ADDED &&
		       (int)SCOPE_WATCH_REMOVED == SC_CHANGE_REMOVED &&
		       (int)SCOPE_WATCH_GONE == SC_CHANGE_GONE &&
		       (int)SCOPE_WATCH_LOST == SC_CHANGE_LOST,
	       "changes are those of os/");

struct scope_watch {
	struct sc_lock lock;
	unsigned holders;  /* lock: who opened it, and a call */
	struct sc_fd *fd;  /* const */
	size_t used, size; /* the call: what of the bytes was given, and is there */
	int ended;         /* the call: the kernel has told that no more will come */
	uint64_t bytes[512];
};

static void let_go(struct scope_watch *w)
{
	int last;

	sc_lock_take(&w->lock);
	last = --w->holders == 0;
	sc_lock_drop(&w->lock);
	if (last)
		sc_os.free(w);
}

int scope_watch_open(const char *path, struct scope_watch **out_watch)
{
	struct scope_watch *w;
	int fd, rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_watch_open");
	if (!path || !out_watch)
		return -EINVAL;
	w = sc_os.alloc(sizeof *w);
	if (!w)
		return -ENOMEM;
	*w = (struct scope_watch){.holders = 1};
	fd = sc_os_inotify(path);
	rc = fd < 0 ? fd : sc_io_own(fd, 0, &w->fd);
	if (rc < 0)
		sc_os.free(w);
	else
		*out_watch = w;
	return rc;
}

void scope_watch_close(struct scope_watch *w)
{
	if (sc_self()->cur == 0 || !w)
		return;
	sc_fd_close(w->fd);
	let_go(w);
}

/* The use goes on if this is 0. */
static int fill(struct scope_watch *w, struct sc_use *use)
{
	int64_t n;
	int rc;

	if (w->ended) {
		sc_fd_leave(use, 0);
		return -ENOENT;
	}
	while (!use->ready || (n = sc_os.recv(use->fd->fd, w->bytes, sizeof w->bytes)) == -EAGAIN) {
		rc = sc_io_wait(use, SC_IN_READ);
		if (rc < 0)
			return rc;
	}
	if (n < 0) {
		sc_fd_leave(use, 0);
		return (int)n;
	}
	w->used = 0;
	w->size = (size_t)n;
	return 0;
}

/* The next that is there; `what` 0: none. */
static void take(struct scope_watch *w, unsigned *what, const char **name)
{
	*what = 0;
	while (w->used < w->size && *what == 0) {
		w->used += sc_os_inotify_parse((char *)w->bytes + w->used, what, name);
		if (*what == SC_CHANGE_END) {
			w->ended = 1;
			*what = 0;
		}
	}
}

static int next(struct scope_watch *w, struct scope_watch_event *out)
{
	const char *name;
	struct sc_use use;
	unsigned what;
	int rc = sc_io_begin(w->fd, SC_IN, &use);

	if (rc < 0)
		return rc;
	for (take(w, &what, &name); what == 0; take(w, &what, &name)) {
		rc = fill(w, &use);
		if (rc < 0)
			return rc;
	}
	out->what = what;
	out->pad = 0;
	strncpy(out->name, name, sizeof out->name - 1);
	out->name[sizeof out->name - 1] = '\0';
	sc_fd_leave(&use, 0);
	return 0;
}

int scope_watch_next(struct scope_watch *w, struct scope_watch_event *out_event)
{
	int rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_watch_next");
	if (!w || !out_event)
		return -EINVAL;
	sc_lock_take(&w->lock);
	w->holders++;
	sc_lock_drop(&w->lock);
	rc = next(w, out_event);
	let_go(w);
	return rc;
}
