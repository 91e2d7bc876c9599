/* scope_fast.h: open, spawn and close inlined into the program.
 *
 * Included instead of <scope.h>; the calls keep their names and contracts.  For programs that
 * link libscope.a or libscope-lto.a of the very version of this header: it knows the insides of
 * the library and makes no promise of compatibility.  A shared object, and a program that links
 * libscope.so, include <scope.h>; to them this header does not link.  On other CPUs than x86-64
 * and under sanitizers, and with SC_DEBUG, it is <scope.h> and scope_fast_fork.
 *
 * A spawn and its share of the join take about 84 instructions instead of 104; each scope_spawn
 * adds some 70 bytes of code, each scope_close 250.
 *
 * What the functions rely on is written in runtime/scope/fast.c and fast.h, of which these are
 * the counterpart; runtime/scope/fast_leak.c compares the layouts at compile time.
 */
#ifndef SCOPE_FAST_H
#define SCOPE_FAST_H

#include "scope.h"

#if defined(__has_feature)
#define SCOPE_FAST_HAS(feature) __has_feature(feature)
#else
#define SCOPE_FAST_HAS(feature) 0
#endif
#if defined(__x86_64__) && defined(__LP64__) && !defined(__SANITIZE_ADDRESS__) && \
	!defined(__SANITIZE_THREAD__) && !defined(SC_DEBUG) && \
	!SCOPE_FAST_HAS(address_sanitizer) && !SCOPE_FAST_HAS(thread_sanitizer)

#ifdef __cplusplus
extern "C" {
#endif

#define SCOPE_FAST_INLINE      static inline __attribute__((always_inline, unused))
#define SCOPE_FAST_INNER       extern __attribute__((visibility("hidden")))
#define SCOPE_FAST_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* ---- what is mirrored of the runtime: accessed under any type ---------------------------- */

struct __attribute__((may_alias)) scope_fast_slot {
	scope_task_fn *fn;
	const void *site;
	void *arg;
	void *scope;
};

struct __attribute__((may_alias)) scope_fast_worker {
	uintptr_t cur;
	struct scope_fast_slot *top;
	struct scope_fast_slot *lim;
	struct scope_fast_slot *split;
	uintptr_t stack_limit;
};

struct __attribute__((may_alias)) scope_fast_inside {
	uintptr_t parent;
	struct scope_fast_slot *base;
	uint32_t state;
	uint32_t number;
	uint64_t tree[4];
	int64_t count;
	const void *running_what;
	const void *running_site;
	const void *site;
	const void *frame;
	uint64_t not_mirrored[7];
};

enum { SCOPE_FAST_CLOSED = 1 << 19 };

/* ---- the unusual cases, in the archive --------------------------------------------------- */

struct sc_scope;

SCOPE_FAST_INNER int sc_spawn_slow(struct sc_scope *s, scope_task_fn *fn, void *arg,
				   const void *site);
SCOPE_FAST_INNER void sc_close_step(struct sc_scope *s);
SCOPE_FAST_INNER int sc_close_finish(struct sc_scope *s);
SCOPE_FAST_INNER int sc_close_slow(struct sc_scope *s);
SCOPE_FAST_INNER void sc_child_ended(struct sc_scope *s, int rc);
SCOPE_FAST_INNER void sc_leaver_ended(struct sc_scope *s, int rc);
SCOPE_FAST_INNER void sc_fast_leak(int rc);
SCOPE_FAST_INNER int sc_leaks_joined(void);

/* ---- pieces ------------------------------------------------------------------------------ */

/* The worker of the calling thread; volatile: to be read again after each call that may park,
 * for the task may go on in another thread. */
SCOPE_FAST_INLINE struct scope_fast_worker *scope_fast_self(void)
{
	struct scope_fast_worker *self;

	__asm__ volatile("movq %%fs:sc_self_tls@tpoff, %0" : "=r"(self));
	return self;
}

/* An address in the caller, for reports; volatile: each call has its own. */
SCOPE_FAST_INLINE const void *scope_fast_site(void)
{
	const void *site;

	__asm__ volatile("leaq 0(%%rip), %0" : "=r"(site));
	return site;
}

/* Predicates of one comparison with memory, which a handler or another thread may change. */
#define SCOPE_FAST_TEST(name, compare, ...)                                                        \
	SCOPE_FAST_INLINE int name                                                                 \
	{                                                                                          \
		__asm__ goto(compare " %l[yes]" : : __VA_ARGS__ : "cc" : yes);                     \
		return 0;                                                                          \
	yes:                                                                                       \
		return 1;                                                                          \
	}

/* No room for a slot, or attention is called for. */
SCOPE_FAST_TEST(scope_fast_at_limit(struct scope_fast_worker *worker, struct scope_fast_slot *top),
		"cmpq %0, %1\n\tjae", "m"(worker->lim), "r"(top))
/* The slot that was popped is exposed: others may have it. */
SCOPE_FAST_TEST(scope_fast_exposed(struct scope_fast_worker *worker, struct scope_fast_slot *top),
		"cmpq %0, %1\n\tjb", "m"(worker->split), "r"(top))
/* The stack is low, or attention is called for. */
SCOPE_FAST_TEST(scope_fast_stack_low(struct scope_fast_worker *worker), "cmpq %0, %%rsp\n\tjb",
		"m"(worker->stack_limit))
/* More than open, spawn and inlined children happened to the scope. */
SCOPE_FAST_TEST(scope_fast_special(struct scope_fast_inside *in), "cmpl $0, %0\n\tjne",
		"m"(in->state))

/* The scope as a place.  Volatile: the address of a local is made anew from the stack pointer,
 * for a register kept across calls would be saved and restored by each task.  It reads the
 * scope: what opening stored stays, though the task may return and leave it open. */
SCOPE_FAST_INLINE uintptr_t scope_fast_place(const struct scope_fast_inside *in)
{
	uintptr_t place;

	__asm__ volatile("leaq %1, %0" : "=r"(place) : "m"(*in));
	return place;
}

/* The scope as the runtime takes it. */
SCOPE_FAST_INLINE struct sc_scope *scope_fast_view(const struct scope_fast_inside *in)
{
	return (struct sc_scope *)scope_fast_place(in);
}

/* The scope as the place of its inlined children. */
SCOPE_FAST_INLINE uintptr_t scope_fast_closing(const struct scope_fast_inside *in)
{
	uintptr_t place;

	__asm__ volatile("leaq %1, %0" : "=r"(place) : "m"(((const char *)in)[1]));
	return place;
}

SCOPE_FAST_INLINE void scope_fast_open_at(struct scope_fast_worker *worker,
					  struct scope_fast_inside *in, uintptr_t parent,
					  const void *site)
{
	in->parent = parent;
	in->base = worker->top;
	in->state = 0;
	in->count = 0;
	in->site = site;
	__asm__ volatile("movq %%rbp, %0" : "=m"(in->frame));
}

/* The slot is complete before top says so: a signal handler may expose it at once. */
SCOPE_FAST_INLINE void scope_fast_push(struct scope_fast_worker *worker,
				       struct scope_fast_slot *top, uintptr_t place,
				       scope_task_fn *fn, void *arg, const void *site)
{
	top->fn = fn;
	top->site = site;
	top->arg = arg;
	top->scope = (void *)place;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	worker->top = top + 1;
}

/* A child of the scope just returned rc; the worker.  A place that is not the scope's says that
 * it left scopes open below the stack pointer: until sc_fast_leak nothing may be pushed.  32
 * bits tell all places on one stack apart. */
SCOPE_FAST_INLINE struct scope_fast_worker *scope_fast_returned(struct scope_fast_inside *in,
								int rc)
{
	struct scope_fast_worker *worker;
	uint32_t odd;

	for (;;) {
		worker = scope_fast_self();
		odd = (uint32_t)scope_fast_closing(in);
		__asm__("xorl %1, %0" : "+r"(odd) : "m"(worker->cur) : "cc");
		if (!SCOPE_FAST_UNLIKELY((odd | (uint32_t)rc) != 0))
			return worker;
		if (worker->cur != scope_fast_closing(in)) {
			sc_fast_leak(rc);
			sc_leaver_ended(scope_fast_view(in), sc_leaks_joined());
		} else {
			sc_child_ended(scope_fast_view(in), rc);
		}
		rc = 0;
	}
}

/* Runs the slot that was popped from the top as an inlined child; the worker after. */
SCOPE_FAST_INLINE struct scope_fast_worker *scope_fast_run(struct scope_fast_inside *in,
							   const struct scope_fast_slot *slot)
{
	/* Both words at once, and to no address kept in a register. */
	__asm__ volatile("movups %2, %%xmm0\n\tmovups %%xmm0, %0"
			 : "=m"(in->running_what), "=m"(in->running_site)
			 : "m"(slot->fn), "m"(slot->site)
			 : "xmm0");
	return scope_fast_returned(in, slot->fn(slot->arg));
}

/* ---- the calls --------------------------------------------------------------------------- */

/* As scope_open. */
SCOPE_FAST_INLINE void scope_fast_open(struct scope *s)
{
	struct scope_fast_worker *worker = scope_fast_self();
	struct scope_fast_inside *in = (struct scope_fast_inside *)s;
	uintptr_t cur = worker->cur;

	if (SCOPE_FAST_UNLIKELY(cur == 0))
		return;
	scope_fast_open_at(worker, in, cur, scope_fast_site());
	worker->cur = scope_fast_place(in);
}

/* As scope_spawn. */
SCOPE_FAST_INLINE int scope_fast_spawn(struct scope *s, scope_task_fn *fn, void *arg)
{
	struct scope_fast_worker *worker = scope_fast_self();
	struct scope_fast_slot *top = worker->top;
	uintptr_t place = scope_fast_place((struct scope_fast_inside *)s);

	if (SCOPE_FAST_UNLIKELY(worker->cur != place || scope_fast_at_limit(worker, top)))
		return sc_spawn_slow((struct sc_scope *)s, fn, arg, scope_fast_site());
	scope_fast_push(worker, top, place, fn, arg, scope_fast_site());
	return 0;
}

/* scope_open and the first scope_spawn in one, a few instructions cheaper; returns what the spawn
 * does, and the scope is to be closed in any case. */
SCOPE_FAST_INLINE int scope_fast_fork(struct scope *s, scope_task_fn *fn, void *arg)
{
	struct scope_fast_worker *worker = scope_fast_self();
	struct scope_fast_inside *in = (struct scope_fast_inside *)s;
	struct scope_fast_slot *top = worker->top;
	const void *site = scope_fast_site();
	uintptr_t place;

	/* Outside a task lim is 0. */
	if (SCOPE_FAST_UNLIKELY(scope_fast_at_limit(worker, top))) {
		scope_fast_open(s);
		return sc_spawn_slow((struct sc_scope *)s, fn, arg, site);
	}
	scope_fast_open_at(worker, in, worker->cur, site);
	place = scope_fast_place(in);
	worker->cur = place;
	scope_fast_push(worker, top, place, fn, arg, site);
	return 0;
}

/* As scope_close. */
SCOPE_FAST_INLINE int scope_fast_close(struct scope *s)
{
	struct scope_fast_worker *worker = scope_fast_self();
	struct scope_fast_inside *in = (struct scope_fast_inside *)s;
	struct scope_fast_slot *top = worker->top;

	if (SCOPE_FAST_UNLIKELY(worker->cur != scope_fast_place(in)))
		return sc_close_slow(scope_fast_view(in));
	if (top != in->base) {
		__asm__ volatile("incq %0" : "+m"(worker->cur) : : "cc");
		do {
			/* Pop first, then look at split: the handler may raise it. */
			top--;
			worker->top = top;
			__atomic_signal_fence(__ATOMIC_SEQ_CST);
			if (SCOPE_FAST_UNLIKELY(scope_fast_exposed(worker, top) ||
						scope_fast_stack_low(worker))) {
				sc_close_step(scope_fast_view(in));
				worker = scope_fast_self();
			} else {
				worker = scope_fast_run(in, top);
			}
			top = worker->top;
		} while (SCOPE_FAST_UNLIKELY(top != in->base));
	}
	if (SCOPE_FAST_UNLIKELY(scope_fast_special(in)))
		return sc_close_finish(scope_fast_view(in));
	in->state = SCOPE_FAST_CLOSED;
	worker->cur = in->parent;
	return 0;
}

#ifdef __cplusplus
}
#endif

#define scope_open  scope_fast_open
#define scope_spawn scope_fast_spawn
#define scope_close scope_fast_close

#else

/* scope_open and the first scope_spawn in one; the scope is to be closed in any case. */
static inline int scope_fast_fork(struct scope *s, scope_task_fn *fn, void *arg)
{
	scope_open(s);
	return scope_spawn(s, fn, arg);
}

#endif
#endif
