/* perf/peers/forkjoin/limit.c: what a spawn and its join must cost at least.
 *
 * fib(n) with a hand-made task stack on one thread, nobody stealing, in steps from a
 * plain call to a scope with an indirect call.  A model of a fast path, not a runtime:
 * the slow paths only abort.
 */
#include "workloads.h"

struct task {
	void (*run)(void *);
	void *arg;
	struct scope *scope;
	long state;
};

struct worker {
	struct task *head; /* next free slot, owner only */
	struct task *split; /* tasks below it may be stolen, owner only */
	struct task *end;
	volatile char wanted; /* set by a hungry thief */
};

struct scope {
	struct task *base; /* head at the opening */
	struct scope *parent;
	long stolen; /* children that a thief took */
	volatile int cancelled;
	int error;
};

static struct task tasks[4096];
static struct worker only = {tasks, tasks, tasks + 4096, 0};
static __thread struct worker *self __attribute__((tls_model("initial-exec")));
static __thread struct scope *current __attribute__((tls_model("initial-exec")));

static void slow_path(void)
{
	abort();
}

/* 1: two calls, which the compiler may not merge */
__attribute__((noinline, noclone, optimize("no-optimize-sibling-calls,no-inline"))) static long
fib_call(int n)
{
	return n < 2 ? n : fib_call(n - 1) + fib_call(n - 2);
}

/* 2 and 3: push, call the other half, pop, run the popped task directly;
 * worker and head passed along as Lace does */
#define DIRECT(name, FENCE)                                                                        \
	__attribute__((noinline)) static long name(struct worker *w, struct task *head, int n)     \
	{                                                                                          \
		if (n < 2)                                                                         \
			return n;                                                                  \
		if (__builtin_expect(head == w->end, 0))                                           \
			slow_path();                                                               \
		head->arg = (void *)(intptr_t)(n - 1);                                             \
		__atomic_store_n(&head->state, 1, __ATOMIC_RELEASE);                               \
		if (__builtin_expect(w->wanted, 0))                                                \
			slow_path();                                                               \
		long b = name(w, head + 1, n - 2);                                                 \
		FENCE;                                                                             \
		if (__builtin_expect(w->wanted || w->split > head, 0))                             \
			slow_path();                                                               \
		__atomic_store_n(&head->state, 0, __ATOMIC_RELAXED);                               \
		return name(w, head, (int)(intptr_t)head->arg) + b;                                \
	}

DIRECT(fib_direct, (void)0)
DIRECT(fib_mfence, __asm__ volatile("mfence" ::: "memory"))
DIRECT(fib_locked, __asm__ volatile("lock; orl $0, -8(%%rsp)" ::: "memory"))

/* 4: a scope on the parent's stack, a task with a function pointer and an
 * argument pointer, the worker found through thread-local storage */
static inline __attribute__((always_inline)) void open_inline(struct scope *s)
{
	s->base = self->head;
	s->stolen = 0;
	s->cancelled = 0;
	s->error = 0;
}

static inline __attribute__((always_inline)) void spawn_inline(struct scope *s, void (*run)(void *),
							       void *arg)
{
	struct worker *w = self;
	struct task *t = w->head;
	if (__builtin_expect(t == w->end, 0))
		slow_path();
	t->run = run;
	t->arg = arg;
	t->scope = s;
	__atomic_store_n(&t->state, 1, __ATOMIC_RELEASE);
	w->head = t + 1;
	if (__builtin_expect(w->wanted, 0))
		slow_path();
}

static inline __attribute__((always_inline)) int close_inline(struct scope *s)
{
	struct worker *w = self;
	while (w->head != s->base) {
		struct task *t = w->head - 1;
		if (__builtin_expect(w->wanted || w->split > t, 0))
			slow_path();
		w->head = t;
		__atomic_store_n(&t->state, 0, __ATOMIC_RELAXED);
		t->run(t->arg);
		w = self; /* the child may have blocked and moved */
	}
	if (__builtin_expect(s->stolen || s->cancelled, 0))
		slow_path();
	return s->error;
}

/* 5 as 4, but the open scope is also kept in a thread-local variable */
static inline __attribute__((always_inline)) void open_current(struct scope *s)
{
	open_inline(s);
	s->parent = current;
	current = s;
}

static inline __attribute__((always_inline)) int close_current(struct scope *s)
{
	int error = close_inline(s);
	current = s->parent;
	return error;
}

/* 6 as 4, but open, spawn and close are real calls */
__attribute__((noinline)) static void open_call(struct scope *s)
{
	open_inline(s);
}
__attribute__((noinline)) static void spawn_call(struct scope *s, void (*run)(void *), void *arg)
{
	spawn_inline(s, run, arg);
}
__attribute__((noinline)) static int close_call(struct scope *s)
{
	return close_inline(s);
}

struct fib_args {
	int n;
	long result;
};

#define SCOPED(name, open, spawn, close)                                                           \
	static void name##_task(void *p);                                                          \
	__attribute__((noinline)) static long name(int n)                                          \
	{                                                                                          \
		struct scope s;                                                                    \
		struct fib_args a = {n - 1, 0};                                                    \
		if (n < 2)                                                                         \
			return n;                                                                  \
		open(&s);                                                                          \
		spawn(&s, name##_task, &a);                                                        \
		long b = name(n - 2);                                                              \
		if (close(&s))                                                                     \
			slow_path();                                                               \
		return a.result + b;                                                               \
	}                                                                                          \
	static void name##_task(void *p)                                                           \
	{                                                                                          \
		struct fib_args *a = p;                                                            \
		a->result = name(a->n);                                                            \
	}

SCOPED(fib_scope, open_inline, spawn_inline, close_inline)
SCOPED(fib_scope_current, open_current, spawn_inline, close_current)
SCOPED(fib_scope_call, open_call, spawn_call, close_call)

/* 7: the flat scope: many children pushed, then all popped */
static void leaf_task(void *slot)
{
	flat_leaf(slot);
}

static long run_flat(long n)
{
	struct task *big = malloc(sizeof *big * (size_t)n);
	uint8_t *slots = calloc((size_t)n, 1);
	struct worker w = {big, big, big + n, 0};
	struct scope s;
	self = &w;
	open_call(&s);
	for (long i = 0; i < n; i++)
		spawn_call(&s, leaf_task, &slots[i]);
	close_call(&s);
	long sum = flat_check(slots, n);
	free(slots);
	free(big);
	self = &only;
	return sum;
}

static long run_call(long n)
{
	return fib_call((int)n);
}
static long run_direct(long n)
{
	return fib_direct(&only, tasks, (int)n);
}
static long run_mfence(long n)
{
	return fib_mfence(&only, tasks, (int)n);
}
static long run_locked(long n)
{
	return fib_locked(&only, tasks, (int)n);
}
static long run_scope(long n)
{
	return fib_scope((int)n);
}
static long run_scope_current(long n)
{
	return fib_scope_current((int)n);
}
static long run_scope_call(long n)
{
	return fib_scope_call((int)n);
}

int main(int argc, char **argv)
{
	static const struct workload table[] = {{"call", run_call},
						{"direct", run_direct},
						{"mfence", run_mfence},
						{"locked", run_locked},
						{"scope", run_scope},
						{"scope_current", run_scope_current},
						{"scope_call", run_scope_call},
						{"flat", run_flat},
						{NULL, NULL}};
	struct options o = parse_options(argc, argv);
	self = &only;
	return run_workload(table, &o);
}
