/* tests/api/test_terminal.c: terminals, shown by the test itself. */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <scope_observe.h>
#include <scope_terminal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

TestSuite(terminal, .timeout = 60);

/* What a user sees and types at, and the program's side. */
static int screen, fd;
static struct termios found;

static void open_screen(void)
{
	struct winsize size = {.ws_col = 97, .ws_row = 31};

	cr_assert_eq(openpty(&screen, &fd, NULL, NULL, &size), 0);
	cr_assert_eq(tcgetattr(fd, &found), 0);
}

/* The terminal has the mode that it had before, and the program's descriptor blocks. */
static void close_screen(void)
{
	struct termios now;

	cr_assert_eq(tcgetattr(fd, &now), 0);
	cr_assert_eq(now.c_lflag, found.c_lflag);
	cr_assert_eq(now.c_iflag, found.c_iflag);
	cr_assert_eq(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	close(screen);
	close(fd);
}

static rlim_t lowest_free(void)
{
	int lowest = dup(0);

	close(lowest);
	return (rlim_t)lowest;
}

static void with_screen(scope_task_fn *fn)
{
	open_screen();
	must_run(fn, NULL);
	close_screen();
}

static void type(const char *keys)
{
	CHECK_EQ(write(screen, keys, strlen(keys)), strlen(keys));
}

/* Everything that is shown, when so much of it has come. */
static void sees(const char *text)
{
	char seen[256] = "";
	size_t done = 0;

	while (done < strlen(text)) {
		ssize_t n = read(screen, seen + done, sizeof seen - 1 - done);

		CHECK(n > 0);
		if (n <= 0)
			return;
		done += (size_t)n;
	}
	CHECK_EQ(strcmp(seen, text), 0);
}

static int sees_nothing(void)
{
	struct pollfd one = {.fd = screen, .events = POLLIN};

	return poll(&one, 1, 0) == 0;
}

static void reads(struct scope_terminal *t, const char *want)
{
	char text[64] = "";
	size_t done;

	CHECK_EQ(scope_terminal_read(t, text, sizeof text - 1, &done), 0);
	CHECK_EQ(done, strlen(want));
	CHECK_EQ(strcmp(text, want), 0);
}

static int types_soon(void *arg)
{
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	type(arg);
	return 0;
}

static int is_used(void *arg)
{
	unsigned columns, rows;
	struct scope_terminal *t;
	struct scope s;
	size_t done;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	CHECK_EQ(scope_terminal_size(t, &columns, &rows), 0);
	CHECK_EQ(columns, 97);
	CHECK_EQ(rows, 31);
	CHECK_EQ(scope_terminal_write(t, "name? ", 6, &done), 0);
	CHECK_EQ(done, 6);
	sees("name? ");
	scope_open(&s); /* two lines at once are two reads */
	CHECK_EQ(scope_spawn_with(&s, types_soon, "a\x7f" "b\nc\n", &concurrent), 0);
	reads(t, "b\n");
	reads(t, "c\n");
	CHECK_EQ(scope_close(&s), 0);
	sees("a\b \bb\r\nc\r\n");
	type("\x04");
	reads(t, "");
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), 0);
	type("x");
	reads(t, "x");
	type("\x03");
	reads(t, "\x03");
	CHECK(sees_nothing());
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_LINES), 0);
	type("y\n");
	reads(t, "y\n");
	sees("y\r\n");
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), 0);
	scope_terminal_close(t);
	scope_terminal_close(NULL);
	return 0;
}

Test(terminal, lines_keys_and_size)
{
	with_screen(is_used);
}

static int waits_for_a_line(void *arg)
{
	reads(arg, "a line\n");
	return 0;
}

static int dump_says(const char *want)
{
	char text[4096] = "";
	FILE *file = tmpfile();

	CHECK_EQ(scope_dump(fileno(file), SCOPE_DUMP_TEXT), 0);
	rewind(file);
	CHECK(fread(text, 1, sizeof text - 1, file) > 0);
	fclose(file);
	return strstr(text, want) != NULL;
}

static int is_told_of(void *arg)
{
	struct scope_terminal *t;
	struct scope s;
	int tries;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits_for_a_line, t, &concurrent), 0);
	for (tries = 0; tries < 1000; tries++) { /* until it waits */
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		if (dump_says("/waits_for_a_line: waiting to read terminal fd "))
			break;
	}
	CHECK(tries < 1000);
	type("a line\n");
	CHECK_EQ(scope_close(&s), 0);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, O1_a_dump_tells_who_waits_for_keys)
{
	with_screen(is_told_of);
}

static int leaves_it_open(void *arg)
{
	struct scope_terminal *t;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	return scope_terminal_mode(t, SCOPE_TERMINAL_KEYS);
}

Test(terminal, the_end_of_a_run_puts_the_mode_back)
{
	int before;

	with_screen(leaves_it_open); /* libuv opens what stays open */
	before = open_files();
	with_screen(leaves_it_open);
	cr_assert_eq(open_files(), before);
}

static int exits(void *arg)
{
	leaves_it_open(arg);
	exit(7);
}

Test(terminal, an_exit_puts_the_mode_back)
{
	int status;
	pid_t pid;

	open_screen();
	pid = fork();
	if (pid == 0)
		_exit(run_flags(exits, NULL, 1, 0));
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7, "status %x", (unsigned)status);
	close_screen();
}

static int is_forked(void *arg)
{
	struct scope_terminal *t;
	struct termios now;
	int status;
	pid_t pid;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), 0);
	pid = fork();
	if (pid == 0)
		exit(6);
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 6);
	CHECK_EQ(tcgetattr(fd, &now), 0);
	CHECK_EQ(now.c_lflag & ICANON, 0);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, the_exit_of_a_forked_child_leaves_the_mode)
{
	open_screen();
	cr_assert_eq(run_flags(is_forked, NULL, 1, 0), 0);
	close_screen();
}

/* ---- what may go wrong --------------------------------------------------------------------- */

static int waits_in_vain(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 5 * SCOPE_MS};
	struct scope_terminal *t;
	struct scope s;
	char byte = 'u';
	size_t done;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_terminal_read(t, &byte, 1, &done), -ECANCELED);
	CHECK_EQ(scope_terminal_write(t, "x", 1, &done), -ECANCELED);
	CHECK_EQ(done, 0);
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), -ECANCELED);
	CHECK_EQ(byte, 'u');
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	type("x\n");
	CHECK_EQ(scope_terminal_read(t, &byte, 1, &done), 0);
	CHECK_EQ(byte, 'x');
	scope_terminal_close(t);
	return 0;
}

Test(terminal, C1_C3_a_cancelled_read_takes_nothing_ecanceled)
{
	with_screen(waits_in_vain);
}

static int stopped(void *arg)
{
	struct scope_terminal *t;
	struct scope s;
	size_t done;
	char byte;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	scope_open(&s);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_terminal_read(t, &byte, 1, &done), -ESHUTDOWN);
	CHECK_EQ(scope_terminal_write(t, "x", 1, &done), -ESHUTDOWN);
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, G2_in_a_soft_region_eshutdown)
{
	with_screen(stopped);
}

struct reader {
	struct scope_terminal *t;
	int rc;
};

static int reads_for(void *arg)
{
	struct reader *reader = arg;
	size_t done;
	char byte;

	reader->rc = scope_terminal_read(reader->t, &byte, 1, &done);
	return 0;
}

static int closes_under_a_reader(void *arg)
{
	struct reader first, second;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &first.t), 0);
	second.t = first.t;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, reads_for, &first, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	reads_for(&second);
	CHECK_EQ(second.rc, -EBUSY);
	scope_terminal_close(first.t);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(first.rc, -EBADF);
	return 0;
}

Test(terminal, N3_two_at_once_ebusy)
{
	with_screen(closes_under_a_reader);
}

Test(terminal, N3_closing_it_under_the_reader_ebadf)
{
	with_screen(closes_under_a_reader);
}

static char page[1 << 18];

static int writes_for(void *arg)
{
	struct reader *writer = arg;

	writer->rc = scope_terminal_write(writer->t, page, sizeof page, NULL);
	return 0;
}

static int closes_under_a_writer(void *arg)
{
	struct reader first, second;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &first.t), 0);
	second.t = first.t;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, writes_for, &first, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	writes_for(&second); /* nobody looks at the screen, which has room for a few KiB */
	CHECK_EQ(second.rc, -EBUSY);
	scope_terminal_close(first.t);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(first.rc, -EBADF);
	return 0;
}

Test(terminal, N3_two_writers_at_once_ebusy)
{
	with_screen(closes_under_a_writer);
}

Test(terminal, N3_closing_it_under_the_writer_ebadf)
{
	with_screen(closes_under_a_writer);
}

static int is_gone(void *arg)
{
	unsigned columns, rows;
	struct scope_terminal *t;
	size_t done;
	char byte;
	int rc;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	close(screen);
	rc = scope_terminal_read(t, &byte, 1, &done);
	CHECK(rc == -EIO || (rc == 0 && done == 0)); /* which the kernel chooses */
	CHECK_EQ(scope_terminal_write(t, "x", 1, &done), -EIO);
	CHECK_EQ(scope_terminal_mode(t, SCOPE_TERMINAL_KEYS), -EIO);
	CHECK_EQ(scope_terminal_size(t, &columns, &rows), -EIO);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, whose_screen_is_gone_eio)
{
	open_screen();
	must_run(is_gone, NULL);
	close(fd);
}

static int finds_no_descriptor(void *arg)
{
	struct scope_terminal *t = NULL;
	struct rlimit old, few;
	int refused = 0;

	(void)arg;
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	scope_terminal_close(t);
	t = NULL;
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	for (few.rlim_cur = lowest_free(); !t; few.rlim_cur++) {
		int rc;

		refused += !t;
		setrlimit(RLIMIT_NOFILE, &few);
		rc = scope_terminal_open(fd, &t);
		CHECK_EQ(rc, t ? 0 : -EMFILE);
	}
	CHECK(refused > 1);
	setrlimit(RLIMIT_NOFILE, &old);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, without_a_descriptor_left_emfile)
{
	with_screen(finds_no_descriptor);
}

static int is_none(void *arg)
{
	struct scope_terminal *t = NULL;
	unsigned number;
	int ends[2];
	size_t done;
	char byte;

	(void)arg;
	CHECK_EQ(pipe(ends), 0);
	CHECK_EQ(scope_terminal_open(ends[0], &t), -ENOTTY);
	CHECK_EQ(scope_terminal_open(screen, &t), -ENOTTY);
	close(ends[0]);
	close(ends[1]);
	CHECK_EQ(scope_terminal_open(ends[0], &t), -EBADF);
	CHECK_EQ(scope_terminal_open(fd, NULL), -EINVAL);
	CHECK(t == NULL);
	CHECK_EQ(scope_terminal_mode(NULL, 0), -EINVAL);
	CHECK_EQ(scope_terminal_size(NULL, &number, &number), -EINVAL);
	CHECK_EQ(scope_terminal_read(NULL, &byte, 1, &done), -EINVAL);
	CHECK_EQ(scope_terminal_write(NULL, &byte, 1, &done), -EINVAL);
	CHECK_EQ(scope_terminal_open(fd, &t), 0);
	CHECK_EQ(scope_terminal_mode(t, 2), -EINVAL);
	CHECK_EQ(scope_terminal_size(t, NULL, &number), -EINVAL);
	CHECK_EQ(scope_terminal_size(t, &number, NULL), -EINVAL);
	CHECK_EQ(scope_terminal_read(t, NULL, 1, &done), -EINVAL);
	CHECK_EQ(scope_terminal_read(t, &byte, 0, &done), -EINVAL);
	CHECK_EQ(scope_terminal_read(t, &byte, 1, NULL), -EINVAL);
	CHECK_EQ(scope_terminal_write(t, NULL, 1, &done), -EINVAL);
	scope_terminal_close(t);
	return 0;
}

Test(terminal, what_is_no_terminal_enotty)
{
	with_screen(is_none);
}

Test(terminal, arguments_einval)
{
	with_screen(is_none);
}

static struct scope_terminal *left;

static int leaves_it(void *arg)
{
	(void)arg;
	return scope_terminal_open(fd, &left);
}

Test(terminal, S2_outside_a_run_enotconn)
{
	struct scope_terminal *t;
	unsigned number;
	size_t done;
	char byte;

	with_screen(leaves_it); /* what it leads to is no longer there */
	cr_assert_eq(scope_terminal_open(0, &t), -ENOTCONN);
	cr_assert_eq(scope_terminal_mode(left, 0), -ENOTCONN);
	cr_assert_eq(scope_terminal_size(left, &number, &number), -ENOTCONN);
	cr_assert_eq(scope_terminal_read(left, &byte, 1, &done), -ENOTCONN);
	cr_assert_eq(scope_terminal_write(left, &byte, 1, &done), -ENOTCONN);
	scope_terminal_close(left);
}
