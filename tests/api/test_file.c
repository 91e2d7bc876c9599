/* tests/api/test_file.c: files and directories: rules C1, C3, N2. */
#define _GNU_SOURCE
#include "files.h"
#include "task_check.h"

#include <fcntl.h>
#include <scope_file.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

TestSuite(file, .timeout = 60);

/* ---- a place for them ---------------------------------------------------------------------- */

static char place[TEMPORARY_SIZE];

static void open_place(void)
{
	temporary(place, "file");
	cr_assert_not_null(mkdtemp(place));
}

static void close_place(void)
{
	cr_assert_eq(rmdir(place), 0, "something is left in %s", place);
}

/* In one of a few buffers that take turns. */
static const char *at(const char *name)
{
	static char path[4][TEMPORARY_SIZE + 64];
	static atomic_uint turn;
	char *out = path[atomic_fetch_add(&turn, 1) % 4];

	snprintf(out, sizeof path[0], "%s/%s", place, name);
	return out;
}

static void in_place(scope_task_fn *fn)
{
	open_place();
	must_run(fn, NULL);
	close_place();
}

/* ---- files --------------------------------------------------------------------------------- */

static int goes_through(void *arg)
{
	struct scope_file_stat about;
	struct scope_file *f;
	char text[32] = "";
	size_t done = 99;

	(void)arg;
	CHECK_EQ(scope_file_open(at("a"), O_RDWR | O_CREAT | O_EXCL, 0600, &f), 0);
	CHECK(scope_file_fd(f) >= 0);
	CHECK_EQ(fcntl(scope_file_fd(f), F_GETFD), FD_CLOEXEC);
	CHECK_EQ(scope_file_read(f, text, sizeof text, &done), 0);
	CHECK_EQ(done, 0);
	CHECK_EQ(scope_file_write(f, "one two ", 8, &done), 0);
	CHECK_EQ(done, 8);
	CHECK_EQ(scope_file_write(f, "three", 5, NULL), 0);
	CHECK_EQ(scope_file_write_at(f, "TWO", 3, 4, &done), 0);
	CHECK_EQ(done, 3);
	CHECK_EQ(scope_file_write_at(f, "!", 1, 13, NULL), 0);
	CHECK_EQ(scope_file_sync(f), 0);
	CHECK_EQ(scope_file_read(f, text, 1, &done), 0); /* where the write ended: the mark */
	CHECK_EQ(done, 1);
	CHECK_EQ(scope_file_read_at(f, text, sizeof text, 0, &done), 0);
	CHECK_EQ(done, 14);
	CHECK(memcmp(text, "one TWO three!", 14) == 0);
	CHECK_EQ(scope_file_read_at(f, text, sizeof text, 100, &done), 0);
	CHECK_EQ(done, 0);
	scope_file_close(f);
	scope_file_close(NULL);
	CHECK_EQ(scope_file_stat(at("a"), &about), 0);
	CHECK_EQ(about.size, 14);
	CHECK_EQ(about.kind, SCOPE_FILE_REGULAR);
	CHECK_EQ(about.mode, 0600);
	CHECK_EQ(about.links, 1);
	CHECK_EQ(about.owner, getuid());
	CHECK(about.modified_ns > INT64_C(1600000000) * SCOPE_SEC);
	CHECK_EQ(scope_file_open(at("a"), O_RDWR | O_APPEND, 0, &f), 0);
	CHECK_EQ(scope_file_read(f, text, 3, &done), 0);
	CHECK_EQ(scope_file_read(f, text + 3, 4, &done), 0);
	CHECK(memcmp(text, "one TWO", 7) == 0);
	CHECK_EQ(scope_file_write(f, "end", 3, NULL), 0);
	CHECK_EQ(scope_file_read_at(f, text, sizeof text, 14, &done), 0);
	CHECK_EQ(done, 3);
	scope_file_close(f);
	CHECK_EQ(scope_file_remove(at("a")), 0);
	return 0;
}

Test(file, what_is_written_is_read)
{
	in_place(goes_through);
}

enum { WRITERS = 4, BLOCK = SIMULATED ? 10 : 3000 };

struct part {
	struct scope_file *file;
	int index;
};

static int writes_part(void *arg)
{
	struct part *part = arg;
	char block[BLOCK], back[BLOCK];
	size_t done;

	memset(block, 'a' + part->index, sizeof block);
	CHECK_EQ(scope_file_write_at(part->file, block, sizeof block,
				     (uint64_t)part->index * BLOCK, NULL),
		 0);
	CHECK_EQ(scope_file_read_at(part->file, back, sizeof back, (uint64_t)part->index * BLOCK,
				    &done),
		 0);
	CHECK_EQ(done, sizeof back);
	CHECK(memcmp(block, back, sizeof back) == 0);
	return 0;
}

static int several_at_once(void *arg)
{
	struct part parts[WRITERS];
	struct scope_file *f;
	struct scope s;
	int i;

	(void)arg;
	CHECK_EQ(scope_file_open(at("b"), O_RDWR | O_CREAT, 0600, &f), 0);
	scope_open(&s);
	for (i = 0; i < WRITERS; i++) {
		parts[i] = (struct part){f, i};
		CHECK_EQ(scope_spawn(&s, writes_part, &parts[i]), 0);
	}
	CHECK_EQ(scope_close(&s), 0);
	scope_file_close(f);
	return scope_file_remove(at("b"));
}

Test(file, several_tasks_use_one_at_once)
{
	in_place(several_at_once);
}

/* ---- directories --------------------------------------------------------------------------- */

static int lists(void *arg)
{
	const struct scope_dir_entry *entry;
	struct scope_file_stat about;
	struct scope_dir *dir;
	struct scope_file *f;
	char before[8] = "", inside[sizeof place + 8];
	int seen = 0;

	(void)arg;
	CHECK_EQ(scope_dir_make(at("d"), 0700), 0);
	CHECK_EQ(scope_dir_read(at("d"), &dir), 0);
	CHECK(scope_dir_next(dir) == NULL);
	scope_dir_free(dir);
	scope_dir_free(NULL);
	CHECK_EQ(scope_dir_make(at("d/sub"), 0700), 0);
	CHECK_EQ(symlink("nowhere", at("d/link")), 0);
	CHECK_EQ(mkfifo(at("d/pipe"), 0600), 0);
	CHECK_EQ(scope_file_open(at("d/old"), O_WRONLY | O_CREAT, 0600, &f), 0);
	scope_file_close(f);
	CHECK_EQ(scope_file_rename(at("d/old"), at("d/new")), 0);
	CHECK_EQ(scope_dir_read(at("d"), &dir), 0);
	while ((entry = scope_dir_next(dir))) {
		seen++;
		CHECK(strcmp(before, entry->name) < 0); /* in their order */
		strcpy(before, entry->name);
		CHECK_EQ(entry->kind, strcmp(entry->name, "sub") == 0    ? SCOPE_FILE_DIRECTORY
				      : strcmp(entry->name, "link") == 0 ? SCOPE_FILE_LINK
				      : strcmp(entry->name, "new") == 0  ? SCOPE_FILE_REGULAR
									  : SCOPE_FILE_OTHER);
		snprintf(inside, sizeof inside, "%s/d/%s", place, entry->name);
		CHECK_EQ(scope_file_link_stat(inside, &about), 0);
		CHECK_EQ(about.kind, entry->kind);
	}
	CHECK_EQ(seen, 4);
	CHECK_EQ(scope_file_stat(at("d/link"), &about), -ENOENT); /* it leads nowhere */
	CHECK_EQ(scope_file_link_stat(at("d/link"), &about), 0);
	CHECK_EQ(about.size, strlen("nowhere"));
	CHECK(scope_dir_next(dir) == NULL);
	scope_dir_free(dir);
	/* Freed before its first entry, and at its last, which a leak checker sees. */
	CHECK_EQ(scope_dir_read(at("d"), &dir), 0);
	scope_dir_free(dir);
	CHECK_EQ(scope_dir_read(at("d"), &dir), 0);
	for (; seen > 0; seen--)
		CHECK(scope_dir_next(dir) != NULL);
	scope_dir_free(dir);
	CHECK_EQ(scope_file_remove(at("d")), -ENOTEMPTY);
	CHECK_EQ(scope_file_remove(at("d/sub")), 0);
	CHECK_EQ(scope_file_remove(at("d/link")), 0);
	CHECK_EQ(scope_file_remove(at("d/pipe")), 0);
	CHECK_EQ(scope_file_remove(at("d/new")), 0);
	return scope_file_remove(at("d"));
}

Test(file, a_directory_tells_what_is_in_it_enotempty)
{
	in_place(lists);
}

/* ---- what may go wrong --------------------------------------------------------------------- */

static int is_missing(void *arg)
{
	struct scope_file_stat about;
	struct scope_dir *dir;
	struct scope_file *f;

	(void)arg;
	CHECK_EQ(scope_file_open(at("x"), O_RDONLY, 0, &f), -ENOENT);
	CHECK_EQ(scope_file_stat(at("x"), &about), -ENOENT);
	CHECK_EQ(scope_file_link_stat(at("x"), &about), -ENOENT);
	CHECK_EQ(scope_dir_read(at("x"), &dir), -ENOENT);
	CHECK_EQ(scope_dir_make(at("x/y"), 0700), -ENOENT);
	CHECK_EQ(scope_file_remove(at("x")), -ENOENT);
	CHECK_EQ(scope_file_rename(at("x"), at("y")), -ENOENT);
	return 0;
}

Test(file, of_no_such_name_enoent)
{
	in_place(is_missing);
}

static int is_another(void *arg)
{
	struct scope_file_stat about;
	struct scope_dir *dir;
	struct scope_file *f;
	size_t done = 99;
	char byte;

	(void)arg;
	CHECK_EQ(scope_file_open(at("f"), O_WRONLY | O_CREAT, 0600, &f), 0);
	CHECK_EQ(scope_file_read_at(f, &byte, 1, 0, &done), -EBADF);
	CHECK_EQ(done, 0);
	CHECK_EQ(scope_file_read(f, &byte, 1, &done), -EBADF);
	scope_file_close(f);
	CHECK_EQ(scope_file_open(at("f"), O_RDONLY, 0, &f), 0);
	done = 99;
	CHECK_EQ(scope_file_write_at(f, "x", 1, 0, &done), -EBADF);
	CHECK_EQ(done, 0);
	scope_file_close(f);
	CHECK_EQ(scope_file_open(at("f"), O_RDONLY | O_CREAT | O_EXCL, 0600, &f), -EEXIST);
	CHECK_EQ(scope_dir_make(at("f"), 0700), -EEXIST);
	CHECK_EQ(scope_dir_read(at("f"), &dir), -ENOTDIR);
	CHECK_EQ(scope_file_stat(at("f/g"), &about), -ENOTDIR);
	CHECK_EQ(scope_file_link_stat(at("f/g"), &about), -ENOTDIR);
	CHECK_EQ(scope_file_open(place, O_WRONLY, 0, &f), -EISDIR);
	CHECK_EQ(scope_file_open(place, O_RDONLY | O_DIRECTORY, 0, &f), 0);
	CHECK_EQ(scope_file_read_at(f, &byte, 1, 0, &done), -EISDIR);
	scope_file_close(f);
	CHECK_EQ(mkfifo(at("p"), 0600), 0);
	CHECK_EQ(scope_file_open(at("p"), O_RDWR, 0, &f), -ESPIPE);
	/* Its other side is not waited for. */
	CHECK_EQ(scope_file_open(at("p"), O_RDONLY | O_NONBLOCK, 0, &f), -ESPIPE);
	CHECK_EQ(scope_file_open(at("p"), O_WRONLY | O_CREAT | O_NONBLOCK, 0600, &f), -ENXIO);
	CHECK_EQ(scope_file_remove(at("p")), 0);
	return scope_file_remove(at("f"));
}

Test(file, not_opened_for_that_ebadf)
{
	in_place(is_another);
}

Test(file, there_already_eexist)
{
	in_place(is_another);
}

Test(file, no_directory_enotdir)
{
	in_place(is_another);
}

Test(file, a_directory_eisdir)
{
	in_place(is_another);
}

Test(file, without_places_espipe)
{
	in_place(is_another);
}

/* Each call gives this; none has done anything. */
static void each_gives(struct scope_file *f, int want)
{
	struct scope_file_stat about = {.links = 77};
	struct scope_dir *dir = NULL;
	struct scope_file *none = NULL;
	char byte = 'u';
	size_t done;

	CHECK_EQ(scope_file_open(at("e"), O_RDONLY, 0, &none), want);
	CHECK_EQ(scope_file_open(at("new"), O_WRONLY | O_CREAT, 0600, &none), want);
	CHECK(none == NULL);
	CHECK_EQ(scope_file_read_at(f, &byte, 1, 0, &done), want);
	CHECK_EQ(scope_file_read(f, &byte, 1, &done), want);
	CHECK_EQ(byte, 'u');
	CHECK_EQ(scope_file_write_at(f, "x", 1, 0, &done), want);
	CHECK_EQ(scope_file_write(f, "x", 1, &done), want);
	CHECK_EQ(scope_file_sync(f), want);
	CHECK_EQ(scope_file_stat(at("e"), &about), want);
	CHECK_EQ(scope_file_link_stat(at("e"), &about), want);
	CHECK_EQ(about.links, 77);
	CHECK_EQ(scope_dir_make(at("new"), 0700), want);
	CHECK_EQ(scope_file_remove(at("e")), want);
	CHECK_EQ(scope_file_rename(at("e"), at("new")), want);
	CHECK_EQ(scope_dir_read(place, &dir), want);
	CHECK(dir == NULL);
}

static int cancelled(void *arg)
{
	struct scope_file *f;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_file_open(at("e"), O_RDWR | O_CREAT, 0600, &f), 0);
	scope_open(&s);
	scope_cancel(&s);
	each_gives(f, -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	scope_file_close(f);
	return scope_file_remove(at("e"));
}

Test(file, C1_in_a_cancelled_place_ecanceled)
{
	in_place(cancelled);
}

static int stopped(void *arg)
{
	struct scope_file *f;
	struct scope s;

	(void)arg;
	CHECK_EQ(scope_file_open(at("e"), O_RDWR | O_CREAT, 0600, &f), 0);
	scope_open(&s);
	scope_shutdown(&s, SCOPE_SEC);
	CHECK_EQ(scope_soft_begin(), 0);
	each_gives(f, -ESHUTDOWN);
	CHECK_EQ(scope_soft_end(), 0);
	CHECK_EQ(scope_close(&s), 0);
	scope_file_close(f);
	return scope_file_remove(at("e"));
}

Test(file, G2_in_a_soft_region_eshutdown)
{
	in_place(stopped);
}

static int wrong(void *arg)
{
	struct scope_file_stat about;
	struct scope_dir *dir;
	struct scope_file *f;
	size_t done;
	char byte;

	(void)arg;
	CHECK_EQ(scope_file_open(NULL, O_RDONLY, 0, &f), -EINVAL);
	CHECK_EQ(scope_file_open("/", O_RDONLY, 0, NULL), -EINVAL);
	CHECK_EQ(scope_file_open("/", O_RDONLY, 0, &f), 0);
	CHECK_EQ(scope_file_read_at(NULL, &byte, 1, 0, &done), -EINVAL);
	CHECK_EQ(scope_file_read_at(f, NULL, 1, 0, &done), -EINVAL);
	CHECK_EQ(scope_file_read_at(f, &byte, 1, 0, NULL), -EINVAL);
	CHECK_EQ(scope_file_read_at(f, &byte, 1, UINT64_MAX, &done), -EINVAL);
	CHECK_EQ(scope_file_read(NULL, &byte, 1, &done), -EINVAL);
	CHECK_EQ(scope_file_write_at(NULL, "x", 1, 0, &done), -EINVAL);
	CHECK_EQ(scope_file_write_at(f, NULL, 1, 0, &done), -EINVAL);
	CHECK_EQ(scope_file_write_at(f, "x", 1, INT64_MAX, &done), -EINVAL);
	CHECK_EQ(scope_file_write(NULL, "x", 1, &done), -EINVAL);
	CHECK_EQ(scope_file_sync(NULL), -EINVAL);
	CHECK_EQ(scope_file_fd(NULL), -EINVAL);
	CHECK_EQ(scope_file_stat(NULL, &about), -EINVAL);
	CHECK_EQ(scope_file_stat("/", NULL), -EINVAL);
	CHECK_EQ(scope_file_link_stat(NULL, &about), -EINVAL);
	CHECK_EQ(scope_file_link_stat("/", NULL), -EINVAL);
	CHECK_EQ(scope_dir_make(NULL, 0), -EINVAL);
	CHECK_EQ(scope_file_remove(NULL), -EINVAL);
	CHECK_EQ(scope_file_rename(NULL, "x"), -EINVAL);
	CHECK_EQ(scope_file_rename("x", NULL), -EINVAL);
	CHECK_EQ(scope_dir_read(NULL, &dir), -EINVAL);
	CHECK_EQ(scope_dir_read("/", NULL), -EINVAL);
	scope_file_close(f);
	return 0;
}

Test(file, arguments_einval)
{
	must_run(wrong, NULL);
}

Test(file, S2_outside_a_run_enotconn)
{
	strcpy(place, "/");
	checks_begin();
	each_gives(NULL, -ENOTCONN);
	checks_end();
}

/* ---- threads ------------------------------------------------------------------------------- */

/* How many threads of this process there are, and how many of them block a signal. */
static void threads_that_block(int signal, int *all, int *that_block)
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;

	*all = *that_block = 0;
	while ((entry = readdir(dir))) {
		char name[300], line[200];
		FILE *status;

		snprintf(name, sizeof name, "/proc/self/task/%s/status", entry->d_name);
		status = entry->d_name[0] == '.' ? NULL : fopen(name, "r");
		if (!status)
			continue;
		++*all;
		while (fgets(line, sizeof line, status))
			if (strncmp(line, "SigBlk:", 7) == 0)
				*that_block += strtoull(line + 7, NULL, 16) >> (signal - 1) & 1;
		fclose(status);
	}
	closedir(dir);
}

static int stats(void *arg)
{
	struct scope_file_stat about;
	int all, that_block;

	(void)arg;
	CHECK_EQ(scope_file_stat("/", &about), 0);
	threads_that_block(SIGUSR1, &all, &that_block);
	CHECK(all >= 4); /* of which libuv has some */
	CHECK_EQ(that_block, all - 1);
	return 0;
}

Test(file, signals_of_the_program_do_not_come_to_threads_of_libuv)
{
	cr_assert_eq(run_flags(stats, NULL, 1, 0), 0);
}

/* ---- abandoning ---------------------------------------------------------------------------- */

/* Opening a pipe waits until somebody opens its other side.  On a slow machine no thread may have
 * begun with it in time: then nobody reads. */
static int opens_in_vain(void *arg)
{
	int64_t patience_ns = 5 * SCOPE_MS;
	struct scope_file *f = NULL;
	struct scope s;
	int other;

	(void)arg;
	do {
		struct scope_options options = {.deadline_ns = scope_now() + patience_ns};

		CHECK_EQ(scope_open_with(&s, &options), 0);
		CHECK_EQ(scope_file_open(at("p"), O_RDONLY, 0, &f), -ECANCELED);
		CHECK(f == NULL);
		CHECK_EQ(scope_close(&s), -ETIMEDOUT);
		other = open(at("p"), O_WRONLY | O_NONBLOCK);
		patience_ns *= 2;
	} while (other < 0 && patience_ns < 20 * SCOPE_SEC);
	CHECK(other >= 0);
	close(other);
	return 0;
}

Test(file, N2_B2_a_cancelled_open_is_left_to_itself)
{
	int before;

	open_place();
	must_run(cancelled, NULL); /* libuv opens what stays open */
	cr_assert_eq(mkfifo(at("p"), 0600), 0);
	before = open_files();
	cr_assert_eq(run_flags(opens_in_vain, NULL, 0, 0), 0);
	cr_assert_eq(open_files(), before);
	cr_assert_eq(unlink(at("p")), 0);
	close_place();
}
