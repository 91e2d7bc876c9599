/* runtime/base/base.h: attributes, container_of, panic and assertions. */
#ifndef SC_BASE_BASE_H
#define SC_BASE_BASE_H

#include <stddef.h>
#include <stdint.h>

#define SC_LIKELY(x)   __builtin_expect(!!(x), 1)
#define SC_UNLIKELY(x) __builtin_expect(!!(x), 0)
#define SC_NOINLINE    __attribute__((noinline))
/* One copy for each file when branches are counted, else one for each call. */
#ifdef SC_COVERAGE
#define SC_INLINE static inline __attribute__((unused))
#else
#define SC_INLINE static inline __attribute__((always_inline, unused))
#endif
/* What works on the frame of its caller is no function of its own in any build; nor is what is
 * asked when a task has returned, which may have left scopes open below that frame (S11). */
#define SC_IN_FRAME    static inline __attribute__((always_inline, unused))
#define SC_COLD        __attribute__((cold, noinline))
/* Reads on purpose what its owner may be writing: reports about a program that stands. */
#if defined(__clang__)
#define SC_RACY __attribute__((no_sanitize("thread")))
#else
#define SC_RACY __attribute__((no_sanitize_thread))
#endif
#define SC_ALIGNED(n)  __attribute__((aligned(n)))
#define SC_CACHE_LINE  64

#define SC_CONTAINER(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Whether the reserved words of an options struct of the API are 0. */
#define SC_UNRESERVED(options) \
	sc_all_zero((options)->reserved, sizeof (options)->reserved / sizeof (options)->reserved[0])

SC_INLINE int sc_all_zero(const uint64_t *words, size_t count)
{
	uint64_t any = 0;

	while (count > 0)
		any |= words[--count];
	return any == 0;
}

/* Hands "libscope: <message>\n" to sc_panic_sink and aborts. */
void sc_panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
/* Writes to stderr unless replaced; set while no other thread can panic. */
extern void (*sc_panic_sink)(const char *text, size_t length);

/* Assertions stay on in every build but in the few lines of the fast path. */
#define SC_ASSERT(condition, ...)                                                                  \
	do {                                                                                       \
		if (SC_UNLIKELY(!(condition)))                                                     \
			sc_panic(__VA_ARGS__);                                                     \
	} while (0)

/* What always holds, where a test costs too much: checked builds panic, others rely on it. */
#if defined(SC_TEST_SHIM) || defined(SC_DEBUG)
#define SC_INVARIANT(condition)                                                                    \
	SC_ASSERT(condition, "%s:%d: broken: %s", __FILE__, __LINE__, #condition)
#else
#define SC_INVARIANT(condition)                                                                    \
	do {                                                                                       \
		if (!(condition))                                                                  \
			__builtin_unreachable();                                                   \
	} while (0)
#endif

#endif
