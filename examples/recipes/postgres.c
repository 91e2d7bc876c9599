/* examples/recipes/postgres.c: PostgreSQL by libpq; a cancel ends the query in the server too.
 * Arguments: CONNINFO SQL...   prints what each statement finds in three seconds
 */
#include "recipe.h"
#include <libpq-fe.h>
#include <scope_net.h>
#include <scope_offload.h>

struct query { PGconn *db; char *sql; };

static int connect_to(PGconn *db)
{
	int rc, state = PGRES_POLLING_WRITING;

	do {
		rc = scope_fd_wait_until(PQsocket(db), state == PGRES_POLLING_READING ?
					 SCOPE_FD_READ : SCOPE_FD_WRITE, SCOPE_NEVER);
		state = rc == 0 ? (int)PQconnectPoll(db) : PGRES_POLLING_FAILED;
	} while (state != PGRES_POLLING_OK && state != PGRES_POLLING_FAILED);
	return rc < 0 || state == PGRES_POLLING_OK ? rc : -ECONNREFUSED;
}

static int print_results(PGconn *db)
{
	PGresult *result;
	int rc = 0;

	do {
		while (rc == 0 && PQisBusy(db)) {
			rc = scope_fd_wait_until(PQsocket(db), SCOPE_FD_READ, SCOPE_NEVER);
			rc = rc < 0 || PQconsumeInput(db) ? rc : -EPIPE;
		}
		result = rc == 0 ? PQgetResult(db) : NULL;
		if (result)
			puts(PQntuples(result) ? PQgetvalue(result, 0, 0) : PQerrorMessage(db));
		PQclear(result);
	} while (result);
	return rc;
}

static int ask_to_cancel(void *cancel)
{
	char why[256];

	return PQcancel(cancel, why, sizeof why) ? 0 : -EIO;
}

/* Deferred, so no cancel reaches it: a server at work is told to stop, and what it says read. */
static int end_query(void *db)
{
	PGcancel *cancel = PQgetCancel(db);
	int busy = PQtransactionStatus(db) == PQTRANS_ACTIVE;
	int rc = busy ? scope_offload(ask_to_cancel, cancel, NULL) : 0;

	PQfreeCancel(cancel);
	return rc < 0 ? rc : print_results(db);
}

static int run_query(void *arg)
{
	struct query *q = arg;
	struct scope s;

	scope_open(&s);
	scope_defer(&s, end_query, q->db);
	scope_fail(&s, PQsendQuery(q->db, q->sql) ? print_results(q->db) : -EPIPE, NULL);
	return scope_close(&s);
}

int recipe(void *args)
{
	char **arg = args;
	struct query q = {PQconnectStart(*arg), NULL};
	int rc = connect_to(q.db);

	while ((rc == 0 || rc == -ETIMEDOUT) && (q.sql = *++arg))
		rc = scope_within(3 * SCOPE_SEC, run_query, &q);
	PQfinish(q.db);
	return rc;
}
