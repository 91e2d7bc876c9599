/* scope_block.h: a scope as a block, which no way out leaves open.
 *
 *	scope_block(s) {
 *		scope_spawn(&s, fetch, &left);
 *		scope_spawn(&s, fetch, &right);
 *		if (quick_answer(&answer))
 *			return 0;               cancels both, waits for both, then returns
 *		rc = scope_close(&s);
 *	}
 *
 * `s` is a struct scope of the block's own, opened where the block begins.  The block may close
 * it, and sees its result then.  At the end of a block that did not, the scope is closed, which
 * waits for its tasks; `break`, `return` and `goto` out of it cancel the scope first.  What that
 * close returns is an error of the place around the block, as if a task there had failed with it.
 * `continue` goes to the end of the block.  longjmp out of it is not allowed.
 *
 * It needs the cleanup attribute of gcc and clang; everything else works without this header.
 */
#ifndef SCOPE_BLOCK_H
#define SCOPE_BLOCK_H

#include "scope.h"

#ifdef __cplusplus
extern "C" {
#endif

#define scope_block(s)                                                                             \
	for (struct scope s __attribute__((cleanup(scope_block_leave))),                           \
	     *s##_open = (scope_open(&s), &s);                                                     \
	     s##_open; s##_open = scope_block_end(&s))

/** What the end of a scope_block calls: closes `s` if it is open.  Returns NULL. */
SCOPE_API struct scope *scope_block_end(struct scope *s);

/** What every way out of a scope_block calls: cancels and closes `s` if it is open. */
SCOPE_API void scope_block_leave(struct scope *s);

#ifdef __cplusplus
}
#endif

#endif
