/* tests/api/test_watch.c: streams of changes of files: rules C1, C3, N1, N3. */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <fcntl.h>
#include <scope_watch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(watch, .timeout = 60);

/* A directory with a file in it. */
struct place {
	char dir[TEMPORARY_SIZE], old[TEMPORARY_SIZE + 8], new[TEMPORARY_SIZE + 8];
};

static void open_place(struct place *place)
{
	int fd;

	temporary(place->dir, "watch");
	CHECK(mkdtemp(place->dir) != NULL);
	snprintf(place->old, sizeof place->old, "%s/old", place->dir);
	snprintf(place->new, sizeof place->new, "%s/new", place->dir);
	fd = open(place->old, O_WRONLY | O_CREAT, 0600);
	CHECK(fd >= 0);
	close(fd);
}

static void close_place(struct place *place)
{
	unlink(place->old);
	unlink(place->new);
	CHECK_EQ(rmdir(place->dir), 0);
}

static void append(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND);

	CHECK_EQ(write(fd, "x", 1), 1);
	close(fd);
}

static void expect(struct scope_watch *w, unsigned what, const char *name)
{
	struct scope_watch_event event;

	CHECK_EQ(scope_watch_next(w, &event), 0);
	CHECK_EQ(event.what, what);
	CHECK(strcmp(event.name, name) == 0);
}

static void expect_the_end(struct scope_watch *w)
{
	struct scope_watch_event event = {.what = 77};

	CHECK_EQ(scope_watch_next(w, &event), -ENOENT);
	CHECK_EQ(event.what, 77);
}

static int changes(void *arg)
{
	struct scope_watch *w, *file;
	struct place place;

	(void)arg;
	open_place(&place);
	CHECK_EQ(scope_watch_open(place.dir, &w), 0);
	CHECK_EQ(scope_watch_open(place.old, &file), 0);
	append(place.old);
	CHECK_EQ(chmod(place.old, 0640), 0);
	CHECK_EQ(rename(place.old, place.new), 0);
	CHECK_EQ(unlink(place.new), 0);
	CHECK_EQ(rmdir(place.dir), 0);
	expect(w, SCOPE_WATCH_CONTENT, "old");
	expect(w, SCOPE_WATCH_FACTS, "old");
	expect(w, SCOPE_WATCH_REMOVED, "old");
	expect(w, SCOPE_WATCH_ADDED, "new");
	expect(w, SCOPE_WATCH_REMOVED, "new");
	expect(w, SCOPE_WATCH_GONE, "");
	expect_the_end(w);
	expect(file, SCOPE_WATCH_CONTENT, "");
	expect(file, SCOPE_WATCH_FACTS, "");
	expect(file, SCOPE_WATCH_GONE, ""); /* renamed */
	expect(file, SCOPE_WATCH_FACTS, ""); /* it has a link less */
	expect(file, SCOPE_WATCH_GONE, ""); /* removed */
	expect_the_end(file);
	expect_the_end(file);
	scope_watch_close(w);
	scope_watch_close(file);
	scope_watch_close(NULL);
	return 0;
}

Test(watch, tells_what_has_changed_in_order)
{
	must_run(changes, NULL);
}

Test(watch, ends_with_what_is_watched_enoent)
{
	must_run(changes, NULL);
}

static int result;

static int waits(void *arg)
{
	struct scope_watch_event event = {.what = 77};

	result = scope_watch_next(arg, &event);
	CHECK_EQ(event.what, result == 0 ? SCOPE_WATCH_CONTENT : 77);
	return 0;
}

static int waited_for(void *arg)
{
	struct scope_watch_event event;
	struct scope_watch *w;
	struct place place;
	struct scope s;

	(void)arg;
	open_place(&place);
	CHECK_EQ(scope_watch_open(place.old, &w), 0);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits, w, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK_EQ(scope_watch_next(w, &event), -EBUSY);
	append(place.old);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, 0);
	/* A cancelled one leaves what comes. */
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits, w, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_cancel(&s);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -ECANCELED);
	append(place.old);
	expect(w, SCOPE_WATCH_CONTENT, "");
	/* In a soft region of a stopped place. */
	scope_open(&s);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_soft_begin(), 0);
	CHECK_EQ(scope_watch_next(w, &event), -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&s), 0);
	/* Closed under one that waits. */
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&s, waits, w, &concurrent), 0);
	CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	scope_watch_close(w);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(result, -EBADF);
	close_place(&place);
	return 0;
}

Test(watch, N1_C3_a_cancelled_wait_takes_nothing_ecanceled)
{
	must_run(waited_for, NULL);
}

Test(watch, G2_in_a_soft_region_eshutdown)
{
	must_run(waited_for, NULL);
}

Test(watch, N3_two_at_once_ebusy)
{
	must_run(waited_for, NULL);
}

Test(watch, N3_closed_under_one_that_waits_ebadf)
{
	must_run(waited_for, NULL);
}

static int wrong(void *arg)
{
	struct scope_watch_event event;
	struct scope_watch *w;
	struct rlimit old, few;
	int first;

	(void)arg;
	CHECK_EQ(scope_watch_open("/no such place", &w), -ENOENT);
	CHECK_EQ(scope_watch_open(NULL, &w), -EINVAL);
	CHECK_EQ(scope_watch_open("/", NULL), -EINVAL);
	CHECK_EQ(scope_watch_next(NULL, &event), -EINVAL);
	CHECK_EQ(scope_watch_open("/", &w), 0);
	CHECK_EQ(scope_watch_next(w, NULL), -EINVAL);
	scope_watch_close(w);
	first = dup(0);
	close(first);
	getrlimit(RLIMIT_NOFILE, &old);
	few = old;
	few.rlim_cur = (rlim_t)first;
	setrlimit(RLIMIT_NOFILE, &few);
	CHECK_EQ(scope_watch_open("/", &w), -EMFILE);
	setrlimit(RLIMIT_NOFILE, &old);
	return 0;
}

Test(watch, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(watch, of_nothing_enoent)
{
	must_run(wrong, NULL);
}

Test(watch, without_a_descriptor_left_emfile)
{
	must_run(wrong, NULL);
}

Test(watch, S2_outside_a_run_enotconn)
{
	struct scope_watch_event event;
	struct scope_watch *w = NULL;

	cr_assert_eq(scope_watch_open("/", &w), -ENOTCONN);
	cr_assert_eq(scope_watch_next(w, &event), -ENOTCONN);
	scope_watch_close(w);
}
