/* runtime/scope/fast_leak.c: what scope_fast.h needs of the archive: its leaks, its layouts.
 *
 * Not compiled for link-time optimisation: its assembly names symbols, and so does the header's,
 * in a way that only a linker sees; the references from here keep them in the program.
 */
#include "scope/tree.h"
#include <scope_fast.h>

#ifdef SCOPE_FAST_INLINE

#define SAME(mirror, mine, type, field)                                                            \
	_Static_assert(offsetof(struct mirror, mine) == offsetof(type, field),                     \
		       "scope_fast.h: " #mirror "." #mine)

SAME(scope_fast_slot, fn, struct sc_slot, fn);
SAME(scope_fast_slot, site, struct sc_slot, site);
SAME(scope_fast_slot, arg, struct sc_slot, arg);
SAME(scope_fast_slot, scope, struct sc_slot, scope);
_Static_assert(sizeof(struct scope_fast_slot) == sizeof(struct sc_slot), "scope_fast.h: slot");

SAME(scope_fast_worker, cur, struct sc_worker, cur);
SAME(scope_fast_worker, top, struct sc_worker, bottom.top);
SAME(scope_fast_worker, lim, struct sc_worker, bottom.lim);
SAME(scope_fast_worker, split, struct sc_worker, bottom.split);
SAME(scope_fast_worker, stack_limit, struct sc_worker, stack_limit);

SAME(scope_fast_inside, parent, struct sc_scope, parent);
SAME(scope_fast_inside, base, struct sc_scope, base);
SAME(scope_fast_inside, state, struct sc_scope, state);
SAME(scope_fast_inside, count, struct sc_scope, count);
SAME(scope_fast_inside, running_what, struct sc_scope, running.what);
SAME(scope_fast_inside, running_site, struct sc_scope, running.site);
SAME(scope_fast_inside, site, struct sc_scope, site);
SAME(scope_fast_inside, frame, struct sc_scope, frame);
_Static_assert(sizeof(struct scope_fast_inside) <= sizeof(struct scope), "scope_fast.h: inside");
_Static_assert((int)SCOPE_FAST_CLOSED == (int)SC_CLOSED, "scope_fast.h: CLOSED");

#define WORKER(field) "i"(offsetof(struct sc_worker, field))
#define STRAND(field) "i"(offsetof(struct sc_strand, field))

/* The counterpart of sc_join_leaks for a task that returned rc to code of scope_fast.h; returns
 * there when the leaked scopes are joined.  Pushes nothing: the call that led here wrote its
 * return address where the task's was, and that is all that may be overwritten. */
__attribute__((naked)) void sc_fast_leak(int rc __attribute__((unused)))
{
	__asm__("movq sc_self_tls@gottpoff(%%rip), %%rax\n\t"
		"movq %%fs:(%%rax), %%rax\n\t"
		"movq %c[running](%%rax), %%rcx\n\t"
		"movl %%edi, %c[result](%%rcx)\n\t"
		"movq %c[cur](%%rax), %%rdx\n\t"
		"movq %%rdx, %c[place](%%rcx)\n\t"
		"leaq %c[native](%%rax), %%rdx\n\t"
		"movq %%rdx, %c[running](%%rax)\n\t"
		"movq $0, %c[cur](%%rax)\n\t"
		"leaq sc_leak_begin(%%rip), %%rdx\n\t"
		"movq %%rdx, %c[post](%%rax)\n\t"
		"movq %%rcx, %c[post_strand](%%rax)\n\t"
		"leaq %c[context](%%rcx), %%rdi\n\t"
		"leaq %c[aside](%%rcx), %%rsi\n\t"
		"leaq %c[native_context](%%rax), %%rdx\n\t"
		"jmp sc_arch_switch_aside"
		:
		: [running] WORKER(strand), [cur] WORKER(cur), [native] WORKER(native),
		  [native_context] WORKER(native.fiber.context), [post] WORKER(post),
		  [post_strand] WORKER(post_strand), [result] STRAND(result), [place] STRAND(place),
		  [context] STRAND(fiber.context), [aside] STRAND(aside));
}

#endif
