/* runtime/os/linux.h: entries of the real table that live in files of their own. */
#ifndef SC_OS_LINUX_H
#define SC_OS_LINUX_H

#include "os/os.h"

/* os/memory.c; the contracts are those of struct sc_os. */
void *sc_linux_reserve(size_t size);
int sc_linux_commit(void *memory, size_t size);
void sc_linux_discard(void *memory, size_t size);
void sc_linux_release(void *memory, size_t size);
int sc_linux_guard(void *memory, size_t size);
void sc_linux_unguard(unsigned count);

/* os/poll.c */
int sc_linux_poll_open(void);
void sc_linux_poll_close(void);
int sc_linux_poll_watch(int fd, enum sc_watch how, unsigned events, uint64_t tag);
void sc_linux_poll_forget(int fd);
unsigned sc_linux_poll_wait(struct sc_event *out, unsigned most, int64_t deadline);
void sc_linux_poll_wake(void);

/* os/file.c */
int64_t sc_linux_read_now(int fd, void *buffer, size_t size, uint64_t offset);

/* os/socket.c */
int64_t sc_linux_recv(int fd, void *buffer, size_t size);
int64_t sc_linux_send(int fd, const void *data, size_t size);
int64_t sc_linux_send_file(int fd, int file, int64_t offset, size_t size);
int sc_linux_accept(int fd);
int sc_linux_ready(int fd, unsigned events);
void sc_linux_close(int fd);
int sc_linux_connect(const struct sc_address *address, int *out_fd);

#endif
