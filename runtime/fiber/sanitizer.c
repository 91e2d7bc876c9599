/* runtime/fiber/sanitizer.c: the switch and the hooks of builds for a checker. */
#include "fiber/fiber.h"

#ifdef SC_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#endif
#ifdef SC_TSAN
#include <sanitizer/tsan_interface.h>

/* Tasks that share a worker are not ordered by that: a race between them is reported even
 * if they never ran on two workers.  The hand-overs of the runtime are atomic operations. */
#ifndef SC_TSAN_SWITCH_FLAGS
#define SC_TSAN_SWITCH_FLAGS __tsan_switch_to_fiber_no_sync
#endif
#endif

#if defined(SC_ASAN) || defined(SC_TSAN)

void sc_sanitizer_made(struct sc_fiber *fiber, size_t control)
{
#ifdef SC_ASAN
	/* From the lowest byte on: a suspended frame or the control block may hold the only
	 * pointer to a heap block. */
	size_t size = (size_t)((char *)fiber + control - fiber->stack_low);

	__lsan_register_root_region(fiber->stack_low, size);
#endif
#ifdef SC_TSAN
	fiber->sanitizer = __tsan_create_fiber(0);
#endif
	(void)fiber;
	(void)control;
}

void sc_sanitizer_gone(struct sc_fiber *fiber, size_t control)
{
#ifdef SC_ASAN
	size_t size = (size_t)((char *)fiber + control - fiber->stack_low);

	__lsan_unregister_root_region(fiber->stack_low, size);
	/* Frames that were left without returning are poisoned for who maps this next. */
	__asan_unpoison_memory_region(fiber->stack_low, size);
#endif
#ifdef SC_TSAN
	__tsan_destroy_fiber(fiber->sanitizer);
#endif
	(void)fiber;
	(void)control;
}

/* Not instrumented: what is read here was handed over before by whoever switches. */
#if defined(__clang__)
#define HAND_OVER __attribute__((no_sanitize("thread")))
#else
#define HAND_OVER __attribute__((no_sanitize_thread))
#endif

/* Both halves lie in one function, since AddressSanitizer and ThreadSanitizer keep state for
 * the frame that was left and restore it for the frame that is entered. */
SC_INLINE HAND_OVER void leave(struct sc_fiber *from, struct sc_fiber *to)
{
#ifdef SC_ASAN
	__sanitizer_start_switch_fiber(&from->sanitizer, to->stack_low,
				       (size_t)(to->stack_high - to->stack_low));
#endif
#ifdef SC_TSAN
	__tsan_switch_to_fiber(to->sanitizer, SC_TSAN_SWITCH_FLAGS);
#endif
	(void)from;
	(void)to;
}

SC_INLINE HAND_OVER void arrive(struct sc_fiber *self)
{
#ifdef SC_ASAN
	__sanitizer_finish_switch_fiber(self->sanitizer, NULL, NULL);
#endif
	(void)self;
}

HAND_OVER void sc_fiber_switch(struct sc_fiber *from, struct sc_fiber *to)
{
	leave(from, to);
	sc_arch_switch(&from->context, &to->context);
	arrive(from);
}

HAND_OVER void sc_fiber_switch_aside(struct sc_fiber *from, struct sc_aside *area,
				     struct sc_fiber *to)
{
	leave(from, to);
	sc_arch_switch_aside(&from->context, area, &to->context);
	arrive(from);
}

#endif
