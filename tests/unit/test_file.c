/* tests/unit/test_file.c: reads that wait for the disk, by a system that does so: rules N2, B2. */
#define _GNU_SOURCE
#include "api/task_check.h"

#include "os/os.h"
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <pty.h>
#include <scope_file.h>
#include <scope_terminal.h>
#include <scope_watch.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

TestSuite(file, .timeout = 60);

/* ---- the disk ------------------------------------------------------------------------------ */

static int64_t not_in_memory(int fd, void *buffer, size_t size, uint64_t offset)
{
	(void)fd;
	(void)buffer;
	(void)size;
	(void)offset;
	return -EAGAIN;
}

static struct {
	int fd; /* of the file that is read */
	atomic_int closed;
} disk;

static void note_close(int fd)
{
	if (fd == disk.fd)
		disk.closed++;
	sc_os_system.close(fd);
}

static void with_slow_disk(scope_task_fn *fn)
{
	disk.closed = 0;
	sc_os.read_now = not_in_memory;
	sc_os.close = note_close;
	cr_assert_eq(run_flags(fn, NULL, 0, 0), 0);
	cr_assert_eq(disk.closed, 1);
	sc_os = sc_os_system;
}

static int reads(void *arg)
{
	struct scope_file *f;
	char text[8] = "";
	size_t done;

	(void)arg;
	CHECK_EQ(scope_file_open("/proc/self/exe", O_RDONLY, 0, &f), 0);
	disk.fd = scope_file_fd(f);
	CHECK_EQ(scope_file_read(f, text, 4, &done), 0);
	CHECK_EQ(done, 4);
	CHECK_EQ(scope_file_read_at(f, text + 4, 2, 2, &done), 0);
	CHECK(strcmp(text, "\177ELFLF") == 0);
	scope_file_close(f);
	return 0;
}

Test(file, what_is_not_in_memory_is_read_by_a_thread)
{
	with_slow_disk(reads);
}

/* Each thread of libuv's pool has something to do until it is let go. */
enum { THREADS = 4 };
static struct {
	uv_loop_t loop;
	uv_work_t work[THREADS];
	int go[2];
	atomic_int begun;
} pool;

static void waits(uv_work_t *work)
{
	char byte;

	(void)work;
	pool.begun++;
	CHECK_EQ(read(pool.go[0], &byte, 1), 1);
}

static void has_ended(uv_work_t *work, int status)
{
	(void)work;
	CHECK_EQ(status, 0);
}

static void keep_threads(void)
{
	int i;

	CHECK_EQ(pipe(pool.go), 0);
	CHECK_EQ(uv_loop_init(&pool.loop), 0);
	for (i = 0; i < THREADS; i++)
		CHECK_EQ(uv_queue_work(&pool.loop, &pool.work[i], waits, has_ended), 0);
	while (pool.begun < THREADS)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
}

static void let_threads_go(void)
{
	CHECK_EQ(write(pool.go[1], "....", THREADS), THREADS);
	CHECK_EQ(uv_run(&pool.loop, UV_RUN_DEFAULT), 0);
	CHECK_EQ(uv_loop_close(&pool.loop), 0);
	close(pool.go[0]);
	close(pool.go[1]);
}

static int cancels_soon(void *arg)
{
	CHECK_EQ(scope_sleep_for(5 * SCOPE_MS), 0);
	scope_cancel(arg);
	return 0;
}

static int reads_in_vain(void *arg)
{
	struct scope_file *f;
	char text[8] = "intact!";
	struct scope s, other;
	size_t done = 99;

	(void)arg;
	CHECK_EQ(scope_file_open("/proc/self/exe", O_RDONLY, 0, &f), 0);
	disk.fd = scope_file_fd(f);
	keep_threads();
	scope_open(&other);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&other, cancels_soon, &s, &concurrent), 0);
	CHECK_EQ(scope_file_read(f, text, 7, &done), -ECANCELED);
	CHECK_EQ(done, 0);
	/* What would change something is told to have done nothing. */
	CHECK_EQ(scope_file_write(f, "x", 1, NULL), -ECANCELED);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&other), 0);
	let_threads_go();
	scope_file_close(f); /* now, or by the read that was given up */
	while (!disk.closed)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK(strcmp(text, "intact!") == 0);
	return 0;
}

Test(file, N2_B2_a_cancelled_read_never_touches_the_buffer_and_keeps_the_file_open)
{
	with_slow_disk(reads_in_vain);
}

static int makes_a_directory(void *arg)
{
	struct scope_options options = {.deadline_ns = scope_now() + 5 * SCOPE_MS};
	struct scope s;

	(void)arg;
	keep_threads();
	CHECK_EQ(scope_open_with(&s, &options), 0);
	CHECK_EQ(scope_dir_make("/proc/no such place", 0700), -ECANCELED);
	CHECK_EQ(scope_close(&s), -ETIMEDOUT);
	let_threads_go();
	return 0;
}

Test(file, N2_what_has_not_begun_is_taken_back)
{
	cr_assert_eq(run_flags(makes_a_directory, NULL, 0, 0), 0);
}

/* ---- memory -------------------------------------------------------------------------------- */

static atomic_int allocs_left;

static void *alloc(size_t size)
{
	return allocs_left-- > 0 ? sc_os_system.alloc(size) : NULL;
}

/* Each call with so few pieces of memory that it can't be made, then one more, and so on. */
static int has_little_memory(void *arg)
{
	struct scope_file_stat about;
	struct scope_watch *w;
	struct scope_dir *dir;
	struct scope_file *f;
	struct scope_terminal *t;
	int least, rc, screen, fd;
	size_t done;
	char byte;

	(void)arg;
	CHECK_EQ(scope_file_stat("/", &about), 0); /* starts what stays */
	for (least = 0, rc = -ENOMEM; rc == -ENOMEM; least++) {
		allocs_left = least;
		rc = scope_file_stat("/", &about);
	}
	CHECK_EQ(rc, 0);
	CHECK(least > 1);
	for (least = 0, rc = -ENOMEM; rc == -ENOMEM; least++) {
		allocs_left = least;
		rc = scope_file_link_stat("/", &about);
	}
	CHECK_EQ(rc, 0);
	CHECK(least > 1);
	for (least = 0, rc = -ENOMEM; rc == -ENOMEM; least++) {
		allocs_left = least;
		rc = scope_dir_read("/proc/self", &dir);
	}
	CHECK_EQ(rc, 0);
	CHECK(least > 1);
	scope_dir_free(dir);
	for (least = 0, rc = -ENOMEM; rc == -ENOMEM; least++) {
		allocs_left = least;
		rc = scope_file_open("/proc/self", O_RDONLY, 0, &f);
	}
	CHECK_EQ(rc, 0);
	CHECK(least > 2);
	/* The system can't tell at once that it is a directory. */
	allocs_left = 0;
	CHECK_EQ(scope_file_read_at(f, &byte, 1, 0, &done), -ENOMEM);
	CHECK_EQ(scope_file_read(f, &byte, 1, &done), -ENOMEM);
	CHECK_EQ(scope_watch_open("/", &w), -ENOMEM);
	CHECK_EQ(openpty(&screen, &fd, NULL, NULL, NULL), 0);
	CHECK_EQ(scope_terminal_open(fd, &t), -ENOMEM);
	close(screen);
	close(fd);
	allocs_left = INT32_MAX;
	scope_file_close(f);
	return 0;
}

Test(file, without_memory_enomem)
{
	allocs_left = INT32_MAX;
	sc_os.alloc = alloc;
	cr_assert_eq(run_flags(has_little_memory, NULL, 1, 0), 0);
	sc_os = sc_os_system;
}

/* ---- a file system without kinds ----------------------------------------------------------- */

static int tells_no_kinds;

/* In place of the C library's, for libuv. */
int scandir64(const char *path, struct dirent64 ***list, int (*wanted)(const struct dirent64 *),
	      int (*order)(const struct dirent64 **, const struct dirent64 **))
{
	static int (*real)(const char *, struct dirent64 ***, int (*)(const struct dirent64 *),
			   int (*)(const struct dirent64 **, const struct dirent64 **));
	int count, i;

	*(void **)&real = dlsym(RTLD_NEXT, "scandir64");
	count = real(path, list, wanted, order);
	for (i = 0; tells_no_kinds && i < count; i++)
		(*list)[i]->d_type = DT_UNKNOWN;
	return count;
}

static int lists(void *arg)
{
	const struct scope_dir_entry *entry;
	struct scope_file_stat about;
	struct scope_dir *dir;
	int entries = 0;

	(void)arg;
	CHECK_EQ(scope_dir_read("/proc/self/ns", &dir), 0);
	while ((entry = scope_dir_next(dir))) {
		CHECK_EQ(entry->kind, tells_no_kinds ? SCOPE_FILE_UNKNOWN : SCOPE_FILE_LINK);
		entries++;
	}
	CHECK(entries > 0);
	scope_dir_free(dir);
	CHECK_EQ(scope_file_link_stat("/proc/self/ns/pid", &about), 0);
	CHECK_EQ(about.kind, SCOPE_FILE_LINK);
	return 0;
}

Test(file, kinds_of_entries_that_the_file_system_does_not_tell_are_unknown)
{
	must_run(lists, NULL);
	tells_no_kinds = 1;
	must_run(lists, NULL);
	tells_no_kinds = 0;
}
