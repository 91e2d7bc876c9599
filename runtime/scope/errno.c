/* runtime/scope/errno.c: where errno lives now; an object of its own, never optimised across.
 *
 * The address of a thread's errno is a constant to a compiler: it would keep the one of the
 * thread that the task left.
 */
#define SCOPE_KEEP_ERRNO
#include <scope.h>

#include <errno.h>

/* gcc would take a function that it sees through for one that always returns the same. */
#if defined(__clang__)
__attribute__((noinline))
#else
__attribute__((noipa))
#endif
int *scope_errno_location(void)
{
	__asm__ volatile("" ::: "memory");
	return &errno;
}
