/* runtime/os/memory.c: address space and guard pages. */
#define _GNU_SOURCE
#include "base/atomic.h"
#include "os/linux.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* How this process makes guards; decided by the first one, atomic: all threads. */
enum { GUARD_UNKNOWN, GUARD_REGION, GUARD_MPROTECT };
static SC_WORD(unsigned) guard_way;

/* Mappings that mprotect guards took; atomic: all threads.  A guard splits its mapping, so
 * it costs itself and the part below. */
enum { MAPPINGS_PER_GUARD = 2 };
static SC_WORD(unsigned) mappings;

void *sc_linux_reserve(size_t size)
{
	void *memory = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			    0);

	if (memory == MAP_FAILED)
		return NULL;
	/* One touched page of a stack must not make 2 MiB resident.  EINVAL: a kernel
	 * without huge pages. */
	madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

int sc_linux_commit(void *memory, size_t size)
{
	return mprotect(memory, size, PROT_READ | PROT_WRITE) ? -errno : 0;
}

void sc_linux_discard(void *memory, size_t size)
{
	madvise(memory, size, MADV_DONTNEED);
}

void sc_linux_release(void *memory, size_t size)
{
	munmap(memory, size);
}

/* Half of what the kernel allows; the rest is the program's. */
static unsigned mapping_budget(void)
{
	static SC_WORD(unsigned) budget; /* all threads, the same value */
	unsigned limit = at_load_rlx(&budget);
	FILE *file;

	if (limit)
		return limit;
	limit = 65530; /* the kernel's default */
	file = fopen("/proc/sys/vm/max_map_count", "re");
	if (file) {
		if (fscanf(file, "%u", &limit) != 1)
			limit = 65530;
		fclose(file);
	}
	limit = limit / 2 + 1;
	at_store_rlx(&budget, limit);
	return limit;
}

static int guard_by_mprotect(void *memory, size_t size)
{
	int error = -ENOMEM;

	if (at_add_rlx(&mappings, MAPPINGS_PER_GUARD) + MAPPINGS_PER_GUARD <= mapping_budget())
		error = mprotect(memory, size, PROT_NONE) ? -errno : 0;
	if (error)
		at_sub_rlx(&mappings, MAPPINGS_PER_GUARD);
	return error;
}

/* Emulators accept advice that they do not know and do nothing.  A real guard can't be
 * populated. */
static int is_guarded(void *memory, size_t size)
{
	return madvise(memory, size, MADV_POPULATE_READ) == -1 && errno == EFAULT;
}

int sc_linux_guard(void *memory, size_t size)
{
	unsigned way = at_load_rlx(&guard_way);
	int error = 0;

	if (way == GUARD_MPROTECT)
		return guard_by_mprotect(memory, size);
	if (madvise(memory, size, MADV_GUARD_INSTALL))
		error = -errno;
	if (way == GUARD_REGION)
		return error;
	if (!error && is_guarded(memory, size)) {
		at_store_rlx(&guard_way, GUARD_REGION);
		return 0;
	}
	if (error == -ENOMEM)
		return error;
	/* Threads that decide at the same time see the same kernel and decide the same. */
	at_store_rlx(&guard_way, GUARD_MPROTECT);
	return guard_by_mprotect(memory, size);
}

void sc_linux_unguard(unsigned count)
{
	if (at_load_rlx(&guard_way) == GUARD_MPROTECT)
		at_sub_rlx(&mappings, count * MAPPINGS_PER_GUARD);
}
