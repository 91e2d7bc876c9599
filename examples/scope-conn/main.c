/* examples/scope-conn/main.c: an object with a task of its own: a connection that is kept alive.
 *
 * conn_open starts the task in a scope inside the object, below the scope that the caller names;
 * conn_close ends it, from a cancelled place too.  Whoever forgets the latter has it done by the
 * close of the named scope.  Time is virtual, so the program takes none.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <scope.h>

struct conn {
	struct scope scope; /* of the task that keeps it alive */
	int pings;
	int broken; /* the ping that finds the other side gone; 0: none */
};

static int keep_alive(void *arg)
{
	struct conn *conn = arg;
	int rc;

	while ((rc = scope_sleep_for(30 * SCOPE_SEC)) == 0)
		if (++conn->pings == conn->broken)
			return -ECONNRESET;
	return rc;
}

static int conn_open(struct conn *conn, struct scope *parent, int broken)
{
	int rc = scope_open_in(&conn->scope, parent);

	conn->pings = 0;
	conn->broken = broken;
	return rc < 0 ? rc : scope_spawn(&conn->scope, keep_alive, conn);
}

/* What went wrong while it was open, or 0. */
static int conn_close(struct conn *conn)
{
	scope_cancel(&conn->scope);
	return scope_close(&conn->scope);
}

/* Made in a scope of its own and handed to the caller's. */
static int conn_dial(struct conn *conn, struct scope *parent)
{
	struct scope dialling;
	int rc;

	scope_open(&dialling);
	rc = scope_fail(&dialling, conn_open(conn, &dialling, 0), NULL);
	if (rc == 0)
		rc = scope_fail(&dialling, scope_move(&conn->scope, parent), NULL);
	return scope_close(&dialling);
}

static int talk(void *unused)
{
	struct conn good, bad, forgotten;
	struct scope session;
	int rc;

	(void)unused;
	scope_open(&session);
	rc = scope_fail(&session, conn_dial(&good, &session), NULL);
	rc = rc ? rc : scope_fail(&session, conn_open(&bad, &session, 2), NULL);
	rc = rc ? rc : scope_fail(&session, conn_open(&forgotten, &session, 0), NULL);
	if (rc == 0) {
		scope_sleep_for(100 * SCOPE_SEC);
		rc = conn_close(&good);
		printf("good: close gives %d after %d pings\n", rc, good.pings);
		rc = conn_close(&bad);
		printf("bad: close gives %d after %d pings\n", rc, bad.pings);
	}
	rc = scope_close(&session);
	printf("forgotten: %d pings, the session gives %d\n", forgotten.pings, rc);
	return rc;
}

int main(void)
{
	struct scope_config config = {.flags = SCOPE_VIRTUAL_CLOCK};

	return scope_run(talk, NULL, &config) ? EXIT_FAILURE : EXIT_SUCCESS;
}
