/* examples/scope-sum/slice.c: files of one directory, gathered, queued and hashed together.
 *
 * A task may give way at the close of its scope, so tasks that wait in a queue of the
 * runtime would be begun and put aside by the hundred, each with its directory open.  Hence
 * a queue of our own and runners: at most sum.runners_max slices are in work.
 */
#include "sum.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <scope_observe.h>

/* A runner ends when the queue is empty; who queues a slice sees under the same lock
 * whether another one is needed.  No checkpoint lies between lock and unlock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct slice *head, *tail; /* lock: first in, first out */
static int runners;               /* lock */

static int runner_task(void *unused);

struct dir as_given = {.given = true, .fd = -1, .path = ""};

size_t file_size(size_t length)
{
	return (offsetof(struct file, name) + length + 1 + 7) & ~(size_t)7;
}

struct file *slice_first(struct slice *s)
{
	return (struct file *)(s + 1);
}

struct file *file_next(struct file *f)
{
	return (struct file *)((char *)f + file_size(f->length));
}

void batch_start(struct batch *b, struct dir *dir)
{
	*b = (struct batch){.dir = dir};
}

static bool batch_reserve(struct batch *b, size_t more)
{
	size_t used = b->slice ? b->used : sizeof(struct slice);
	size_t room = b->room ? b->room : 512;

	while (room - used < more)
		room *= 2;
	if (b->slice && room == b->room)
		return true;
	struct slice *s = realloc(b->slice, room);
	if (!s)
		return false;
	if (!b->slice)
		*s = (struct slice){.dir = b->dir, .fd = AT_FDCWD};
	b->slice = s;
	b->used = used;
	b->room = room;
	return true;
}

/* False: no memory; the file is reported and left out. */
bool batch_add(struct batch *b, const char *name, size_t length)
{
	if (length > UINT32_MAX || !batch_reserve(b, file_size(length))) {
		note_errno(b->dir->path, name, ENOMEM);
		return false;
	}
	struct file *f = (struct file *)((char *)b->slice + b->used);
	f->length = (uint32_t)length;
	f->state = FILE_PENDING;
	memcpy(f->name, name, length);
	f->name[length] = '\0';
	b->used += file_size(length);
	atomic_fetch_add_explicit(&sum.files_seen, 1, memory_order_relaxed);
	if (++b->slice->count == SLICE_FILES)
		batch_send(b);
	return true;
}

static void enqueue(struct slice *s)
{
	bool more;

	pthread_mutex_lock(&lock);
	if (head)
		tail->queued = s;
	else
		head = s;
	tail = s;
	more = runners < sum.runners_max;
	runners += more;
	pthread_mutex_unlock(&lock);
	/* Refused: sum.hash reports it at its close. */
	if (more)
		scope_spawn(sum.hash, runner_task, NULL);
}

/* NULL: the runner is to end. */
static struct slice *dequeue(void)
{
	pthread_mutex_lock(&lock);
	struct slice *s = head;
	if (s)
		head = s->queued;
	else
		runners--;
	pthread_mutex_unlock(&lock);
	return s;
}

void batch_send(struct batch *b)
{
	struct slice *s = b->slice;

	if (!s)
		return;
	b->dir->used = true;
	struct slice *exact = realloc(s, b->used);
	if (exact)
		s = exact;
	struct file *f = slice_first(s);
	for (uint32_t i = 0; i < s->count; i++, f = file_next(f))
		f->slice = s;
	s->next = atomic_load_explicit(&sum.slices, memory_order_relaxed);
	while (!atomic_compare_exchange_weak(&sum.slices, &s->next, s))
		;
	enqueue(s);
	batch_start(b, b->dir);
}

/* 0 with s->fd open, or -errno.  The path was walked earlier: what lies there now must be
 * the directory that was listed. */
static int slice_open(struct slice *s)
{
	struct stat st;
	size_t length = s->dir->length;
	int fd = open_at(AT_FDCWD, s->dir->path, length > 1 ? length - 1 : length,
			 O_PATH | O_DIRECTORY | (s->dir->given ? 0 : O_NOFOLLOW));

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) || st.st_dev != s->dir->dev || st.st_ino != s->dir->ino) {
		close(fd);
		return -ESTALE;
	}
	s->fd = fd;
	return 0;
}

static void slice_fail(struct slice *s, int error)
{
	struct file *f = slice_first(s);

	for (uint32_t i = 0; i < s->count; i++, f = file_next(f)) {
		f->state = FILE_FAILED;
		note_errno(s->dir->path, f->name, error);
		atomic_fetch_add_explicit(&sum.files_done, 1, memory_order_relaxed);
	}
}

static void sample_stacks(void)
{
	struct scope_stats stats;

	if (scope_stats_get(&stats))
		return;
	uint64_t most = atomic_load_explicit(&sum.stacks_most, memory_order_relaxed);
	while (stats.stacks_live > most &&
	       !atomic_compare_exchange_weak(&sum.stacks_most, &most, stats.stacks_live))
		;
}

/* The directory stays open as long as a file task may need it: that is the scope. */
static int hash_slice(struct slice *s)
{
	struct scope files;

	if (sum.stats)
		sample_stacks();
	if (s->dir->length) {
		int rc = slice_open(s);
		if (rc == -ECANCELED)
			return 0;
		if (rc) {
			slice_fail(s, -rc);
			return 0;
		}
	}
	scope_open(&files);
	struct file *f = slice_first(s);
	for (uint32_t i = 0; i < s->count; i++, f = file_next(f))
		scope_spawn(&files, hash_task, f);
	int rc = scope_close(&files);
	if (s->fd >= 0)
		close(s->fd);
	return rc == -ECANCELED ? 0 : rc;
}

static int runner_task(void *unused)
{
	struct slice *s;
	int rc = 0;

	(void)unused;
	while (!rc && !scope_cancelled() && (s = dequeue()))
		rc = hash_slice(s);
	return rc;
}

/* Turns the list, which has the last slice first.  Once, after sum.hash was closed. */
struct slice *slices_in_order(void)
{
	struct slice *list = atomic_load(&sum.slices), *turned = NULL;

	while (list) {
		struct slice *next = list->next;

		list->next = turned;
		turned = list;
		list = next;
	}
	atomic_store(&sum.slices, turned);
	return turned;
}
