/* tests/sim/uv.c: libuv in the simulation: real operations, at times that the schedule decides.
 *
 * The linker puts these in the place of libuv's own (--wrap, see the Makefile).  An operation is
 * made by the loop's turn, in this turn or in a later one; a cancel finds it begun or not.  The
 * loop's descriptor is ready while something waits for a turn.
 */
#include "core.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#define WRAP(name) __wrap_##name
#define REAL(name) __real_##name

struct pending {
	struct pending *next;
	uv_req_t *req;
	/* Makes it, and calls back. */
	void (*make)(struct pending *pending);
	bool begun, cancelled;
	char *path, *to; /* its own: libuv keeps copies too */
	int flags, mode;
	uv_file file;
	uv_buf_t buffer;
	int64_t offset;
	uv_fs_cb fs_cb;
	uv_getaddrinfo_cb names_cb;
	struct addrinfo hints;
};

static uv_loop_t *loop;
static struct pending *first;

static void step(void)
{
	static uint32_t word;

	sim_step(&word, __builtin_return_address(0), SIM_STEP);
}

/* ---- the loop ------------------------------------------------------------------------------ */

static void ring(void)
{
	uint64_t one = 1;

	(void)!write(loop->backend_fd, &one, sizeof one);
}

int WRAP(uv_loop_init)(uv_loop_t *l);
int WRAP(uv_loop_init)(uv_loop_t *l)
{
	step();
	if (sim_refused())
		return UV_EMFILE;
	memset(l, 0, sizeof *l);
	l->backend_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	loop = l;
	return l->backend_fd < 0 ? UV_EMFILE : 0;
}

int WRAP(uv_loop_close)(uv_loop_t *l);
int WRAP(uv_loop_close)(uv_loop_t *l)
{
	step();
	if (first)
		sim_fail("libuv's loop is closed while an operation is under way");
	close(l->backend_fd);
	loop = NULL;
	return 0;
}

static void free_pending(struct pending *pending)
{
	free(pending->path);
	free(pending->to);
	free(pending);
}

int WRAP(uv_run)(uv_loop_t *l, uv_run_mode mode);
int WRAP(uv_run)(uv_loop_t *l, uv_run_mode mode)
{
	struct pending **link = &first, *pending;
	uint64_t rung;

	(void)mode;
	step();
	if (l != loop)
		sim_fail("libuv's loop was closed");
	if (!first)
		return 0; /* with nothing under way libuv reads nothing */
	(void)!read(l->backend_fd, &rung, sizeof rung);
	while ((pending = *link)) {
		if (sim.strategy != SIM_EXHAUSTIVE && sim_next_random() % 3 == 0) {
			pending->begun = !pending->cancelled;
			link = &pending->next;
			continue;
		}
		*link = pending->next;
		pending->make(pending);
		free_pending(pending);
	}
	/* An end may be rung for although this turn has taken it already. */
	if (first || (sim.strategy != SIM_EXHAUSTIVE && sim_next_random() % 2))
		ring();
	return first != NULL;
}

int WRAP(uv_cancel)(uv_req_t *req);
int WRAP(uv_cancel)(uv_req_t *req)
{
	struct pending *pending = first;

	step();
	while (pending && pending->req != req)
		pending = pending->next;
	if (!pending)
		sim_fail("libuv is to cancel an operation that has ended");
	if (pending->begun || sim_next_random() % 2)
		return UV_EBUSY;
	pending->cancelled = true;
	return 0;
}

static int submit(uv_loop_t *l, const struct pending *given, const char *path, const char *to)
{
	struct pending *pending, **link = &first;

	step();
	if (l != loop)
		sim_fail("libuv's loop is not open");
	if (sim_refused())
		return UV_ENOMEM;
	pending = malloc(sizeof *pending);
	*pending = *given;
	pending->path = path ? strdup(path) : NULL;
	pending->to = to ? strdup(to) : NULL;
	while (*link)
		link = &(*link)->next;
	*link = pending;
	ring();
	return 0;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Of an operation without a callback libuv returns when it is made. */
#define FS(name, parameters, given, from, onto, ...)                                               \
	int REAL(uv_fs_##name) parameters;                                                         \
	int WRAP(uv_fs_##name) parameters;                                                         \
	static void make_##name(struct pending *p)                                                 \
	{                                                                                          \
		uv_fs_t *req = (uv_fs_t *)p->req;                                                  \
                                                                                                   \
		if (p->cancelled)                                                                  \
			req->result = UV_ECANCELED;                                                \
		else                                                                               \
			REAL(uv_fs_##name)(__VA_ARGS__, NULL);                                     \
		req->path = NULL;                                                                  \
		p->fs_cb(req);                                                                     \
	}                                                                                          \
	int WRAP(uv_fs_##name) parameters                                                          \
	{                                                                                          \
		struct pending p = {.req = (uv_req_t *)req, .fs_cb = cb, .make = make_##name};     \
                                                                                                   \
		memset(req, 0, sizeof *req);                                                       \
		given;                                                                             \
		return submit(l, &p, from, onto);                                                  \
	}

FS(open, (uv_loop_t *l, uv_fs_t *req, const char *path, int flags, int mode, uv_fs_cb cb),
   (p.flags = flags, p.mode = mode), path, NULL, loop, req, p->path, p->flags, p->mode)
FS(read, (uv_loop_t *l, uv_fs_t *req, uv_file file, const uv_buf_t bufs[], unsigned int nbufs,
	  int64_t offset, uv_fs_cb cb),
   (p.file = file, p.buffer = bufs[nbufs - 1], p.offset = offset), NULL, NULL, loop, req, p->file,
   &p->buffer, 1, p->offset)
FS(write, (uv_loop_t *l, uv_fs_t *req, uv_file file, const uv_buf_t bufs[], unsigned int nbufs,
	   int64_t offset, uv_fs_cb cb),
   (p.file = file, p.buffer = bufs[nbufs - 1], p.offset = offset), NULL, NULL, loop, req, p->file,
   &p->buffer, 1, p->offset)
FS(fsync, (uv_loop_t *l, uv_fs_t *req, uv_file file, uv_fs_cb cb), (p.file = file), NULL, NULL,
   loop, req, p->file)
FS(stat, (uv_loop_t *l, uv_fs_t *req, const char *path, uv_fs_cb cb), (void)0, path, NULL, loop,
   req, p->path)
FS(lstat, (uv_loop_t *l, uv_fs_t *req, const char *path, uv_fs_cb cb), (void)0, path, NULL, loop,
   req, p->path)
FS(mkdir, (uv_loop_t *l, uv_fs_t *req, const char *path, int mode, uv_fs_cb cb), (p.mode = mode),
   path, NULL, loop, req, p->path, p->mode)
FS(unlink, (uv_loop_t *l, uv_fs_t *req, const char *path, uv_fs_cb cb), (void)0, path, NULL, loop,
   req, p->path)
FS(rmdir, (uv_loop_t *l, uv_fs_t *req, const char *path, uv_fs_cb cb), (void)0, path, NULL, loop,
   req, p->path)
FS(rename, (uv_loop_t *l, uv_fs_t *req, const char *path, const char *to, uv_fs_cb cb), (void)0,
   path, to, loop, req, p->path, p->to)
FS(scandir, (uv_loop_t *l, uv_fs_t *req, const char *path, int flags, uv_fs_cb cb),
   (p.flags = flags), path, NULL, loop, req, p->path, p->flags)

/* ---- names --------------------------------------------------------------------------------- */

static void make_names(struct pending *p)
{
	uv_getaddrinfo_t *req = (uv_getaddrinfo_t *)p->req;
	int rc;

	req->addrinfo = NULL;
	req->retcode = UV_EAI_CANCELED;
	if (!p->cancelled) {
		rc = getaddrinfo(p->path, p->to, &p->hints, &req->addrinfo);
		req->retcode = rc == 0 ? 0 : rc == EAI_AGAIN ? UV_EAI_AGAIN : UV_EAI_NONAME;
	}
	p->names_cb(req, req->retcode, req->addrinfo);
}

int WRAP(uv_getaddrinfo)(uv_loop_t *l, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
			 const char *node, const char *service, const struct addrinfo *hints);
int WRAP(uv_getaddrinfo)(uv_loop_t *l, uv_getaddrinfo_t *req, uv_getaddrinfo_cb cb,
			 const char *node, const char *service, const struct addrinfo *hints)
{
	struct pending p = {
		.req = (uv_req_t *)req, .names_cb = cb, .make = make_names, .hints = *hints};

	return submit(l, &p, node, service);
}
