/* examples/scope-httpd/cache.c: open files, the small ones in memory.
 *
 * A file that was looked at less than a second ago is taken to be what it was: a request for it
 * costs no system call.  A full cache gives up a file of whatever bucket is next.
 */
#define _GNU_SOURCE
#include "httpd.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRESH_NS SCOPE_SEC

/* ---- the root -------------------------------------------------------------------------------- */

int cache_open_at(const struct cache *cache, const char *path)
{
	/* The kernel sees to it that no link and no race leads out of the root: with EAGAIN, if
	 * something on the way is moved just then.  So does one of a file that another program has
	 * a lease of, for as long as that keeps it. */
	enum { TRIES = 16 };
	struct open_how how = {.flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	int tries = 0;
	long fd;

	do
		fd = syscall(SYS_openat2, cache->root, *path ? path : ".", &how, sizeof how);
	while (fd < 0 && (errno == EINTR || (errno == EAGAIN && ++tries < TRIES)));
	return fd < 0 ? -errno : (int)fd;
}

int cache_open(struct cache *cache, const char *root, unsigned most)
{
	int fd;

	cache->most = most > 0 ? most : 1;
	cache->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cache->root < 0)
		return -errno;
	fd = cache_open_at(cache, "");
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

/* ---- a file ---------------------------------------------------------------------------------- */

static void file_free(struct file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	free((char *)file->body);
	free(file);
}

void cache_put(struct file *file)
{
	if (atomic_fetch_sub(&file->users, 1) == 1)
		file_free(file);
}

/* A file that is being written may end earlier: then it is sent as it is then. */
static int read_body(struct file *file)
{
	size_t size = (size_t)file->stat.st_size;
	char *body = malloc(size + 1);
	ssize_t n;

	if (!body)
		return -ENOMEM;
	n = pread(file->fd, body, size, 0);
	if (n < 0) {
		free(body);
		return -errno;
	}
	file->stat.st_size = n;
	file->body = body;
	close(file->fd);
	file->fd = -1;
	return 0;
}

static void describe(struct file *file)
{
	const struct stat *st = &file->stat;

	date_write(st->st_mtim.tv_sec, file->modified);
	snprintf(file->etag, sizeof file->etag, "\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "\"",
		 (uint64_t)st->st_ino, (uint64_t)st->st_size,
		 (uint64_t)st->st_mtim.tv_sec * 1000000000 + (uint64_t)st->st_mtim.tv_nsec);
	file->head_size = (size_t)snprintf(file->head, sizeof file->head,
					   "Last-Modified: %s\r\nETag: %s\r\n"
					   "Accept-Ranges: bytes\r\nContent-Type: %s\r\n",
					   file->modified, file->etag, mime_type(file->path));
}

static int file_open(const struct cache *cache, const char *path, uint64_t hash,
		     struct file **out_file)
{
	size_t size = strlen(path) + 1;
	struct file *file = malloc(sizeof *file + size);
	int rc;

	if (!file)
		return -ENOMEM;
	memset(file, 0, sizeof *file);
	memcpy(file->path, path, size);
	file->hash = hash;
	file->users = 1;
	file->fd = rc = cache_open_at(cache, path);
	if (rc >= 0 && fstat(file->fd, &file->stat) < 0)
		rc = -errno;
	if (rc >= 0 && S_ISDIR(file->stat.st_mode))
		rc = -EISDIR;
	if (rc >= 0 && !S_ISREG(file->stat.st_mode))
		rc = -EACCES;
	if (rc >= 0 && file->stat.st_size <= BODY_SMALL)
		rc = read_body(file);
	if (rc < 0) {
		file_free(file);
		return rc;
	}
	describe(file);
	*out_file = file;
	return 0;
}

static bool is_same(const struct file *one, const struct file *other)
{
	const struct stat *a = &one->stat, *b = &other->stat;

	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* ---- the cache ------------------------------------------------------------------------------- */

uint64_t hash_of(const char *path)
{
	uint64_t hash = 0xcbf29ce484222325;

	for (; *path; path++)
		hash = (hash ^ (unsigned char)*path) * 0x100000001b3;
	return hash ^ hash >> 32;
}

/* Where the file of that path hangs, or would: the caller holds the lock. */
static struct file **find(struct cache *cache, const char *path, uint64_t hash)
{
	struct file **at = &cache->bucket[hash % CACHE_BUCKETS];

	while (*at && ((*at)->hash != hash || strcmp((*at)->path, path) != 0))
		at = &(*at)->next;
	return at;
}

/* Takes the file out; the lock is held.  What is returned is to be put back without it. */
static struct file *take_out(struct cache *cache, struct file **at)
{
	struct file *file = *at;

	if (file) {
		*at = file->next;
		cache->count--;
	}
	return file;
}

static struct file *make_room(struct cache *cache)
{
	if (cache->count < cache->most)
		return NULL;
	while (!cache->bucket[cache->hand % CACHE_BUCKETS])
		cache->hand++;
	return take_out(cache, &cache->bucket[cache->hand++ % CACHE_BUCKETS]);
}

/* In the place of what there is of that path. */
static void put_in(struct cache *cache, struct file *file)
{
	struct file *old, *other, **at;

	atomic_fetch_add(&file->users, 1);
	pthread_mutex_lock(&cache->lock);
	old = take_out(cache, find(cache, file->path, file->hash));
	other = make_room(cache);
	at = &cache->bucket[file->hash % CACHE_BUCKETS];
	file->next = *at;
	*at = file;
	cache->count++;
	pthread_mutex_unlock(&cache->lock);
	if (old)
		cache_put(old);
	if (other)
		cache_put(other);
}

/* It is not there any more. */
static void forget(struct cache *cache, const char *path, uint64_t hash)
{
	struct file *old;

	pthread_mutex_lock(&cache->lock);
	old = take_out(cache, find(cache, path, hash));
	pthread_mutex_unlock(&cache->lock);
	if (old)
		cache_put(old);
}

int cache_get(struct cache *cache, const char *path, struct file **out_file)
{
	uint64_t hash = hash_of(path);
	int64_t now = scope_now();
	struct file *old, *file = NULL;
	int rc;

	pthread_mutex_lock(&cache->lock);
	old = *find(cache, path, hash);
	if (old)
		atomic_fetch_add(&old->users, 1);
	pthread_mutex_unlock(&cache->lock);
	if (old && now - atomic_load_explicit(&old->checked_ns, memory_order_relaxed) < FRESH_NS) {
		*out_file = old;
		return 0;
	}
	rc = file_open(cache, path, hash, &file);
	if (rc == 0 && old && is_same(old, file)) {
		atomic_store_explicit(&old->checked_ns, now, memory_order_relaxed);
		cache_put(file);
		*out_file = old;
		return 0;
	}
	if (old) {
		cache_put(old);
		if (rc < 0)
			forget(cache, path, hash);
	}
	if (rc < 0)
		return rc;
	atomic_store_explicit(&file->checked_ns, now, memory_order_relaxed);
	put_in(cache, file);
	*out_file = file;
	return 0;
}

void cache_close(struct cache *cache)
{
	int i;

	for (i = 0; i < CACHE_BUCKETS; i++)
		while (cache->bucket[i])
			cache_put(take_out(cache, &cache->bucket[i]));
	if (cache->root >= 0)
		close(cache->root);
}
