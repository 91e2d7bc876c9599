/* tests/sim/scn_file.c: operations of libuv that end while they are cancelled: N2, B2. */
#include "files.h"
#include "scn.h"

#include <fcntl.h>
#include <scope_file.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SIZE = 24 };

static char path[TEMPORARY_SIZE];
static int numbers; /* the lowest descriptor that was free */

static int lowest_free(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

static void make_file(void)
{
	int fd;

	temporary(path, "sim");
	fd = mkstemp(path);
	sim_check(fd >= 0 && write(fd, "012345678901234567890123", SIZE) == SIZE, "no file");
	close(fd);
}

/* Each call is made whole, or has left no trace in memory of the task. */
static int body_reads(struct job *job)
{
	char text[SIZE + 1] = "untouched";
	struct scope_file *file;
	size_t done = 7;
	int rc = scope_file_open(path, O_RDONLY, 0, &file);

	if (rc < 0)
		return rc;
	pause_randomly();
	rc = scope_file_read_at(file, text, SIZE, 0, &done);
	scope_file_close(file);
	pause_randomly();
	if (rc == 0)
		sim_check(done == SIZE && text[9] == '9', "%zu bytes were read", done);
	else
		sim_check(done == 0 && strcmp(text, "untouched") == 0, "a lost read wrote");
	(void)job;
	return rc;
}

static int body_writes(struct job *job)
{
	struct scope_file *file;
	size_t done = 7;
	int rc = scope_file_open(path, O_WRONLY | O_CREAT, 0600, &file);

	if (rc < 0)
		return rc;
	rc = scope_file_write_at(file, "0123456789", 10, 10, &done);
	sim_check(rc == 0 ? done == 10 : done == 0, "%zu bytes were written, and %d", done, rc);
	scope_file_close(file);
	(void)job;
	return rc;
}

static int body_asks(struct job *job)
{
	struct scope_file_stat about = {.links = 77};
	struct scope_dir *dir = NULL;
	int rc = scope_file_stat(path, &about);

	sim_check(about.links == (rc == 0 ? 1 : 77), "%d, and %d links", rc, (int)about.links);
	rc = scope_dir_read("/proc/self/fdinfo/none", &dir);
	sim_check(rc == -ECANCELED || rc == -ENOENT, "no directory gave %d", rc);
	(void)job;
	return rc == -ENOENT ? 0 : rc;
}

static int operations_against_cancel(void *arg)
{
	static int (*const body[])(struct job *) = {body_reads, body_writes, body_asks};
	struct job job[3];
	struct group g;
	unsigned i;
	int rc;

	(void)arg;
	group_open(&g);
	for (i = 0; i < 3; i++)
		group_spawn_with(&g, &job[i], body[i],
				 &(struct scope_spawn_options){.flags = SCOPE_CONCURRENT});
	pause_randomly();
	if (sim_random(2))
		scope_yield();
	if (sim_random(8))
		scope_cancel(&g.scope);
	rc = group_close(&g);
	sim_check(rc == 0, "close gave %d", rc);
	return 0;
}

/* Small stacks have no room for libuv's turns. */
static void run_files(void *arg)
{
	struct scope_config config = {.stack_size = (size_t)16 << 10 << sim_random(3),
				      .flags = SCOPE_NO_SIGNALS,
				      .workers = 1 + (unsigned)sim_random(2),
				      .orphan_grace_ns = SCOPE_NEVER};
	int rc;

	numbers = lowest_free();
	rc = scope_run(operations_against_cancel, arg, &config);
	sim_check(rc == 0, "scope_run gave %d", rc);
	sim_check(lowest_free() == numbers, "a descriptor is left open");
}

Test(sim, operations_of_libuv_end_while_they_are_cancelled)
{
	make_file();
	sim_explore("operations_of_libuv_end_while_they_are_cancelled", run_files, NULL);
	unlink(path);
}
