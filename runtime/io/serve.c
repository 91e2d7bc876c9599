/* runtime/io/serve.c: scope_serve: a task for each connection: rule N4. */
#include "io/net.h"

#include <errno.h>

#define BACK_OFF_NS (100 * SCOPE_MS)

typedef int handler_fn(struct scope_conn *c, void *arg);

/* What the task of a connection has. */
struct visit {
	struct scope_conn *conn;
	handler_fn *handler;
	void *arg;
};

static int handle(void *arg)
{
	struct visit *visit = arg;
	struct sc_fd *fd = sc_conn_fd(visit->conn);
	uint32_t life = sc_fd_life(fd);
	int rc = visit->handler(visit->conn, visit->arg);

	/* The handler may have closed it, and the number be another one's by now. */
	sc_fd_close_in(fd, life);
	return rc;
}

static void drop(void *arg)
{
	scope_conn_close(((struct visit *)arg)->conn);
}

/* Until the system can hold more: what is open may be closed meanwhile.  Said once each time that
 * it begins. */
static int back_off(int why, int *told)
{
	int began = scope_soft_begin() == 0, rc; /* else it is in many */
	char code[64];

	sc_put_code(why, 1, code, sizeof code);
	if (!*told)
		sc_reportf("libscope: accept gives %s: going on in 100 ms, and then again\n", code);
	*told = 1;
	rc = scope_sleep_for(BACK_OFF_NS);
	if (began)
		scope_soft_end();
	return rc;
}

static int is_shortage(int rc)
{
	return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS || rc == -ENOSPC;
}

/* Takes over the connection.  Want of memory is no error of the scope: it may be over soon.  Where
 * it has to wait for room a graceful shutdown ends that, as it ends an accept. */
static int start(struct scope *s, const struct visit *visit,
		 const struct scope_spawn_options *options, const void *site)
{
	struct sc_task *task = sc_new_task(visit, sizeof *visit, options);
	int rc = -ENOMEM, began;

	if (task) {
		task->slot.fn = handle;
		task->slot.site = site;
		began = sc_region_begin(sc_self()) == 0; /* else it is in many */
		rc = sc_spawn_task(sc_view(s), task);
		if (began)
			sc_region_end(sc_self());
	}
	if (rc < 0)
		scope_conn_close(visit->conn);
	return rc;
}

/* Accepts and spawns until something ends it. */
static int accept_all(struct scope *s, struct scope_listener *l, const struct visit *model,
		      const char *name, const void *site)
{
	const struct scope_spawn_options options = {.name = name, .drop = drop};
	struct visit visit = *model;
	int told = 0, rc;

	for (;;) {
		rc = scope_accept(l, &visit.conn);
		if (rc == 0)
			rc = start(s, &visit, &options, site);
		if (rc == 0)
			told = 0;
		else if (is_shortage(rc))
			rc = back_off(rc, &told);
		if (rc < 0)
			return rc;
	}
}

int scope_serve(struct scope_listener *l, handler_fn *handler, void *arg,
		const struct scope_serve_options *options)
{
	static const struct scope_serve_options defaults;
	const struct visit model = {NULL, handler, arg};
	struct scope s;
	int rc, ended;

	if (sc_self()->cur == 0)
		return sc_not_connected("scope_serve");
	if (!options)
		options = &defaults;
	if (!l || !handler || !SC_UNRESERVED(options))
		return -EINVAL;
	rc = scope_open_with(&s, options->scope);
	if (rc < 0)
		return rc;
	rc = accept_all(&s, l, &model, options->name ? options->name : "connection",
			__builtin_return_address(0));
	if (rc == -ESHUTDOWN)
		sc_listener_refuse(l);
	/* Where no more can come, those that are there go on. */
	if (rc != -ESHUTDOWN && rc != -EBADF)
		scope_fail(&s, rc, NULL);
	ended = scope_close(&s);
	return ended == 0 && rc == -EBADF ? rc : ended;
}
