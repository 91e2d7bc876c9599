/* tests/api/test_typed.c: typed scopes and classes of scopes: rules Y1, O2; what does not compile
 * is in tests/lint/typed.sh. */
#include "task_check.h"

#include <scope_supervise.h>
#include <scope_typed.h>
#include <string.h>

TestSuite(typed, .timeout = 60);

struct conn {
	int64_t lasts;
	int rc;
	atomic_uint runs;
};

SCOPE_TYPED(conn, struct conn);

static int serve(struct conn *conn)
{
	int rc;

	atomic_fetch_add(&conn->runs, 1);
	rc = conn->lasts ? scope_sleep_for(conn->lasts) : 0;
	return rc ? rc : conn->rc;
}

static int begin_serving(struct conn *conn)
{
	CHECK_EQ(scope_started(), 0);
	return serve(conn);
}

/* ---- typed ----------------------------------------------------------------------------------- */

static int all_calls(void *arg)
{
	struct scope_spawn_options named = {.name = "named"};
	struct conn conns[4] = {{.lasts = SCOPE_MS}, {.lasts = 0}, {.lasts = 2 * SCOPE_MS},
				{.lasts = 0}};
	struct conn_spawner spawner;
	struct conn_scope s;
	int i;

	(void)arg;
	CHECK_EQ(conn_open(&s, NULL), 0);
	CHECK_EQ(conn_spawn(&s, serve, &conns[0]), 0);
	CHECK_EQ(conn_spawn_with(&s, serve, &conns[1], &named), 0);
	CHECK_EQ(conn_start(&s, begin_serving, &conns[2]), 0);
	CHECK_EQ(conn_spawner_of(&s, &spawner), 0);
	CHECK_EQ(conn_spawner_spawn(&spawner, serve, &conns[3]), 0);
	CHECK_EQ(conn_close(&s), 0);
	for (i = 0; i < 4; i++)
		CHECK_EQ(conns[i].runs, 1);
	return 0;
}

Test(typed, Y1_calls_take_tasks_of_the_type)
{
	must_run(all_calls, NULL);
}

static int error_names(void *arg)
{
	struct conn conn = {.rc = -EIO};
	struct conn_scope s;

	(void)arg;
	CHECK_EQ(conn_open(&s, NULL), 0);
	CHECK_EQ(conn_spawn(&s, serve, &conn), 0);
	CHECK_EQ(conn_close(&s), -EIO);
	CHECK(path_is(scope_last_error()->path, "/error_names/serve"));
	return 0;
}

Test(typed, Y1_errors_name_the_handler)
{
	must_run(error_names, NULL);
}

/* A supervisor's spawner takes the type as well. */
static int supervised(void *arg)
{
	struct scope_supervise_options options = {.restart = SCOPE_TRANSIENT};
	struct conn_spawner spawner;
	struct conn conn = {.lasts = SCOPE_MS};
	struct conn_scope s;

	(void)arg;
	CHECK_EQ(conn_open(&s, NULL), 0);
	CHECK_EQ(scope_supervise(&s.untyped, &options, &spawner.untyped), 0);
	CHECK_EQ(conn_spawner_spawn(&spawner, serve, &conn), 0);
	CHECK_EQ(conn_close(&s), 0);
	CHECK_EQ(conn.runs, 1);
	return 0;
}

Test(typed, Y1_V1_supervisors_take_typed_children)
{
	must_run(supervised, NULL);
}

/* ---- classes --------------------------------------------------------------------------------- */

static int settings(void *arg)
{
	struct scope_class brief = {.name = "brief", .timeout_ns = 5 * SCOPE_MS};
	struct scope_class few = {.options = {.max_tasks = 1, .policy = SCOPE_AWAIT_ALL,
					      .name = "few"}};
	struct scope_class endless = {.timeout_ns = SCOPE_NEVER};
	struct conn conns[2] = {{.lasts = SCOPE_SEC}, {.lasts = SCOPE_MS, .rc = -EIO}};
	struct conn_scope s;
	int64_t then;
	int i;

	(void)arg;
	/* Each has its own deadline. */
	for (i = 0; i < 2; i++) {
		then = scope_now();
		CHECK_EQ(conn_open(&s, &brief), 0);
		CHECK_EQ(conn_spawn(&s, serve, &conns[0]), 0);
		CHECK_EQ(conn_close(&s), -ETIMEDOUT);
		CHECK_EQ(scope_now() - then, 5 * SCOPE_MS);
		CHECK_EQ(strcmp(scope_last_error()->text, "deadline of scope \"brief\""), 0);
	}
	/* Its own limit and policy. */
	then = scope_now();
	CHECK_EQ(conn_open(&s, &few), 0);
	for (i = 0; i < 3; i++)
		CHECK_EQ(conn_spawn(&s, serve, &conns[1]), 0);
	CHECK_EQ(conn_close(&s), -EIO);
	CHECK_EQ(scope_now() - then, 3 * SCOPE_MS);
	CHECK_EQ(conn_open(&s, &endless), 0);
	CHECK_EQ(conn_spawn(&s, serve, &conns[0]), 0);
	CHECK_EQ(conn_close(&s), 0);
	return 0;
}

Test(typed, Y1_scopes_of_a_class_have_its_settings)
{
	must_run(settings, NULL);
}

static int restart_once(struct scope_result *result, void *arg)
{
	(void)arg;
	return ((struct conn *)result->arg)->runs == 1 ? SCOPE_EXIT_RESTART
							: SCOPE_EXIT_CONTINUE;
}

static int counted(void *arg)
{
	static struct scope_class conns = {
		.name = "conns", .counts = true, .options = {.policy = SCOPE_AWAIT_ALL}};
	static struct scope_class again = {
		.counts = true,
		.options = {.policy = SCOPE_CUSTOM, .on_exit = restart_once}};
	struct scope_class none = {.name = "none"};
	struct conn quick = {.lasts = 0}, slow = {.lasts = SCOPE_MS};
	struct conn fails = {.rc = -EIO}, endless = {.lasts = SCOPE_NEVER};
	struct scope_class_stats stats;
	struct conn_scope s, t;

	(void)arg;
	memset(conns.opaque, 0, sizeof conns.opaque);
	memset(again.opaque, 0, sizeof again.opaque);
	CHECK_EQ(conn_open(&s, &conns), 0);
	CHECK_EQ(conn_spawn(&s, serve, &quick), 0);
	CHECK_EQ(conn_spawn(&s, serve, &slow), 0);
	CHECK_EQ(scope_spawn_n(&s.untyped, SCOPE_TYPED_FN(serve), &fails, 0, 3), 0);
	CHECK_EQ(scope_wait_until(&s.untyped, SCOPE_NEVER), 0);
	/* Two scopes of it at once. */
	CHECK_EQ(conn_open(&t, &conns), 0);
	CHECK_EQ(conn_spawn(&t, serve, &endless), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_class_stats_get(&conns, &stats), 0);
	CHECK_EQ(stats.spawned, 6);
	CHECK_EQ(stats.ended, 5);
	scope_cancel(&t.untyped);
	CHECK_EQ(conn_spawn(&t, serve, &quick), -ECANCELED);
	CHECK_EQ(conn_close(&t), 0);
	CHECK_EQ(conn_close(&s), -EIO);
	CHECK_EQ(scope_class_stats_get(&conns, &stats), 0);
	CHECK_EQ(stats.spawned, 6);
	CHECK_EQ(stats.ended, 6);
	CHECK_EQ(stats.parked, 2);
	CHECK_EQ(stats.cancelled, 1);
	CHECK_EQ(stats.failed, 3);
	/* Who runs again has not ended. */
	quick.runs = 0;
	CHECK_EQ(conn_open(&s, &again), 0);
	CHECK_EQ(conn_spawn(&s, serve, &quick), 0);
	CHECK_EQ(conn_close(&s), 0);
	CHECK_EQ(scope_class_stats_get(&again, &stats), 0);
	CHECK_EQ(quick.runs, 2);
	CHECK_EQ(stats.spawned, 1);
	CHECK_EQ(stats.ended, 1);
	/* Without `counts` nothing is counted. */
	CHECK_EQ(conn_open(&s, &none), 0);
	CHECK_EQ(conn_spawn(&s, serve, &quick), 0);
	CHECK_EQ(conn_close(&s), 0);
	CHECK_EQ(scope_class_stats_get(&none, &stats), 0);
	CHECK_EQ(stats.spawned, 0);
	return 0;
}

Test(typed, O2_the_tasks_of_a_class_are_counted)
{
	must_run(counted, NULL);
}

static int refused(void *arg)
{
	struct scope_class late = {.timeout_ns = -1}, policy = {.options = {.policy = 17}};
	struct scope_class_stats stats;
	struct conn_scope s;

	(void)arg;
	CHECK_EQ(scope_open_class(&s.untyped, &late), -EINVAL);
	CHECK_EQ(conn_open(&s, &policy), -EINVAL);
	CHECK_EQ(scope_class_stats_get(NULL, &stats), -EINVAL);
	CHECK_EQ(scope_class_stats_get(&late, NULL), -EINVAL);
	return 0;
}

Test(typed, wrong_classes_einval)
{
	must_run(refused, NULL);
}

static int not_opened(void *arg)
{
	struct scope_class late = {.timeout_ns = -1};
	struct conn conn = {.lasts = 0};
	struct conn_scope s;

	(void)arg;
	CHECK_EQ(conn_open(&s, &late), -EINVAL);
	CHECK_EQ(conn_spawn(&s, serve, &conn), -ESTALE);
	CHECK_EQ(conn_close(&s), -ESTALE);
	CHECK_EQ(conn.runs, 0);
	return 0;
}

Test(typed, S9_what_was_not_opened_takes_nothing_estale)
{
	must_run(not_opened, NULL);
}

Test(typed, S2_outside_a_run_enotconn)
{
	struct scope_class class_of = {.counts = true};
	struct scope s;

	memset(&s, 0, sizeof s);
	cr_assert_eq(scope_open_class(&s, &class_of), -ENOTCONN);
	cr_assert_eq(scope_open_class(&s, NULL), -ENOTCONN);
}
