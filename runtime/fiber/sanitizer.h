/* runtime/fiber/sanitizer.h: which checkers this build is for, and what they need to hear.
 *
 * A checker that is not told takes the other stack for a wild pointer.  In an ordinary
 * build every hook is empty, and in one for memcheck, which must not be told: it keeps one
 * current stack among those it knows for all threads (docs/testing.md).
 */
#ifndef SC_FIBER_SANITIZER_H
#define SC_FIBER_SANITIZER_H

#include "base/base.h"

#if defined(__SANITIZE_ADDRESS__)
#define SC_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SC_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define SC_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SC_TSAN 1
#endif
#endif

/* Checkers shadow all address space that is reserved, or limit it. */
#if defined(SC_ASAN) || defined(SC_TSAN) || defined(SC_VALGRIND)
#define SC_CHECKED 1
#endif

struct sc_fiber;

#if defined(SC_ASAN) || defined(SC_TSAN)
/* A stack is used for the first time; its fields but `sanitizer` are set.  `control` is the
 * size of the control block. */
void sc_sanitizer_made(struct sc_fiber *fiber, size_t control);
/* Its memory is about to be released. */
void sc_sanitizer_gone(struct sc_fiber *fiber, size_t control);
#else
SC_INLINE void sc_sanitizer_made(struct sc_fiber *fiber, size_t control)
{
	(void)fiber;
	(void)control;
}

SC_INLINE void sc_sanitizer_gone(struct sc_fiber *fiber, size_t control)
{
	(void)fiber;
	(void)control;
}
#endif

#endif
