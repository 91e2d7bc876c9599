/* runtime/scope/locals.c: scope-locals: values found by walking up the places (L1). */
#include "scope/locals.h"
#include "scope/fast.h"
#include <errno.h>

_Static_assert(sizeof(struct sc_binding) <= sizeof(struct scope_local_binding),
	       "a binding fits its memory");

static int is_binding(struct sc_scope *s)
{
	return (sc_state(s) & (SC_BINDING | SC_TASK)) == SC_BINDING;
}

/* The first binding at or above the place, or NULL. */
static struct sc_binding *next_binding(uintptr_t place)
{
	struct sc_scope *s;

	for (s = sc_untag(place); s != &sc_root; s = sc_untag(s->parent))
		if (is_binding(s))
			return SC_CONTAINER(s, struct sc_binding, place);
	return NULL;
}

SC_IN_FRAME void bind(struct sc_worker *worker, struct sc_binding *binding, size_t count,
		      const struct sc_local *locals)
{
	binding->count = count;
	binding->locals = locals;
	sc_open_at(worker, &binding->place, __builtin_return_address(0));
	at_store_rlx(&binding->place.state, SC_BINDING);
}

int scope_local_bind(struct scope_local_binding *public, const struct scope_local *key, void *value)
{
	struct sc_binding *binding = (struct sc_binding *)public;
	struct sc_worker *worker = sc_self();

	if (worker->cur == 0)
		return sc_not_connected("scope_local_bind");
	binding->own = (struct sc_local){key, value};
	bind(worker, binding, 1, &binding->own);
	return 0;
}

int scope_local_unbind(struct scope_local_binding *public)
{
	struct sc_binding *binding = (struct sc_binding *)public;
	int rc = scope_close((struct scope *)&binding->place);

	return rc == -EDEADLK ? -EPERM : rc;
}

void *scope_local_get(const struct scope_local *key)
{
	uintptr_t place = sc_self()->cur;
	struct sc_binding *binding;
	size_t i;

	if (place == 0)
		return NULL;
	for (; (binding = next_binding(place)); place = binding->place.parent)
		for (i = 0; i < binding->count; i++)
			if (binding->locals[i].key == key)
				return binding->locals[i].value;
	return NULL;
}

int scope_local_with(const struct scope_local *key, void *value, scope_task_fn *fn, void *arg)
{
	struct scope_local_binding binding;
	int rc = scope_local_bind(&binding, key, value);

	if (rc < 0)
		return rc;
	rc = fn(arg);
	/* If fn left a scope open, in frames that a call would overwrite, the task's end tells of
	 * both (S11). */
	if (sc_self()->cur == (uintptr_t)&binding)
		scope_local_unbind(&binding);
	return rc;
}

/* ---- SCOPE_COPY_LOCALS ----------------------------------------------------------------------- */

size_t sc_locals_seen(void)
{
	uintptr_t place = sc_self()->cur;
	struct sc_binding *binding;
	size_t count = 0;

	for (; (binding = next_binding(place)); place = binding->place.parent)
		count += binding->count;
	return count;
}

static int has(const struct sc_locals *locals, const struct scope_local *key)
{
	size_t i;

	for (i = 0; i < locals->count; i++)
		if (locals->local[i].key == key)
			return 1;
	return 0;
}

void sc_locals_copy(struct sc_locals *out)
{
	uintptr_t place = sc_self()->cur;
	struct sc_binding *binding;
	size_t i;

	out->count = 0;
	for (; (binding = next_binding(place)); place = binding->place.parent)
		for (i = 0; i < binding->count; i++)
			if (!has(out, binding->locals[i].key))
				out->local[out->count++] = binding->locals[i];
}

int sc_locals_run(const struct sc_task *task)
{
	struct sc_binding binding;
	int rc;

	bind(sc_self(), &binding, task->locals->count, task->locals->local);
	rc = task->slot.fn(task->slot.arg);
	/* If that left scopes open, this one is joined with them by who called this. */
	if (sc_self()->cur == (uintptr_t)&binding.place)
		scope_close((struct scope *)&binding.place);
	return rc;
}
