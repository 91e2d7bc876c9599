/* tests/api/test_pattern.c: what docs/patterns.md shows of files, terminals and names, at work.
 * Its blocks marked "c tested" consist of lines of this file: tests/lint/patterns.sh.
 */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <scope_file.h>
#include <scope_net.h>
#include <scope_signal.h>
#include <scope_terminal.h>
#include <scope_watch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(pattern, .timeout = 60);

static char room[TEMPORARY_SIZE];

static const char *at(const char *name)
{
	static char path[4][TEMPORARY_SIZE + 64];
	static atomic_uint turn;
	char *out = path[atomic_fetch_add(&turn, 1) % 4];

	snprintf(out, sizeof path[0], "%s/%s", room, name);
	return out;
}

static void in_room(scope_task_fn *fn)
{
	temporary(room, "pattern");
	cr_assert_not_null(mkdtemp(room));
	must_run(fn, NULL);
	cr_assert_eq(rmdir(room), 0, "something is left in %s", room);
}

/* ---- a tree --------------------------------------------------------------------------------- */

static atomic_int files, directories;

static int found(const char *path)
{
	files++;
	return strstr(path, "/broken") ? -EIO : 0;
}

struct place {
	struct scope *walk;
	char path[];
};

static struct place *new_place(struct scope *walk, const char *above, const char *name)
{
	struct place *p = malloc(sizeof *p + strlen(above) + strlen(name) + 2);

	if (p) {
		p->walk = walk;
		sprintf(p->path, "%s/%s", above, name);
	}
	return p;
}

static int walk(void *arg);

static int visit(const struct place *above, const struct scope_dir_entry *entry)
{
	struct place *p = new_place(above->walk, above->path, entry->name);
	struct scope_file_stat about = {.kind = entry->kind};
	int rc = p ? 0 : -ENOMEM;

	if (rc == 0 && about.kind == SCOPE_FILE_UNKNOWN)
		rc = scope_file_link_stat(p->path, &about);
	if (rc == 0 && about.kind == SCOPE_FILE_DIRECTORY) {
		rc = scope_spawn(p->walk, walk, p);
		if (rc == 0)
			return 0;             /* it is the task's now */
		if (rc == -EAGAIN)
			return walk(p);       /* so many are at work: this one does it */
	} else if (rc == 0 && about.kind == SCOPE_FILE_REGULAR) {
		rc = found(p->path);
	}
	free(p);
	return rc;
}

static int walk(void *arg)
{
	const struct scope_dir_entry *entry;
	struct place *p = arg;
	struct scope_dir *dir = NULL;
	int rc = scope_dir_read(p->path, &dir);

	directories++;
	while (rc == 0 && (entry = scope_dir_next(dir)))
		rc = visit(p, entry);
	scope_dir_free(dir);
	free(p);
	return rc == -ENOENT ? 0 : rc;        /* removed meanwhile */
}

static int walk_tree(const char *top)
{
	struct scope_options options = {.max_tasks = 8};
	struct place *p;
	struct scope s;
	int rc;

	scope_open_with(&s, &options);
	p = new_place(&s, top, ".");
	rc = p ? scope_spawn(&s, walk, p) : scope_fail(&s, -ENOMEM, NULL);
	if (rc < 0)
		free(p);
	return scope_close(&s);
}

enum { WIDE = SIMULATED ? 2 : 6 };

/* WIDE directories, in each as many, in each a file; or what all of them are removed by. */
static void tree(int (*of_directory)(const char *path), int (*of_file)(const char *path))
{
	char path[64];
	int i, k;

	for (i = 0; i < WIDE; i++) {
		snprintf(path, sizeof path, "%d", i);
		if (of_directory != rmdir)
			CHECK_EQ(of_directory(at(path)), 0);
		for (k = 0; k < WIDE; k++) {
			snprintf(path, sizeof path, "%d/%d", i, k);
			if (of_directory != rmdir)
				CHECK_EQ(of_directory(at(path)), 0);
			snprintf(path, sizeof path, "%d/%d/file", i, k);
			CHECK_EQ(of_file(at(path)), 0);
			snprintf(path, sizeof path, "%d/%d", i, k);
			if (of_directory == rmdir)
				CHECK_EQ(of_directory(at(path)), 0);
		}
		snprintf(path, sizeof path, "%d", i);
		if (of_directory == rmdir)
			CHECK_EQ(of_directory(at(path)), 0);
	}
}

static int make_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	return fd < 0 ? -1 : close(fd);
}

static int make_directory(const char *path)
{
	return mkdir(path, 0700);
}

static int walks(void *arg)
{
	(void)arg;
	files = directories = 0;
	tree(make_directory, make_file);
	CHECK_EQ(symlink("..", at("0/up")), 0); /* which is not followed */
	CHECK_EQ(walk_tree(room), 0);
	CHECK_EQ(files, WIDE * WIDE);
	CHECK_EQ(directories, 1 + WIDE + WIDE * WIDE);
	CHECK_EQ(make_file(at("1/1/broken")), 0);
	CHECK_EQ(walk_tree(room), -EIO);
	CHECK_EQ(unlink(at("1/1/broken")), 0);
	CHECK_EQ(unlink(at("0/up")), 0);
	CHECK_EQ(walk_tree("/no such place"), 0);
	tree(rmdir, unlink);
	return 0;
}

Test(pattern, a_tree_is_walked_by_a_few_tasks)
{
	in_room(walks);
}

/* ---- a file --------------------------------------------------------------------------------- */

static int discard(void *path)
{
	int rc = scope_file_remove(path);

	return rc == -ENOENT ? 0 : rc;        /* it has its name */
}

static int save(const char *path, const char *temporary, const void *data, size_t size)
{
	struct scope_file *f = NULL;
	struct scope s;
	int rc;

	scope_open(&s);
	rc = scope_fail(&s, scope_defer(&s, discard, (void *)temporary), NULL);
	if (rc == 0)
		rc = scope_file_open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0644, &f);
	if (rc == 0)
		rc = scope_file_write(f, data, size, NULL);
	if (rc == 0)
		rc = scope_file_sync(f);
	scope_file_close(f);
	if (rc == 0)
		rc = scope_file_rename(temporary, path);
	scope_fail(&s, rc, "saving %s", path);
	return scope_close(&s);
}

static int saves(void *arg)
{
	struct scope s;

	(void)arg;
	CHECK_EQ(save(at("file"), at("new"), "one", 3), 0);
	CHECK_EQ(save(at("file"), at("new"), "two", 3), 0);
	CHECK_EQ(save(at("none/file"), at("new"), "three", 5), -ENOENT);
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(save(at("file"), at("new"), "four", 4), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(entries(room), 3); /* with "." and ".." */
	return unlink(at("file"));
}

Test(pattern, a_file_is_replaced_as_a_whole_or_not_at_all)
{
	in_room(saves);
}

/* ---- a pipe in the file system -------------------------------------------------------------- */

static char heard[32];
static size_t heard_size;

static void take(const char *bytes, size_t size)
{
	CHECK(heard_size + size < sizeof heard);
	memcpy(heard + heard_size, bytes, size);
	heard_size += size;
}

static int read_pipe(const char *path)
{
	char bytes[4096];
	ssize_t n = 1;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	while (rc == 0 && n != 0) {           /* 0: whoever wrote has closed it */
		rc = scope_fd_wait_until(fd, SCOPE_FD_READ, SCOPE_NEVER);
		if (rc == 0 && (n = read(fd, bytes, sizeof bytes)) > 0)
			take(bytes, (size_t)n);
		else if (rc == 0 && n < 0 && errno != EAGAIN)
			rc = -errno;
	}
	scope_fd_close(fd);
	return rc;
}

static int speaks(void *arg)
{
	int fd = -1;

	while (fd < 0) { /* until the other side is open */
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
		fd = open(arg, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	}
	CHECK_EQ(write(fd, "hello ", 6), 6);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(write(fd, "there", 5), 5);
	close(fd);
	return 0;
}

static int listens(void *arg)
{
	char path[TEMPORARY_SIZE + 64];
	struct scope s;

	(void)arg;
	strcpy(path, at("pipe"));
	heard_size = 0;
	CHECK_EQ(mkfifo(path, 0600), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, speaks, path, &concurrent), 0);
	CHECK_EQ(read_pipe(path), 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK(heard_size == 11 && memcmp(heard, "hello there", 11) == 0);
	CHECK_EQ(read_pipe(at("none")), -ENOENT);
	return unlink(path);
}

Test(pattern, a_pipe_in_the_file_system_is_read)
{
	in_room(listens);
}

/* ---- a file that changes -------------------------------------------------------------------- */

static atomic_int loads;

static int load(const char *name)
{
	CHECK(strcmp(name, "config") == 0);
	return ++loads == 3 ? -EDOM : 0;
}

static int follow(const char *directory, const char *name)
{
	struct scope_watch_event event;
	struct scope_watch *w;
	int rc = scope_watch_open(directory, &w);

	if (rc < 0)
		return rc;
	rc = load(name);                      /* after it is watched: no change is missed */
	while (rc == 0 && (rc = scope_watch_next(w, &event)) == 0)
		if ((event.what & SCOPE_WATCH_LOST) ||
		    (strcmp(event.name, name) == 0 && !(event.what & SCOPE_WATCH_REMOVED)))
			rc = load(name);
	scope_watch_close(w);
	return rc;                            /* -ENOENT: the directory is gone */
}

static int edits(void *arg)
{
	(void)arg;
	while (loads == 0)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(make_file(at("other")), 0);
	CHECK_EQ(rename(at("other"), at("config")), 0);
	while (loads == 1)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(chmod(at("config"), 0640), 0);
	return 0;
}

static int vanishes(void *arg)
{
	while (loads == 0)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	return rmdir(arg);
}

static int follows(void *arg)
{
	char path[TEMPORARY_SIZE + 64];
	struct scope s;

	(void)arg;
	loads = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, edits, NULL, &concurrent), 0);
	CHECK_EQ(follow(room, "config"), -EDOM);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(loads, 3);
	CHECK_EQ(unlink(at("config")), 0);
	strcpy(path, at("sub"));
	CHECK_EQ(make_directory(path), 0);
	loads = 0;
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, vanishes, path, &concurrent), 0);
	CHECK_EQ(follow(path, "config"), -ENOENT);
	return scope_close(&s);
}

Test(pattern, a_file_is_read_again_when_it_changes)
{
	in_room(follows);
}

/* ---- a terminal ----------------------------------------------------------------------------- */

static int screen, side; /* what a user sees, and the program's side */
static atomic_int draws;

static void draw(unsigned columns, unsigned rows)
{
	struct winsize larger = {.ws_col = 100, .ws_row = 40};

	CHECK(columns == (draws ? 100 : 80) && rows == (draws ? 40 : 24));
	if (draws++ == 0) {
		CHECK_EQ(ioctl(screen, TIOCSWINSZ, &larger), 0);
		CHECK_EQ(kill(getpid(), SIGWINCH), 0); /* it is no terminal of this process */
	} else {
		CHECK_EQ(write(screen, "hjq", 3), 3);
	}
}

struct view {
	struct scope_terminal *terminal;
	struct scope_signal *resized;
};

static int redraw(void *arg)
{
	struct view *v = arg;
	unsigned columns, rows;
	int rc;

	do {
		rc = scope_terminal_size(v->terminal, &columns, &rows);
		if (rc == 0)
			draw(columns, rows);
	} while (rc == 0 && (rc = scope_signal_next(v->resized)) == 0);
	return rc;
}

static int show(int fd)
{
	struct scope_spawn_options beside = {.flags = SCOPE_SERVICE}; /* until the keys end */
	struct view v = {NULL, NULL};
	struct scope s;
	size_t n = 1;
	char keys[16];
	int rc = scope_terminal_open(fd, &v.terminal); /* -ENOTTY: the input is a file */

	if (rc < 0)
		return rc;
	rc = scope_signal_open(SIGWINCH, &v.resized);
	if (rc == 0)
		rc = scope_terminal_mode(v.terminal, SCOPE_TERMINAL_KEYS);
	scope_open(&s);
	if (rc == 0)
		rc = scope_spawn_with(&s, redraw, &v, &beside);
	while (rc == 0 && n > 0) {            /* 0: the user has hung up */
		rc = scope_terminal_read(v.terminal, keys, sizeof keys, &n);
		if (rc == 0 && memchr(keys, 'q', n))
			n = 0;
	}
	scope_fail(&s, rc, NULL);
	rc = scope_close(&s);
	scope_signal_close(v.resized);
	scope_terminal_close(v.terminal);     /* which puts its mode back */
	return rc;
}

static int shows(void *arg)
{
	struct winsize size = {.ws_col = 80, .ws_row = 24};
	struct termios before, after;

	(void)arg;
	draws = 0;
	CHECK_EQ(openpty(&screen, &side, NULL, NULL, &size), 0);
	CHECK_EQ(tcgetattr(side, &before), 0);
	CHECK_EQ(show(side), 0);
	CHECK_EQ(tcgetattr(side, &after), 0);
	CHECK_EQ(after.c_lflag, before.c_lflag);
	CHECK_EQ(draws, 2);
	close(screen);
	close(side);
	return show(open("/dev/null", O_RDONLY | O_CLOEXEC)) == -ENOTTY ? 0 : -EPROTO;
}

Test(pattern, a_terminal_shows_what_fits_until_a_key)
{
	must_run(shows, NULL);
}

/* ---- names ---------------------------------------------------------------------------------- */

static int look_up(const char *host, struct scope_address *out, size_t most, int64_t within_ns)
{
	struct scope_options options = {.deadline_ns = scope_now() + within_ns};
	struct scope s;
	int count, rc;

	scope_open_with(&s, &options);
	do {
		count = scope_resolve(host, 0, out, most);
	} while (count == -EAGAIN && scope_sleep_for(SCOPE_SEC) == 0);
	scope_fail(&s, count < 0 ? count : 0, "looking up %s", host);
	rc = scope_close(&s);                 /* -ETIMEDOUT: nobody has told in time */
	return rc < 0 ? rc : count;
}

static int resolves(void *arg)
{
	struct scope_address found[2];
	char host[64];
	struct scope s;

	(void)arg;
	CHECK_EQ(look_up("127.0.0.1", found, 2, SCOPE_SEC), 1);
	scope_address_get(&found[0], host, sizeof host);
	CHECK_EQ(strcmp(host, "127.0.0.1"), 0);
	CHECK_EQ(look_up("", found, 2, 20 * SCOPE_SEC), -ENOENT);
	scope_open(&s);
	scope_cancel(&s);
	CHECK_EQ(look_up("localhost", found, 2, SCOPE_SEC), -ECANCELED);
	return scope_close(&s);
}

Test(pattern, a_name_is_looked_up_within_a_limit_of_time)
{
	must_run(resolves, NULL);
}
