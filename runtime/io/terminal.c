/* runtime/io/terminal.c: terminals: modes and size by libuv, their bytes as of any descriptor.
 *
 * libuv makes a terminal's descriptor one that does not block, for all who have it.  So that a
 * program's standard output stays what it is, libuv is given a descriptor of the terminal opened
 * anew, in place of which it opens one of its own.
 */
#include "io/engine.h"
#include "io/net.h"
#include "os/file.h"

#include <errno.h>
#include <scope_offload.h>
#include <scope_terminal.h>
#include <stdlib.h>
#include <unistd.h>

struct scope_terminal {
	uv_tty_t tty;       /* its descriptor is libuv's */
	struct sc_fd *fd;   /* const: another of the same, whose bytes are read and written */
	int anew;           /* what libuv opens it by */
	uv_tty_mode_t mode; /* the call that sets it */
	struct sc_modes found;
	/* lock: among those that are open */
	struct scope_terminal *next, **link;
};

static struct {
	struct sc_lock lock;
	struct scope_terminal *first; /* lock */
	int owner;                    /* lock: the process that has registered for its end */
} open_ones;

/* ---- all of them --------------------------------------------------------------------------- */

/* libuv would wait until what was written is shown, which a user can hold up. */
static void put_back(struct scope_terminal *t)
{
	if (t->mode != UV_TTY_MODE_NORMAL)
		sc_os_modes_put_back(t->fd->fd, &t->found);
}

void sc_terminals_put_back(void)
{
	struct scope_terminal *t;

	if (open_ones.owner != getpid()) /* a forked child leaves them to its parent */
		return;
	sc_lock_take(&open_ones.lock);
	for (t = open_ones.first; t; t = t->next)
		put_back(t);
	sc_lock_drop(&open_ones.lock);
}

static void list(struct scope_terminal *t)
{
	sc_lock_take(&open_ones.lock);
	if (open_ones.owner == 0)
		atexit(sc_terminals_put_back);
	open_ones.owner = getpid();
	t->next = open_ones.first;
	t->link = &open_ones.first;
	if (t->next)
		t->next->link = &t->next;
	open_ones.first = t;
	sc_lock_drop(&open_ones.lock);
}

static void unlist(struct scope_terminal *t)
{
	sc_lock_take(&open_ones.lock);
	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	sc_lock_drop(&open_ones.lock);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static void on_closed(uv_handle_t *handle)
{
	sc_os.free(SC_CONTAINER(handle, struct scope_terminal, tty));
}

static int end(uv_loop_t *loop, void *arg)
{
	struct scope_terminal *t = arg;

	(void)loop;
	uv_close((uv_handle_t *)&t->tty, on_closed);
	return 0;
}

static int begin(uv_loop_t *loop, void *arg)
{
	struct scope_terminal *t = arg;

	return uv_tty_init(loop, &t->tty, t->anew, 0);
}

/* libuv's handle is there: it goes by a callback. */
static int share(struct scope_terminal *t)
{
	uv_os_fd_t fd;
	int rc = uv_fileno((uv_handle_t *)&t->tty, &fd);

	if (rc == 0 && fd != t->anew)
		sc_os.close(t->anew);
	if (rc == 0)
		rc = sc_os_duplicate(fd);
	if (rc >= 0)
		rc = sc_io_own(rc, 0, &t->fd);
	if (rc == 0)
		sc_os_modes_keep(t->fd->fd, &t->found);
	if (rc < 0)
		sc_engine_use(end, t);
	return rc;
}

/* Takes the descriptor over. */
static int open_terminal(int anew, struct scope_terminal **out)
{
	struct scope_terminal *t = sc_os.alloc(sizeof *t);
	int rc = -ENOMEM;

	if (t) {
		*t = (struct scope_terminal){.anew = anew};
		rc = sc_engine_use(begin, t);
	}
	if (rc < 0) {
		sc_os.close(anew);
		sc_os.free(t);
		return rc;
	}
	rc = share(t);
	if (rc < 0)
		return rc;
	list(t);
	*out = t;
	return 0;
}

int scope_terminal_open(int fd, struct scope_terminal **out_terminal)
{
	int anew;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_terminal_open");
	if (!out_terminal)
		return -EINVAL;
	anew = sc_os_terminal(fd);
	return anew < 0 ? anew : open_terminal(anew, out_terminal);
}

void scope_terminal_close(struct scope_terminal *t)
{
	if (sc_self()->cur == 0 || !t)
		return;
	unlist(t);
	put_back(t);
	sc_fd_close(t->fd);
	sc_engine_use(end, t);
}

void sc_terminals_end(void)
{
	sc_lock_take(&open_ones.lock);
	for (; open_ones.first; open_ones.first = open_ones.first->next)
		end(NULL, open_ones.first);
	sc_lock_drop(&open_ones.lock);
}

/* ---- what it is asked ---------------------------------------------------------------------- */

static int set_mode(void *arg)
{
	struct scope_terminal *t = arg;

	return uv_tty_set_mode(&t->tty, t->mode);
}

/* On a thread: the terminal shows what was written first, which a user can hold up. */
int scope_terminal_mode(struct scope_terminal *t, unsigned mode)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_terminal_mode");
	if (!t || mode > SCOPE_TERMINAL_KEYS)
		return -EINVAL;
	t->mode = mode == SCOPE_TERMINAL_KEYS ? UV_TTY_MODE_RAW : UV_TTY_MODE_NORMAL;
	return scope_offload(set_mode, t, NULL);
}

int scope_terminal_size(const struct scope_terminal *t, unsigned *out_columns, unsigned *out_rows)
{
	int columns, rows, rc;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_terminal_size");
	if (!t || !out_columns || !out_rows)
		return -EINVAL;
	/* libuv takes no const; it only reads. */
	rc = uv_tty_get_winsize((uv_tty_t *)(uintptr_t)&t->tty, &columns, &rows);
	if (rc < 0)
		return rc;
	*out_columns = (unsigned)columns;
	*out_rows = (unsigned)rows;
	return 0;
}

int scope_terminal_read(struct scope_terminal *t, void *buffer, size_t size, size_t *out_done)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_terminal_read");
	return scope_conn_read(t ? (struct scope_conn *)t->fd : NULL, buffer, size, out_done);
}

int scope_terminal_write(struct scope_terminal *t, const void *data, size_t size, size_t *out_done)
{
	if (sc_self()->cur == 0)
		return sc_not_connected("scope_terminal_write");
	return scope_conn_write(t ? (struct scope_conn *)t->fd : NULL, data, size, out_done);
}
