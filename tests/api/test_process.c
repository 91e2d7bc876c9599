/* tests/api/test_process.c: processes as members of a scope: rule N6. */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <fcntl.h>
#include <scope_net.h>
#include <scope_process.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void needs_pidfds(void);
TestSuite(process, .timeout = 60, .init = needs_pidfds);

/* ---- helpers ------------------------------------------------------------------------------- */

/* A checker that is older than they are does not let them pass. */
static void needs_pidfds(void)
{
	int fd = pidfd_open(getpid(), 0);

	if (fd < 0 && errno == ENOSYS)
		cr_skip("no descriptors of processes here");
	close(fd);
}

#define SHELL(text) ((const char *const[]){"/bin/sh", "-c", text, NULL})

static const char *const forever[] = {"sleep", "1000", NULL};

/* What it wrote until its end, as text. */
static void read_all(struct scope_conn *c, char *text, size_t size)
{
	size_t used = 0, done;

	while (scope_conn_read(c, text + used, size - 1 - used, &done) == 0 && done > 0)
		used += done;
	text[used] = '\0';
	scope_conn_close(c);
}

/* No child is left, ended or not. */
static void check_no_child(void)
{
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), -1);
	CHECK_EQ(errno, ECHILD);
}

/* ---- starting and ending ------------------------------------------------------------------- */

static int status_of(const char *const *argv)
{
	int status = 1000, rc = scope_process_run(argv, NULL, &status);

	return rc < 0 ? rc : status;
}

static int runs(void *arg)
{
	(void)arg;
	CHECK_EQ(status_of(SHELL("exit 7")), 7);
	CHECK_EQ(status_of(SHELL("kill -9 $$")), -9);
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0);
	check_no_child();
	return 0;
}

Test(process, N6_runs_a_program_and_tells_its_status)
{
	must_run(runs, NULL);
}

static int expected_status;

static int waits(void *arg)
{
	int status = 1000;

	CHECK_EQ(scope_process_wait(arg, &status), 0);
	CHECK_EQ(status, expected_status);
	return count(NULL);
}

static int waited_for_by_several(void *arg)
{
	struct scope_conn *in;
	struct scope_process_options options = {.streams = {{SCOPE_STREAM_PIPE, 0, &in}}};
	struct scope_process p;
	int status = 1000, before, i;
	struct scope s, waiters;

	(void)arg;
	ran = 0;
	expected_status = 3;
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0); /* opens what stays open */
	before = open_files();
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("read end; exit 3"), &options, &p), 0);
	CHECK(scope_process_pid(&p) > 1);
	CHECK_EQ(scope_process_wait_until(&p, 0, &status), -ETIMEDOUT);
	CHECK_EQ(scope_process_kill(&p, 0), 0);
	scope_open(&waiters);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_spawn_with(&waiters, waits, &p, &concurrent), 0);
	scope_conn_close(in);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(status, 3);
	CHECK_EQ(scope_close(&waiters), 0);
	CHECK_EQ(ran, 3);
	CHECK_EQ(scope_process_wait_until(&p, 0, &status), 0); /* again */
	CHECK_EQ(scope_process_kill(&p, SIGTERM), -ESRCH);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(open_files(), before);
	check_no_child();
	return 0;
}

Test(process, N6_several_tasks_wait_for_its_end_etimedout)
{
	must_run(waited_for_by_several, NULL);
}

Test(process, a_signal_after_its_end_esrch)
{
	must_run(waited_for_by_several, NULL);
}

/* Nobody waits for it but the close. */
static int left_to_the_close(void *arg)
{
	struct scope_process p[3];
	struct scope s;
	int status, i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < 3; i++)
		CHECK_EQ(scope_process_spawn(&s, SHELL("sleep 0.01; exit 2"), NULL, &p[i]), 0);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < 3; i++) {
		CHECK_EQ(scope_process_wait(&p[i], &status), 0);
		CHECK_EQ(status, 2);
	}
	check_no_child();
	return 0;
}

Test(process, S1_close_waits_for_processes)
{
	must_run(left_to_the_close, NULL);
}

/* ---- streams ------------------------------------------------------------------------------- */

static int talks(void *arg)
{
	struct scope_conn *in, *out, *err;
	struct scope_process_options options = {
		.streams = {{SCOPE_STREAM_PIPE, 0, &in},
			    {SCOPE_STREAM_PIPE, 0, &out},
			    {SCOPE_STREAM_PIPE, 0, &err}}};
	static char much[200000], back[sizeof much + 1];
	struct scope_process p[3];
	int status, before;
	char text[100];
	struct scope s;

	(void)arg;
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0);
	before = open_files();
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("echo to err >&2; cat; echo end"), &options,
				     &p[0]), 0);
	CHECK_EQ(scope_conn_write(in, "a line\n", 7, NULL), 0);
	CHECK_EQ(scope_conn_shutdown(in), -ENOTSOCK);
	scope_conn_close(in);
	read_all(out, text, sizeof text);
	CHECK(strcmp(text, "a line\nend\n") == 0);
	read_all(err, text, sizeof text);
	CHECK(strcmp(text, "to err\n") == 0);
	CHECK_EQ(scope_process_wait(&p[0], &status), 0);
	CHECK_EQ(status, 0);
	/* More than a pipe holds, and a reader that waits. */
	options.streams[2].kind = SCOPE_STREAM_INHERIT;
	CHECK_EQ(scope_process_spawn(&s, SHELL("cat | (sleep 0.01; cat)"), &options, &p[1]), 0);
	memset(much, 'x', sizeof much);
	CHECK_EQ(scope_conn_write(in, much, 1000, NULL), 0);
	scope_conn_close(in);
	read_all(out, back, sizeof back);
	CHECK_EQ(strlen(back), 1000);
	CHECK_EQ(scope_process_spawn(&s, SHELL("sleep 0.01; wc -c"), &options, &p[2]), 0);
	CHECK_EQ(scope_conn_write(in, much, sizeof much, NULL), 0);
	scope_conn_close(in);
	read_all(out, text, sizeof text);
	CHECK_EQ(atoi(text), sizeof much);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(open_files(), before);
	return 0;
}

Test(process, streams_are_pipes_enotsock)
{
	must_run(talks, NULL);
}

/* Who writes to a program that reads no more is told. */
static int writes_in_vain(void *arg)
{
	struct scope_conn *in;
	struct scope_process_options options = {.streams = {{SCOPE_STREAM_PIPE, 0, &in}}};
	struct scope_process p;
	struct scope s;
	int status;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("exit 0"), &options, &p), 0);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(scope_conn_write(in, "x", 1, NULL), -EPIPE);
	scope_conn_close(in);
	return scope_close(&s);
}

Test(process, a_pipe_that_nobody_reads_epipe)
{
	must_raise_no_sigpipe(writes_in_vain);
}

static int elsewhere(void *arg)
{
	struct scope_process_options options = {
		.streams = {{.kind = SCOPE_STREAM_NULL},
			    {.kind = SCOPE_STREAM_FD},
			    {.kind = SCOPE_STREAM_MERGE}},
		.environment = (char *[]){(char[]){"PATH=/bin:/usr/bin"}, (char[]){"X=some"}, NULL},
		.directory = "/dev"};
	char text[100] = "";
	FILE *file = tmpfile();
	int status;

	(void)arg;
	options.streams[1].fd = fileno(file);
	CHECK_EQ(scope_process_run(SHELL("cat; echo $X; pwd >&2; [ -z \"$HOME\" ]"), &options,
				   &status),
		 0);
	CHECK_EQ(status, 0);
	CHECK_EQ(pread(fileno(file), text, sizeof text - 1, 0), 10);
	CHECK(strcmp(text, "some\n/dev\n") == 0);
	fclose(file);
	return 0;
}

Test(process, streams_environment_and_directory_are_what_the_options_say)
{
	must_run(elsewhere, NULL);
}

/* Where this process has no standard streams, new descriptors take their numbers. */
static int without_streams(void *arg)
{
	struct scope_conn *in, *out;
	struct scope_process_options options = {.streams = {{SCOPE_STREAM_PIPE, 0, &in},
							    {SCOPE_STREAM_PIPE, 0, &out},
							    {SCOPE_STREAM_FD, 2, NULL}}};
	struct scope_process p;
	int kept[2], status, i;
	char text[100];
	struct scope s;

	(void)arg;
	/* What the runtime keeps open must not get their numbers, which are given back. */
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0);
	for (i = 0; i < 2; i++) {
		kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 100);
		close(i);
	}
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("cat"), &options, &p), 0);
	CHECK_EQ(scope_conn_write(in, "through", 7, NULL), 0);
	scope_conn_close(in);
	read_all(out, text, sizeof text);
	CHECK(strcmp(text, "through") == 0);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(scope_close(&s), 0);
	for (i = 0; i < 2; i++) {
		CHECK_EQ(dup2(kept[i], i), i);
		close(kept[i]);
	}
	return 0;
}

Test(process, streams_of_a_program_that_has_none)
{
	must_run(without_streams, NULL);
}

/* Workers block all signals, and the program may ignore some. */
static int unblocked(void *arg)
{
	(void)arg;
	CHECK_EQ(status_of(SHELL("kill -TERM $$; exit 5")), -SIGTERM);
	CHECK_EQ(status_of(SHELL("kill -PIPE $$; exit 5")), -SIGPIPE);
	return 0;
}

Test(process, it_blocks_no_signal_and_does_not_ignore_sigpipe)
{
	void (*old)(int) = signal(SIGPIPE, SIG_IGN);

	must_run(unblocked, NULL);
	signal(SIGPIPE, old);
}

/* ---- cancelling ---------------------------------------------------------------------------- */

static int cancelled(void *arg)
{
	struct scope_process p, other;
	int status, before;
	struct scope s;

	(void)arg;
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0);
	before = open_files();
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, forever, NULL, &p), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_process_wait(&p, &status), -ECANCELED);
	CHECK_EQ(scope_process_wait_until(&p, SCOPE_NEVER, &status), -ECANCELED);
	CHECK_EQ(scope_process_spawn(&s, forever, NULL, &other), -ECANCELED);
	CHECK_EQ(scope_process_run(forever, NULL, &status), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(open_files(), before);
	check_no_child();
	return 0;
}

Test(process, N6_C3_a_cancel_ends_it_ecanceled)
{
	cr_assert_eq(run_flags(cancelled, NULL, 0, 0), 0);
}

/* Its status is that of the signal which the cancel sent, and can be asked for after. */
static int cancelled_from_above(void *arg)
{
	struct scope_process p;
	struct scope s;
	int status;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, forever, NULL, &p), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(status, -SIGTERM);
	return 0;
}

Test(process, N6_a_cancel_sends_sigterm)
{
	cr_assert_eq(run_flags(cancelled_from_above, NULL, 0, 0), 0);
}

static int times_out(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 10 * SCOPE_MS};
	struct scope s;
	int status = 1000;

	(void)arg;
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_process_run(forever, NULL, &status), -ECANCELED);
	CHECK_EQ(status, 1000);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	check_no_child();
	return 0;
}

Test(process, N6_a_deadline_ends_it)
{
	cr_assert_eq(run_flags(times_out, NULL, 0, 0), 0);
	cr_assert_eq(run_flags(times_out, NULL, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

struct stubborn {
	const char *text; /* of a shell; says "ready" when it is */
	struct scope_process_options options;
	int status;
};

static int outlives(void *arg)
{
	struct stubborn *stubborn = arg;
	struct scope_conn *out;
	struct scope_process p;
	char text[10] = "";
	struct scope s;
	size_t done;
	int status;

	stubborn->options.streams[1] = (struct scope_stream){SCOPE_STREAM_PIPE, 0, &out};
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL(stubborn->text), &stubborn->options, &p), 0);
	CHECK_EQ(scope_conn_read(out, text, sizeof text, &done), 0);
	CHECK(strncmp(text, "ready", 5) == 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(status, stubborn->status);
	scope_conn_close(out);
	check_no_child();
	return 0;
}

Test(process, N6_after_the_grace_comes_sigkill)
{
	struct stubborn ignores = {
		.text = "trap '' TERM; echo ready; while :; do sleep 0.01; done",
		.options = {.grace_ns = 20 * SCOPE_MS},
		.status = -SIGKILL};

	cr_assert_eq(run_flags(outlives, &ignores, 0, 0), 0);
	ignores.options.grace_ns = 1000 * SCOPE_SEC; /* which the virtual clock has at once */
	cr_assert_eq(run_flags(outlives, &ignores, 0, SCOPE_VIRTUAL_CLOCK), 0);
}

Test(process, N6_the_signal_may_be_another)
{
	struct stubborn obeys = {
		.text = "trap 'exit 3' INT; echo ready; while :; do sleep 0.01; done",
		.options = {.signal = SIGINT, .grace_ns = 30 * SCOPE_SEC},
		.status = 3};

	cr_assert_eq(run_flags(outlives, &obeys, 0, 0), 0);
}

/* What its programs started has the pipe open until it has ended too. */
static int group_ends(void *arg)
{
	struct scope_conn *out;
	/* A grace beyond the end of time is none. */
	struct scope_process_options options = {.streams = {{0}, {SCOPE_STREAM_PIPE, 0, &out}},
						.flags = SCOPE_PROCESS_GROUP,
						.grace_ns = SCOPE_NEVER};
	struct scope_process p;
	char text[100];
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("sleep 1000 & sleep 1000; true"), &options, &p), 0);
	CHECK_EQ(scope_process_kill(&p, 99), -EINVAL);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	read_all(out, text, sizeof text);
	return 0;
}

Test(process, N6_signals_go_to_the_group_that_it_leads_einval)
{
	if (getenv("EMULATED"))
		cr_skip("the emulator goes on before the program has its group");
	must_run(group_ends, NULL);
}

/* Its leader ends at the signal, the other is deaf or takes its time; the pipe is open until it has
 * ended. */
static int leader_goes_first(void *arg)
{
	const char *other = arg;
	struct scope_conn *out;
	struct scope_process_options options = {
		.streams = {{0}, {SCOPE_STREAM_PIPE, 0, &out}, {SCOPE_STREAM_NULL, 0, NULL}},
		.flags = SCOPE_PROCESS_GROUP,
		.grace_ns = *other == '+' ? 1000 * SCOPE_SEC : 20 * SCOPE_MS};
	struct scope_process p;
	char text[100];
	struct scope s;
	size_t n;
	int status;

	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL(other + 1), &options, &p), 0);
	CHECK_EQ(scope_conn_read(out, text, sizeof text, &n), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_process_wait(&p, &status), 0);
	CHECK_EQ(status, -SIGTERM);
	read_all(out, text, sizeof text);
	CHECK_EQ(strcmp(text, *other == '+' ? "bye\n" : ""), 0);
	return 0;
}

Test(process, N6_of_a_group_that_loses_its_leader_all_get_the_grace_and_sigkill)
{
	static const char deaf[] = "-(trap '' TERM; echo ready; exec sleep 1000) & "
				   "exec sleep 1000",
		slow[] = "+(trap 'sleep 0.05; echo bye; exit' TERM; echo ready; "
			 "while :; do sleep 0.01; done) & exec sleep 1000";

	cr_assert_eq(run_flags(leader_goes_first, (void *)(uintptr_t)deaf, 0, 0), 0);
	cr_assert_eq(run_flags(leader_goes_first, (void *)(uintptr_t)slow, 0, 0), 0);
}

/* ---- what may go wrong --------------------------------------------------------------------- */

static int fails(void *arg)
{
	struct scope_process_options options = {.directory = "/nowhere at all"};
	const char *const none[] = {"/no such program", NULL};
	const char *const not_one[] = {"/etc/passwd", NULL};
	const char *const fine[] = {"true", NULL};
	int status = 1000, before;
	struct scope_process p;
	struct scope s;

	(void)arg;
	CHECK_EQ(status_of(fine), 0);
	before = open_files();
	CHECK_EQ(scope_process_run(none, NULL, &status), -ENOENT);
	CHECK_EQ(scope_process_run(fine, &options, &status), -ENOENT);
	CHECK_EQ(scope_process_run(not_one, NULL, &status), -EACCES);
	options = (struct scope_process_options){.streams = {{SCOPE_STREAM_FD, 9999, NULL}}};
	CHECK_EQ(scope_process_run(fine, &options, &status), -EBADF);
	CHECK_EQ(status, 1000);
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, none, NULL, &p), -ENOENT);
	CHECK_EQ(scope_process_spawn(&s, not_one, NULL, &p), -EACCES);
	CHECK_EQ(scope_process_spawn(&s, fine, &options, &p), -EBADF);
	CHECK_EQ(scope_close(&s), 0); /* none of them is an error of the scope */
#ifndef SC_DEBUG /* which ends the program */
	CHECK_EQ(scope_process_spawn(&s, fine, NULL, &p), -ESTALE);
#endif
	CHECK_EQ(open_files(), before);
	check_no_child();
	return 0;
}

/* There a child made by vfork has memory of its own, where its error stays. */
static void must_fail(void)
{
	if (getenv("EMULATED"))
		cr_skip("the emulator does not tell what kept a program from being loaded");
	must_run(fails, NULL);
}

Test(process, no_such_program_enoent)
{
	must_fail();
}

Test(process, no_program_eacces)
{
	must_fail();
}

Test(process, a_stream_that_is_not_open_ebadf)
{
	must_fail();
}

Test(process, S5_in_a_closed_scope_estale)
{
	must_fail();
}

/* With each number of descriptors that is too small, in turn. */
static int without_descriptors(void *arg)
{
	struct scope_conn *in = NULL, *out = NULL;
	struct scope_process_options options = {.streams = {{SCOPE_STREAM_PIPE, 0, &in},
							    {SCOPE_STREAM_PIPE, 0, &out}}};
	struct rlimit old, few;
	struct scope_process p;
	struct scope s;
	int first, before, refused = 0, rc = -1;

	(void)arg;
	CHECK_EQ(status_of((const char *const[]){"true", NULL}), 0);
	before = open_files();
	first = dup(0);
	close(first);
	getrlimit(RLIMIT_NOFILE, &old);
	scope_open(&s);
	for (few = old, few.rlim_cur = (rlim_t)first; rc < 0 && refused < 20; few.rlim_cur++) {
		setrlimit(RLIMIT_NOFILE, &few);
		rc = scope_process_spawn(&s, SHELL("cat"), &options, &p);
		setrlimit(RLIMIT_NOFILE, &old);
		if (rc < 0) {
			CHECK_EQ(rc, -EMFILE);
			CHECK_EQ(open_files(), before);
			check_no_child();
			refused++;
		}
	}
	CHECK_EQ(rc, 0);
	CHECK(refused >= 3);
	scope_conn_close(in);
	scope_conn_close(out);
	return scope_close(&s);
}

Test(process, without_a_descriptor_left_emfile)
{
	must_run(without_descriptors, NULL);
}

static int taken(void *arg)
{
	int status = 1000;
	struct scope_process p;
	struct scope s;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("sleep 0.01"), NULL, &p), 0);
	CHECK_EQ(scope_process_wait(&p, &status), -ECHILD);
	CHECK_EQ(scope_process_wait_until(&p, 0, &status), -ECHILD);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_process_run(SHELL("sleep 0.01"), NULL, &status), -ECHILD);
	CHECK_EQ(status, 1000);
	return 0;
}

Test(process, in_a_program_that_ignores_its_children_echild)
{
	void (*old)(int) = signal(SIGCHLD, SIG_IGN);

	must_run(taken, NULL);
	signal(SIGCHLD, old);
}

static int in_soft_region(void *arg)
{
	struct scope_process p, other;
	struct scope s;
	int status;

	(void)arg;
	scope_open(&s);
	CHECK_EQ(scope_process_spawn(&s, SHELL("sleep 0.02"), NULL, &p), 0);
	scope_shutdown(&s, 10 * SCOPE_SEC);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_process_spawn(&s, forever, NULL, &other), -ESHUTDOWN);
	CHECK_EQ(scope_process_wait(&p, &status), -ESHUTDOWN);
	CHECK_EQ(scope_process_wait_until(&p, SCOPE_NEVER, &status), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	return scope_close(&s);
}

Test(process, G2_in_a_soft_region_eshutdown)
{
	cr_assert_eq(run_flags(in_soft_region, NULL, 0, 0), 0);
}

static int wrong(void *arg)
{
	const char *const fine[] = {"true", NULL};
	struct scope_conn *conn;
	struct scope_process_options bad[] = {
		{.reserved = {1}},
		{.flags = 2},
		{.signal = -1},
		{.signal = 65},
		{.grace_ns = -1},
		{.streams = {{.kind = 5}}},
		{.streams = {{.kind = SCOPE_STREAM_MERGE}}},
		{.streams = {{.kind = SCOPE_STREAM_PIPE}}},
	};
	struct scope_process_options pipe = {.streams = {{SCOPE_STREAM_PIPE, 0, &conn}}};
	struct scope_process p;
	struct scope s;
	int status;
	size_t i;

	(void)arg;
	scope_open(&s);
	for (i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_EQ(scope_process_spawn(&s, fine, &bad[i], &p), -EINVAL);
	CHECK_EQ(scope_process_spawn(NULL, fine, NULL, &p), -EINVAL);
	CHECK_EQ(scope_process_spawn(&s, NULL, NULL, &p), -EINVAL);
	CHECK_EQ(scope_process_spawn(&s, &fine[1], NULL, &p), -EINVAL);
	CHECK_EQ(scope_process_spawn(&s, fine, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_process_run(fine, NULL, NULL), -EINVAL);
	CHECK_EQ(scope_process_run(NULL, NULL, &status), -EINVAL);
	CHECK_EQ(scope_process_run(fine, &pipe, &status), -EINVAL);
	CHECK_EQ(scope_process_spawn(&s, fine, NULL, &p), 0);
	CHECK_EQ(scope_process_wait_until(NULL, 0, &status), -EINVAL);
	CHECK_EQ(scope_process_wait_until(&p, 0, NULL), -EINVAL);
	CHECK_EQ(scope_process_wait(&p, NULL), -EINVAL);
	CHECK_EQ(scope_process_kill(NULL, 0), -EINVAL);
	CHECK_EQ(scope_process_pid(NULL), -EINVAL);
	return scope_close(&s);
}

Test(process, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(process, S2_outside_a_run_enotconn)
{
	const char *const fine[] = {"true", NULL};
	struct scope_process p;
	struct scope s;
	int status;

	cr_assert_eq(scope_process_spawn(&s, fine, NULL, &p), -ENOTCONN);
	cr_assert_eq(scope_process_run(fine, NULL, &status), -ENOTCONN);
	cr_assert_eq(scope_process_wait(&p, &status), -ENOTCONN);
	cr_assert_eq(scope_process_wait_until(&p, 0, &status), -ENOTCONN);
	cr_assert_eq(scope_process_kill(&p, 0), -ENOTCONN);
}
