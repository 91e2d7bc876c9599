/* examples/scope-httpd/status.c: /tasks, the tasks of the server, and /metrics, its counters. */
#define _GNU_SOURCE
#include "httpd.h"

#include <errno.h>
#include <inttypes.h>
#include <scope_observe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- /tasks ---------------------------------------------------------------------------------- */

/* A dump is written to a descriptor and must not wait for the client, so it goes to a file that
 * is nowhere. */
static int answer_tasks(struct client *c, enum scope_dump_format format)
{
	const char *type = format == SCOPE_DUMP_JSON ? "application/json"
						      : "text/plain; charset=utf-8";
	int fd = memfd_create("tasks", MFD_CLOEXEC), rc;
	char *text = NULL;
	off_t size = 0;

	if (fd < 0)
		return answer_status(c, 503);
	rc = scope_dump(fd, format);
	if (rc == 0) {
		size = lseek(fd, 0, SEEK_END);
		text = malloc((size_t)size + 1);
	}
	if (!text || pread(fd, text, (size_t)size, 0) != size)
		rc = answer_status(c, 503);
	else
		rc = answer_text(c, 200, type, text, (size_t)size);
	free(text);
	close(fd);
	return rc;
}

/* ---- /metrics -------------------------------------------------------------------------------- */

static void put(FILE *to, const char *name, const char *kind, const char *help, uint64_t value)
{
	fprintf(to, "# HELP %s %s\n# TYPE %s %s\n%s %" PRIu64 "\n", name, help, name, kind, name,
		value);
}

static void put_server(FILE *to, struct server *server)
{
	uint64_t sums[COUNTS];
	int i;

	desk_sum(&server->desks, sums);
	put(to, "httpd_connections_total", "counter", "Connections accepted.",
	    atomic_load(&server->connections));
	put(to, "httpd_connections_open", "gauge", "Connections open now.",
	    atomic_load(&server->open));
	put(to, "httpd_connections_refused_total", "counter",
	    "Connections turned away, their address having too many.",
	    atomic_load(&server->refused));
	put(to, "httpd_requests_late_total", "counter", "Requests that took too long to arrive.",
	    sums[COUNT_LATE]);
	put(to, "httpd_answers_cut_total", "counter",
	    "Answers that the client went away from, or took too slowly.", sums[COUNT_CUT]);
	put(to, "httpd_body_bytes_total", "counter", "Bytes of bodies in answers.",
	    sums[COUNT_BYTES]);
	put(to, "httpd_log_lines_lost_total", "counter",
	    "Lines of the access log that could not be written in time.", log_lost(&server->log));
	fputs("# HELP httpd_requests_total Requests by the first digit of their status.\n"
	      "# TYPE httpd_requests_total counter\n", to);
	for (i = COUNT_1XX; i <= COUNT_5XX; i++)
		fprintf(to, "httpd_requests_total{status=\"%dxx\"} %" PRIu64 "\n",
			i - COUNT_1XX + 1, sums[i]);
	fprintf(to, "# HELP httpd_uptime_seconds Since the start.\n"
		    "# TYPE httpd_uptime_seconds gauge\nhttpd_uptime_seconds %.3f\n",
		(double)(scope_now() - server->started_ns) / (double)SCOPE_SEC);
}

static void put_runtime(FILE *to)
{
	struct scope_stats stats;

	if (scope_stats_get(&stats) < 0)
		return;
	put(to, "scope_workers", "gauge", "Workers.", stats.workers);
	put(to, "scope_workers_busy", "gauge", "Workers with something to do.",
	    stats.workers_busy);
	put(to, "scope_parks_total", "counter", "Times that a task was put aside.", stats.parks);
	put(to, "scope_tasks_started_total", "counter", "Tasks with a stack of their own.",
	    stats.tasks_started);
	put(to, "scope_tasks_stolen_total", "counter", "Tasks that another worker took.",
	    stats.tasks_stolen);
	put(to, "scope_tasks_cancelled_total", "counter", "Tasks that ended by a cancel.",
	    stats.tasks_cancelled);
	put(to, "scope_tasks_failed_total", "counter", "Errors of tasks.", stats.tasks_failed);
	put(to, "scope_stacks", "gauge", "Stacks in use.", stats.stacks_live);
	put(to, "scope_timers", "gauge", "Armed timers.", stats.timers_live);
}

static int answer_metrics(struct client *c)
{
	size_t size = 0;
	char *text = NULL;
	FILE *to = open_memstream(&text, &size);
	int rc;

	if (to) {
		put_server(to, c->server);
		put_runtime(to);
	}
	if (!to || fclose(to))
		rc = answer_status(c, 503);
	else
		rc = answer_text(c, 200, "text/plain; version=0.0.4", text, size);
	free(text);
	return rc;
}

/* ---------------------------------------------------------------------------------------------- */

int status_answer(struct client *c)
{
	const struct path *path = &c->desk->path;
	enum status_for to = c->server->set.status;
	int rc;

	if (to == STATUS_NOBODY || (to == STATUS_LOCAL && !c->local) || path->directory)
		return 0;
	if (strcmp(path->text, "metrics") == 0)
		rc = answer_metrics(c);
	else if (strcmp(path->text, "tasks") == 0)
		rc = answer_tasks(c, span_is(path->query, SPAN("json")) ? SCOPE_DUMP_JSON
									: SCOPE_DUMP_TEXT);
	else
		return 0;
	return rc < 0 ? rc : 1;
}
