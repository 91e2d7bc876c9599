/* runtime/os/os.h: everything that the runtime asks of the operating system.
 *
 * All of it goes through one table, so that the simulation and the fault tests can
 * replace it before scope_run.  errno becomes a negative result here and nowhere else.
 *
 * Memory order
 *   [os.where]  store_rel(state) of a question -> load_acq of the handler; its store_rel(state)
 *               after the answer -> load_acq of who asks.  Who gives up and who answers decide by
 *               a cas_rlx which of them it is
 */
#ifndef SC_OS_OS_H
#define SC_OS_OS_H

#include "base/atomic.h"

struct sc_thread {
	SC_PLAIN(uintptr_t) handle; /* pthread_t */
};

/* What a descriptor is ready for; the values are those of poll(2). */
enum {
	SC_EVENT_IN = 0x1,
	SC_EVENT_PRI = 0x2,
	SC_EVENT_OUT = 0x4,
	SC_EVENT_ERR = 0x8,  /* told unasked, like the next */
	SC_EVENT_HUP = 0x10,
	SC_EVENT_RDHUP = 0x2000,
	SC_EVENTS = 256 /* most at once */
};

struct sc_event {
	uint64_t tag;
	unsigned events;
};

/* Told at each edge, from now on or with a new tag or other events, which tells what is ready
 * again; or told once, whether it is watched already or not. */
enum sc_watch { SC_WATCH_NEW, SC_WATCH_CHANGE, SC_WATCH_ONCE };

/* Of a socket. */
struct sc_address {
	uint32_t size; /* of what the kernel takes for an address */
	uint32_t pad;
	uint64_t bytes[14];
};

struct sc_os {
	/* heap */
	void *(*alloc)(size_t size);   /* NULL without memory */
	void (*free)(void *memory);    /* NULL is allowed */

	/* address space */
	void *(*reserve)(size_t size); /* PROT_NONE, NORESERVE, never huge pages; NULL: no space */
	int (*commit)(void *memory, size_t size);  /* make it read-write, lazily filled with 0 */
	void (*discard)(void *memory, size_t size); /* give the pages back, keep it read-write */
	void (*release)(void *memory, size_t size); /* unmap */
	/* Make a committed range of pages fault: guard regions where the kernel has them (no
	 * mapping used), else mprotect within a budget of half of vm.max_map_count.  The first
	 * guard of the process decides which.  -ENOMEM: no more guards can be had; -EINVAL:
	 * memory was locked after that decision. */
	int (*guard)(void *memory, size_t size);
	/* So many guards are about to be released with their memory. */
	void (*unguard)(unsigned count);

	/* time */
	int64_t (*now)(void); /* CLOCK_MONOTONIC, ns */

	/* threads; start: 0, -EAGAIN, -ENOMEM.  The thread starts with all signals blocked
	 * but the synchronous ones and `sc_os_expose_signal()`. */
	int (*thread_start)(struct sc_thread *thread, void (*entry)(void *), void *arg);
	void (*thread_join)(struct sc_thread *thread);
	struct sc_thread (*thread_self)(void);
	/* Runs the handler given to sc_os_expose_install on that thread, soon. */
	void (*thread_signal)(struct sc_thread thread);

	/* Blocks while *word == expected, at most until deadline (monotonic ns, INT64_MAX:
	 * no limit).  May return early for no reason. */
	void (*wait)(const SC_WORD(uint32_t) *word, uint32_t expected, int64_t deadline);
	void (*wake)(const SC_WORD(uint32_t) *word, int count);
	/* One turn of a spin loop: pause, and from the 64th turn on give the CPU away. */
	void (*relax)(unsigned turn);

	/* A seed from the system's source of randomness. */
	uint64_t (*random)(void);

	/* Descriptors that do not block.  recv: bytes, 0: the end, -EAGAIN, -errno.  send: bytes,
	 * without SIGPIPE.  accept: a descriptor that does not block.  ready: which of the events
	 * (and ERR, HUP) a descriptor has now, -EBADF. */
	int64_t (*recv)(int fd, void *buffer, size_t size);
	int64_t (*send)(int fd, const void *data, size_t size);
	/* Of a file from an offset on: bytes, 0: it has ended there. */
	int64_t (*send_file)(int fd, int file, int64_t offset, size_t size);
	int (*accept)(int fd);
	int (*ready)(int fd, unsigned events);
	/* A new one: 0, -errno; -EINPROGRESS: *out_fd is there too, its connection on its way. */
	int (*connect)(const struct sc_address *address, int *out_fd);
	void (*close)(int fd);
	/* Of a file, from an offset on: -EAGAIN instead of waiting for the disk. */
	int64_t (*read_now)(int fd, void *buffer, size_t size, uint64_t offset);
	/* The set of watched descriptors, one for the process.
	 * open: 0, -EMFILE, -ENFILE, -ENOMEM. */
	int (*poll_open)(void);
	void (*poll_close)(void);
	/* 0, or 1 if ONCE found it not watched; -EBADF, -EPERM: always ready, -ENOMEM, -ENOSPC. */
	int (*poll_watch)(int fd, enum sc_watch how, unsigned events, uint64_t tag);
	void (*poll_forget)(int fd);
	/* What became ready, at most `most` <= SC_EVENTS; waits for it until deadline (0: not at
	 * all) or until woken, and may return early for no reason.  One thread at a time waits,
	 * others may look.  A wake before the wait ends the next one.  Waiting with `most` 0 leaves
	 * what became ready to the next call: 1 if there may be something. */
	unsigned (*poll_wait)(struct sc_event *out, unsigned most, int64_t deadline);
	void (*poll_wake)(void);
};

extern struct sc_os sc_os;          /* the table in force */
extern const struct sc_os sc_os_system; /* the real one */

/* The processors that affinity and the cgroup v2 CPU quota (rounded up) allow, at least 1. */
unsigned sc_os_processors(void);
/* The least quota of the cgroups from `path` up to the root of the hierarchy mounted at
 * `mount`, in whole processors rounded up; UINT_MAX if none. */
unsigned sc_os_quota(const char *mount, const char *path);
size_t sc_os_page_size(void);
/* The stack limit of main(), clamped to [256 KiB, 64 MiB]; unlimited counts as 64 MiB. */
size_t sc_os_main_stack_size(void);
/* The calling thread's own stack: lowest byte and first byte above.  0 or -errno. */
int sc_os_stack_bounds(char **low, char **high);
/* The RLIMIT_AS of this process in bytes, SIZE_MAX if none. */
size_t sc_os_address_limit(void);
/* write(2) to stderr, whole. */
void sc_os_write_stderr(const char *text, size_t length);

/* Copies memory that may not be there, or that others are writing to.  0 or -EFAULT. */
int sc_os_peek(void *to, const void *from, size_t size);
/* write(2), whole.  0 or -errno. */
int sc_os_write(int fd, const char *text, size_t length);

/* `child` runs in every process forked from now on, before fork returns there; once. */
void sc_os_fork_install(void (*child)(void));

/* ---- signals (os/signal.c) ---- */

/* Where a thread is: the instruction it runs, then return addresses as far as frame pointers lead
 * within [low, high), which the caller sets: the bounds of the stack that it may be on. */
enum { SC_FRAMES = 24 };
struct sc_frames {
	uintptr_t low, high;
	uintptr_t sp;
	SC_PLAIN(unsigned) count;
	const void *pc[SC_FRAMES];
};
/* Of a thread that takes the signal below.  0; -ETIMEDOUT if it does not answer in 100 ms. */
int sc_os_where(struct sc_thread thread, struct sc_frames *out);
/* In the handler of that signal: answers if this thread is asked. */
void sc_os_tell_where(const void *context);
/* The stack pointer of what a handler interrupted. */
const char *sc_os_interrupted_sp(const void *context);

/* Between the two, threads that a library starts block the signals that those of the table do. */
struct sc_mask {
	uint64_t bits[16];
};
void sc_os_mask_threads(struct sc_mask *old);
void sc_os_unmask_threads(const struct sc_mask *old);

/* The real-time signal that thread_signal sends. */
int sc_os_expose_signal(void);

/* Installs `handler`, which runs on the thread that thread_signal names, on the signal
 * stack if the thread has one, with SA_RESTART; unblocks its signal in the calling thread.
 * 0 or -errno.  uninstall restores both, and the calling thread's whole signal mask. */
int sc_os_expose_install(void (*handler)(void));
void sc_os_expose_uninstall(void);

/* Makes `memory` the calling thread's signal stack.  0 or -errno: -EPERM on a signal stack.
 * uninstall, by the same thread, puts the former one back. */
enum { SC_SIGSTACK_SIZE = 64 * 1024 };
int sc_os_sigstack_install(void *memory);
void sc_os_sigstack_uninstall(void);

/* SIGSEGV and SIGBUS call `handler(fault_address, sp)` on the signal stack, sp being the
 * stack pointer of what faulted; if it returns (not our fault address), the former disposition
 * is put back and the access is repeated.  Where the kernel had no room on the stack for the
 * frame of a signal, the address is that of the frame. */
int sc_os_fault_install(void (*handler)(const void *address, const void *sp));
void sc_os_fault_uninstall(void);

/* SIGINT, SIGTERM and SIGQUIT call `handler(signal)` in signal context, on whatever thread; the old
 * dispositions are kept.  Workers block them.  Uninstall is for a thread that does: one that came
 * and found no thread to take it reaches the handler before the old dispositions are back.  A
 * handler that was entered before and answers 0 after it has the signal raised again. */
int sc_os_interrupt_install(int (*handler)(int signal));
void sc_os_interrupt_uninstall(void);
/* Blocks or unblocks them in the calling thread. */
void sc_os_interrupt_block(int block);
/* `signal`, 1 .. SC_OS_SIGNALS - 1, calls `handler(signal)`, the same for all of them, as an
 * interrupt does its own.  0 or -errno: -EINVAL if it is none that a handler can have. */
enum { SC_OS_SIGNALS = 65 };
int sc_os_signal_take(int signal, int (*handler)(int signal));
void sc_os_signal_give_back(int signal);
/* In the calling thread. */
void sc_os_signal_block(int signal, int block);
/* Puts the kept disposition back for good and raises the signal in this process. */
void sc_os_raise(int signal);
/* A signal that does nothing but end a system call with EINTR.  The handler is put in place, 0 or
 * -errno, and taken away; the calling thread blocks the signal or not; it is sent to a thread. */
int sc_os_eintr_install(void);
void sc_os_eintr_uninstall(void);
void sc_os_eintr_block(int block);
void sc_os_eintr_send(struct sc_thread thread);

/* ---- sockets (os/socket.c): each result may be -errno ---- */

/* From digits: an IPv4 or IPv6 address; NULL: any.  -EINVAL: it is neither. */
int sc_os_address_parse(const char *host, uint16_t port, struct sc_address *out);
/* What the system takes for one: `size` bytes.  -EAFNOSUPPORT: it does not fit. */
int sc_os_address_copy(const void *system, size_t size, struct sc_address *out);
/* Of a socket in the file system.  -ENAMETOOLONG. */
int sc_os_address_path(const char *path, struct sc_address *out);
/* "127.0.0.1" or "::1" into text, "" of anything else; the port, 0 of anything else. */
uint16_t sc_os_address_print(const struct sc_address *address, char *text, size_t size);
/* Descriptors that do not block. */
int sc_os_listen(const struct sc_address *address, int backlog, int share_port);
int sc_os_datagram(const struct sc_address *address);
/* The error of a connection that was under way, or 0. */
int sc_os_socket_error(int fd);
int sc_os_socket_name(int fd, int of_peer, struct sc_address *out);
void sc_os_no_delay(int fd);
int sc_os_shutdown(int fd);
/* Of a listener: who wants to connect is refused from now on. */
void sc_os_refuse(int fd);
int64_t sc_os_send_to(int fd, const void *data, size_t size, const struct sc_address *to);
int64_t sc_os_recv_from(int fd, void *buffer, size_t size, struct sc_address *from);

/* Ends the process by SIGALRM if it is still there then: for a report that may hang. */
void sc_os_last_seconds(unsigned seconds);

/* ---- names (os/symbol.c) ---- */

/* Writes "function" or "function+0x1f" (with_offset) for an address of the program or of a
 * loaded library into out, "file+0x1157" without a symbol, "0x55…" if it lies in no file.  Reads
 * the ELF symbol table of the file, so static functions are found too.  Never fails; not
 * signal-safe. */
void sc_os_symbol(const void *address, int with_offset, char *out, size_t size);

/* The same for the return address of a call, "function (file.c:41)" where the file has the lines
 * of its code. */
enum { SC_SITE_SIZE = 320 };
void sc_os_site(const void *site, char *out, size_t size);

#endif
