/* tests/unit/test_file.c: reads that wait for the disk, by a system that does so: rules N2, B2. */
#define _GNU_SOURCE
#include "api/task_check.h"

#include "os/os.h"
#include <fcntl.h>
#include <scope_file.h>
#include <scope_watch.h>
#include <string.h>
#include <unistd.h>

TestSuite(file, .timeout = 60);

static struct {
	int go[2];  /* a read goes on when it has got a byte */
	int begun[2]; /* and tells so before */
	int fd;     /* of the file that is read */
	atomic_int closed;
} disk;

static int64_t read_slowly(int fd, void *buffer, size_t size, uint64_t offset, int at_once)
{
	char byte;

	(void)offset;
	if (at_once)
		return -EAGAIN;
	CHECK_EQ(write(disk.begun[1], "b", 1), 1);
	CHECK_EQ(read(disk.go[0], &byte, 1), 1);
	CHECK_EQ(fd, disk.fd);
	CHECK_EQ(disk.closed, 0);
	memset(buffer, 'n', size);
	return (int64_t)size;
}

static void note_close(int fd)
{
	if (fd == disk.fd)
		disk.closed++;
	sc_os_system.close(fd);
}

static void with_slow_disk(scope_task_fn *fn)
{
	cr_assert_eq(pipe(disk.go), 0);
	cr_assert_eq(pipe(disk.begun), 0);
	disk.closed = 0;
	sc_os.read_at = read_slowly;
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
	CHECK_EQ(write(disk.go[1], "gg", 2), 2);
	CHECK_EQ(scope_file_read(f, text, 3, &done), 0);
	CHECK_EQ(done, 3);
	CHECK_EQ(scope_file_read_at(f, text + 3, 2, 7, &done), 0);
	CHECK(strcmp(text, "nnnnn") == 0);
	scope_file_close(f);
	return 0;
}

Test(file, what_is_not_in_memory_is_read_by_a_thread)
{
	with_slow_disk(reads);
}

static int cancels_when_begun(void *arg)
{
	char byte;

	CHECK_EQ(read(disk.begun[0], &byte, 1), 1);
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
	scope_open(&other);
	scope_open(&s);
	CHECK_EQ(scope_spawn_with(&other, cancels_when_begun, &s, &concurrent), 0);
	CHECK_EQ(scope_file_read(f, text, 7, &done), -ECANCELED);
	CHECK_EQ(done, 0);
	CHECK_EQ(scope_close(&s), 0);
	CHECK_EQ(scope_close(&other), 0);
	scope_file_close(f); /* the read that goes on needs the descriptor */
	CHECK_EQ(disk.closed, 0);
	CHECK_EQ(write(disk.go[1], "g", 1), 1);
	while (!disk.closed)
		CHECK_EQ(scope_sleep_for(SCOPE_MS), 0);
	CHECK(strcmp(text, "intact!") == 0);
	return 0;
}

Test(file, N2_B2_a_cancelled_read_never_touches_the_buffer_and_keeps_the_file_open)
{
	with_slow_disk(reads_in_vain);
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
	int least, rc;
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
		rc = scope_dir_read("/proc/self", &dir);
	}
	CHECK_EQ(rc, 0);
	CHECK(least > 10);
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
