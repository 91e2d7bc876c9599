/* examples/recipes/sqlite.c: SQLite on a thread of its own, interrupted by a cancel.
 *
 * Arguments: FILE SQL...   prints what the statements find
 *
 * The connection goes from thread to thread, but is in the hands of one at a time: each call is
 * waited for, a cancelled one until SQLite has noticed.
 */
#include "recipe.h"
#include <scope_offload.h>
#include <sqlite3.h>

struct query {
	sqlite3 *db;
	const char *sql;
};

static int print_row(void *unused, int count, char **values, char **names)
{
	(void)unused, (void)names;
	for (int i = 0; i < count; i++)
		printf("%s%s", i ? "|" : "", values[i] ? values[i] : "");
	printf("\n");
	return 0;
}

static int run(void *arg)
{
	struct query *query = arg;
	int rc = sqlite3_exec(query->db, query->sql, print_row, NULL, NULL);

	if (rc == SQLITE_INTERRUPT)
		return -EINTR;
	return rc == SQLITE_OK ? 0 : -EIO;
}

static void interrupt(void *arg)
{
	sqlite3_interrupt(((struct query *)arg)->db);
}

/* -ECANCELED: the statement was rolled back.  The connection can be used again. */
static int execute(sqlite3 *db, const char *sql)
{
	static const struct scope_offload_options options = {.mode = SCOPE_OFFLOAD_INTERRUPT,
							     .interrupt_fn = interrupt};
	struct query query = {db, sql};

	return scope_offload(run, &query, &options);
}

static int close_db(void *db)
{
	return sqlite3_close(db) == SQLITE_OK ? 0 : -EBUSY;
}

int recipe(void *args)
{
	char **arg = args;
	struct scope s;
	sqlite3 *db;
	int rc = 0;

	if (sqlite3_open(arg[0], &db) != SQLITE_OK)
		return -EIO;
	scope_open(&s);
	scope_defer(&s, close_db, db);
	while (rc == 0 && *++arg)
		if ((rc = execute(db, *arg)) < 0)
			scope_fail(&s, rc, "%s", sqlite3_errmsg(db)); /* evaluated afterwards */
	return scope_close(&s);
}
