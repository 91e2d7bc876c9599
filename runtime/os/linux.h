/* runtime/os/linux.h: entries of the real table that live in files of their own. */
#ifndef SC_OS_LINUX_H
#define SC_OS_LINUX_H

#include "base/base.h"

/* os/memory.c; the contracts are those of struct sc_os. */
void *sc_linux_reserve(size_t size);
int sc_linux_commit(void *memory, size_t size);
void sc_linux_discard(void *memory, size_t size);
void sc_linux_release(void *memory, size_t size);
int sc_linux_guard(void *memory, size_t size);
void sc_linux_unguard(unsigned count);

#endif
