/* scope_typed.h: scopes whose tasks take one type: what does not fit does not compile.
 *
 *	SCOPE_TYPED(conn, struct conn);
 *
 * declares a scope, its spawner, and their calls for tasks that take a struct conn:
 *
 *	struct conn_scope      has `untyped`, a struct scope, for all other calls
 *	struct conn_spawner    has `untyped`, a struct scope_spawner
 *	conn_fn                int (struct conn *)
 *	conn_open(s, class_of) as scope_open_class: class_of is a struct scope_class or NULL
 *	conn_spawn(s, fn, arg), conn_spawn_with(s, fn, arg, options), conn_start(s, fn, arg)
 *	conn_close(s)
 *	conn_spawner_of(s, out_spawner), conn_spawner_spawn(spawner, fn, arg)
 *
 * They return what the calls without a type return, and cost as much.  A task finds its type by a
 * cast of the function, which every machine that the library runs on allows.
 *
 * In C, gcc before version 14 only warns of a pointer to the wrong type; in files that include
 * this header it is an error there too, as it is with newer compilers.
 */
#ifndef SCOPE_TYPED_H
#define SCOPE_TYPED_H

#include "scope_class.h"
#include "scope_ref.h"

#if defined(__GNUC__) && !defined(__cplusplus)
#pragma GCC diagnostic error "-Wincompatible-pointer-types"
#endif

/* Inlined everywhere, so that what was spawned is told to have been so by the caller; the line is
 * that of SCOPE_TYPED. */
#if defined(__GNUC__)
#define SCOPE_TYPED_CALL static inline __attribute__((always_inline, unused)) int
#else
#define SCOPE_TYPED_CALL static inline int
#endif

#define SCOPE_TYPED_FN(fn) ((scope_task_fn *)(void (*)(void))(fn))

#define SCOPE_TYPED(name, type)                                                                    \
	typedef int name##_fn(type *arg);                                                          \
	struct name##_scope {                                                                      \
		struct scope untyped;                                                              \
	};                                                                                         \
	struct name##_spawner {                                                                    \
		struct scope_spawner untyped;                                                      \
	};                                                                                         \
	SCOPE_TYPED_CALL name##_open(struct name##_scope *s, struct scope_class *class_of)         \
	{                                                                                          \
		return scope_open_class(&s->untyped, class_of);                                    \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_spawn(struct name##_scope *s, name##_fn *fn, type *arg)            \
	{                                                                                          \
		return scope_spawn(&s->untyped, SCOPE_TYPED_FN(fn), arg);                          \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_spawn_with(struct name##_scope *s, name##_fn *fn, type *arg,       \
					   const struct scope_spawn_options *options)              \
	{                                                                                          \
		return scope_spawn_with(&s->untyped, SCOPE_TYPED_FN(fn), arg, options);            \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_start(struct name##_scope *s, name##_fn *fn, type *arg)            \
	{                                                                                          \
		return scope_start(&s->untyped, SCOPE_TYPED_FN(fn), arg);                          \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_close(struct name##_scope *s)                                      \
	{                                                                                          \
		return scope_close(&s->untyped);                                                   \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_spawner_of(struct name##_scope *s,                                 \
					   struct name##_spawner *out_spawner)                     \
	{                                                                                          \
		return scope_spawner_of(&s->untyped, &out_spawner->untyped);                       \
	}                                                                                          \
	SCOPE_TYPED_CALL name##_spawner_spawn(const struct name##_spawner *spawner, name##_fn *fn, \
					      type *arg)                                           \
	{                                                                                          \
		return scope_spawner_spawn(&spawner->untyped, SCOPE_TYPED_FN(fn), arg);            \
	}                                                                                          \
	struct name##_scope

#endif
