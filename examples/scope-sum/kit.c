/* examples/scope-sum/kit.c: digest contexts with buffers, and opening and waiting. */
#include "sum.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Idle kits.  The processor number only picks where to look first: a task may have moved
 * to another thread by the time it gives its kit back, and nothing depends on it.
 * Bound: one kit a slot; what finds no free slot is freed. */
enum { SLOTS = 16 };
static struct {
	alignas(64) _Atomic(struct kit *) kit;
} slots[SLOTS];

static EVP_MD *sha256; /* looked up once: a lookup per file costs more than a small file */

int kit_init(void)
{
	sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	return sha256 ? 0 : -ENOMEM;
}

static void kit_free(struct kit *k)
{
	EVP_MD_CTX_free(k->context);
	free(k->buffer);
	free(k);
}

static struct kit *kit_new(void)
{
	struct kit *k = calloc(1, sizeof(*k));

	if (!k)
		return NULL;
	k->context = EVP_MD_CTX_new();
	k->buffer = aligned_alloc(4096, READ_SIZE);
	if (k->context && k->buffer)
		return k;
	kit_free(k);
	return NULL;
}

static unsigned first_slot(void)
{
	int cpu = sched_getcpu();

	return cpu < 0 ? 0 : (unsigned)cpu;
}

/* The context is ready for a new SHA-256. */
struct kit *kit_take(void)
{
	unsigned first = first_slot();
	struct kit *k = NULL;

	for (unsigned i = 0; i < SLOTS && !k; i++) {
		_Atomic(struct kit *) *slot = &slots[(first + i) % SLOTS].kit;

		if (atomic_load_explicit(slot, memory_order_relaxed))
			k = atomic_exchange(slot, NULL);
	}
	if (!k)
		k = kit_new();
	if (k && EVP_DigestInit_ex2(k->context, sha256, NULL) != 1) {
		kit_free(k);
		k = NULL;
	}
	return k;
}

void kit_give(struct kit *k)
{
	unsigned first = first_slot();

	for (unsigned i = 0; i < SLOTS; i++) {
		struct kit *none = NULL;

		if (atomic_compare_exchange_strong(&slots[(first + i) % SLOTS].kit, &none, k))
			return;
	}
	kit_free(k);
}

/* Out of descriptors is a state that passes: the other tasks close theirs. */
static int open_patiently(int at, const char *path, int flags)
{
	for (int tries = 0;; tries++) {
		int fd = openat(at, path, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
		if (fd >= 0)
			return fd;
		int error = errno;
		if ((error != EMFILE && error != ENFILE) || tries == 500)
			return -error;
		int rc = scope_sleep_for(2 * SCOPE_MS);
		if (rc)
			return rc;
	}
}

/* A path may be longer than the kernel takes: then it is opened piece by piece.  `flags`
 * count for the last piece.  O_NONBLOCK is set, so that a FIFO can't block the open. */
int open_at(int at, const char *path, size_t length, int flags)
{
	char piece[PATH_MAX];
	int base = at;

	for (;;) {
		size_t take = length, skip = length;
		bool last = length < sizeof(piece);

		if (!last) {
			const char *slash = memrchr(path, '/', sizeof(piece) - 1);
			if (!slash || slash == path)
				break;
			take = (size_t)(slash - path);
			for (skip = take; skip < length && path[skip] == '/'; skip++)
				;
		}
		memcpy(piece, path, take);
		piece[take] = '\0';
		int fd = open_patiently(base, piece, last ? flags : O_PATH | O_DIRECTORY);
		if (base != at)
			close(base);
		if (fd < 0 || last)
			return fd;
		base = fd;
		path += skip;
		length -= skip;
	}
	if (base != at)
		close(base);
	return -ENAMETOOLONG;
}

/* Cancelled only if it would have had to wait on. */
int wait_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};

	while (poll(&p, 1, 10) == 0) {
		if (scope_checkpoint())
			return -ECANCELED;
	}
	return 0;
}
