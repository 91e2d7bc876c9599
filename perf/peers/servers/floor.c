/* perf/peers/servers/floor.c: what the machine itself takes, the lower bounds for the rows of the
 * tables (x86-64 and aarch64). */
#define _GNU_SOURCE
#include "bench.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

static void *sp_main, *sp_task;
static void *stack_a, *stack_b;
static long hops;

/* Saves the callee-saved registers, swaps stacks: the least a general switch can do. */
void raw_switch(void **from, void *to);
#if defined(__x86_64__)
__asm__(".globl raw_switch\nraw_switch:\n"
	"push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
	"mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
	"pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n"
	"pop %rcx\n jmp *%rcx\n");
enum { FRAME = 6 };
#else
__asm__(".globl raw_switch\nraw_switch:\n"
	"sub sp,sp,#160\n stp x19,x20,[sp]\n stp x21,x22,[sp,16]\n stp x23,x24,[sp,32]\n stp "
	"x25,x26,[sp,48]\n"
	"stp x27,x28,[sp,64]\n stp x29,x30,[sp,80]\n stp d8,d9,[sp,96]\n stp d10,d11,[sp,112]\n "
	"stp d12,d13,[sp,128]\n stp d14,d15,[sp,144]\n"
	"mov x2,sp\n str x2,[x0]\n mov sp,x1\n"
	"ldp x19,x20,[sp]\n ldp x21,x22,[sp,16]\n ldp x23,x24,[sp,32]\n ldp x25,x26,[sp,48]\n ldp "
	"x27,x28,[sp,64]\n ldp x29,x30,[sp,80]\n"
	"ldp d8,d9,[sp,96]\n ldp d10,d11,[sp,112]\n ldp d12,d13,[sp,128]\n ldp d14,d15,[sp,144]\n "
	"add sp,sp,#160\n ret\n");
enum { FRAME = 11 };
#endif

static void task_a(void)
{
	for (;;) {
		hops++;
		raw_switch(&stack_a, stack_b);
	}
}

static void task_b(void)
{
	for (;;) {
		if (++hops > 20000000)
			raw_switch(&sp_task, sp_main);
		raw_switch(&stack_b, stack_a);
	}
}

static void *make(void (*fn)(void))
{
	void **top = (void **)((char *)aligned_alloc(4096, 16384) + 16384);
	top -= 2;
#if defined(__x86_64__)
	*--top = (void *)fn;
	for (int i = 0; i < FRAME; i++)
		*--top = NULL;
#else
	top -= 20;
	memset(top, 0, 160);
	top[FRAME] = (void *)fn;
#endif
	return top;
}

static void floor_switch(void)
{
	stack_b = make(task_b);
	raw_switch(&sp_main, make(task_a));
}

static _Alignas(64) volatile int line;
static _Alignas(64) int word;
static int rounds = 1000000;

static void pin(int core)
{
	cpu_set_t s;
	CPU_ZERO(&s);
	CPU_SET(core, &s);
	sched_setaffinity(0, sizeof s, &s);
}

static void *spin_peer(void *a)
{
	(void)a;
	pin(1);
	for (int i = 0; i < rounds; i++) {
		while (line != 2 * i + 1) {
		}
		line = 2 * i + 2;
	}
	return NULL;
}

static void futex(int op, int v)
{
	syscall(SYS_futex, &word, op, v, NULL, NULL, 0);
}

static void hand(int mine, int next)
{
	int v;
	while ((v = __atomic_load_n(&word, __ATOMIC_ACQUIRE)) != mine)
		futex(FUTEX_WAIT_PRIVATE, v);
	__atomic_store_n(&word, next, __ATOMIC_RELEASE);
	futex(FUTEX_WAKE_PRIVATE, 1);
}

static void *futex_peer(void *a)
{
	(void)a;
	pin(1);
	for (int i = 0; i < rounds; i++)
		hand(1, 0);
	return NULL;
}

static long shared;
static void *adder(void *a)
{
	pin((int)(long)a);
	for (int i = 0; i < 5000000; i++)
		__atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

int main(void)
{
	pthread_t p;
	int64_t t;
	pin(0);
	t = bench_now();
	floor_switch();
	bench_out("raw_switch_ns", (double)(bench_now() - t) / (double)hops);

	t = bench_now();
	for (int i = 0; i < 5000000; i++)
		(void)bench_now();
	bench_out("clock_ns", (double)(bench_now() - t) / 5e6);

	t = bench_now();
	for (int i = 0; i < 20000000; i++)
		__atomic_add_fetch(&shared, 1, __ATOMIC_SEQ_CST);
	bench_out("atomic_own_ns", (double)(bench_now() - t) / 2e7);
	pthread_t q[2];
	t = bench_now();
	for (long i = 0; i < 2; i++)
		pthread_create(&q[i], NULL, adder, (void *)i);
	for (int i = 0; i < 2; i++)
		pthread_join(q[i], NULL);
	bench_out("atomic_shared_ns", (double)(bench_now() - t) / 1e7);

	pthread_create(&p, NULL, spin_peer, NULL);
	t = bench_now();
	for (int i = 0; i < rounds; i++) {
		line = 2 * i + 1;
		while (line != 2 * i + 2) {
		}
	}
	bench_out("cache_line_round_trip_ns", (double)(bench_now() - t) / rounds);
	pthread_join(p, NULL);

	rounds = 50000;
	pthread_create(&p, NULL, futex_peer, NULL);
	t = bench_now();
	for (int i = 0; i < rounds; i++)
		hand(0, 1);
	bench_out("futex_round_trip_ns", (double)(bench_now() - t) / rounds);
	pthread_join(p, NULL);

	size_t n = 100000, stack = 16384;
	char *m = mmap(NULL, n * stack, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	madvise(m, n * stack, MADV_NOHUGEPAGE);
	t = bench_now();
	for (size_t i = 0; i < n; i++)
		m[(i + 1) * stack - 64] = 1;
	bench_out("first_touch_page_ns", (double)(bench_now() - t) / (double)n);
	t = bench_now();
	for (size_t i = 0; i < n; i++)
		m[(i + 1) * stack - 64] = 2;
	bench_out("second_touch_page_ns", (double)(bench_now() - t) / (double)n);
	munmap(m, n * stack);

	for (int huge = 0; huge < 2; huge++) {
		size_t bytes = (size_t)512 << 20, align = (size_t)2 << 20;
		char *raw = mmap(NULL, bytes + align, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		m = (char *)(((uintptr_t)raw + align - 1) & ~(uintptr_t)(align - 1));
		madvise(m, bytes, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
		t = bench_now();
		if (huge)
			for (size_t i = 0; i < bytes; i += 4096)
				m[i] = 1;
		else if (madvise(m, bytes, MADV_POPULATE_WRITE))
			perror("populate");
		bench_out(huge ? "first_touch_huge_page_ns_per_4k" : "populate_page_ns",
			  (double)(bench_now() - t) / (double)(bytes / 4096));
		munmap(raw, bytes + align);
	}

	int sv[2], ep = epoll_create1(0);
	struct epoll_event e = {.events = EPOLLIN};
	socketpair(AF_UNIX, SOCK_STREAM, 0, sv);
	epoll_ctl(ep, EPOLL_CTL_ADD, sv[0], &e);
	t = bench_now();
	for (int i = 0; i < 500000; i++)
		syscall(SYS_getppid);
	bench_out("syscall_ns", (double)(bench_now() - t) / 5e5);
	t = bench_now();
	for (int i = 0; i < 500000; i++)
		epoll_wait(ep, &e, 1, 0);
	bench_out("epoll_wait_empty_ns", (double)(bench_now() - t) / 5e5);
	return 0;
}
