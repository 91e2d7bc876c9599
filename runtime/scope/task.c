/* runtime/scope/task.c: tasks with a record, and tasks on a strand of their own. */
#include "scope/class.h"
#include "scope/fast.h"
#include "scope/locals.h"
#include <errno.h>
#include <string.h>

static size_t rounded(size_t size)
{
	return (size + 15) & ~(size_t)15;
}

/* A record may be followed by the task's own copy of its argument, and that by bindings. */
static void *copy_of(struct sc_task *task)
{
	return (char *)task + rounded(sizeof *task);
}

static int call(const struct sc_task *task)
{
	return SC_UNLIKELY(task->locals) ? sc_locals_run(task) : task->slot.fn(task->slot.arg);
}

void sc_free_task(struct sc_task *task)
{
	if (task && task->owns_record)
		sc_os.free(task);
}

/* Inlined, or stolen from the deque: runs the record's function under its name. */
int sc_task_entry(void *arg)
{
	struct sc_task *task = arg;
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur & 1) {
		struct sc_running *running = &sc_untag(worker->cur)->running;

		running->what = task;
		running->site = (uintptr_t)task->slot.site | SC_RUNNING_NAMED;
	} else {
		worker->strand->task = task;
	}
	rc = call(task);
	worker = sc_self();
	/* A leaked scope may still use the record: whoever joins it frees the record then. */
	if (SC_UNLIKELY(!(worker->cur & 1) &&
			!(sc_state((struct sc_scope *)worker->cur) & SC_TASK)))
		return rc;
	/* The path of the error names the record, so the error is told while that lives. */
	if (SC_UNLIKELY(rc != 0))
		sc_failed(task->slot.scope, rc, worker->cur, task->slot.site, NULL);
	if (!(worker->cur & 1))
		worker->strand->task = NULL;
	sc_free_task(task);
	return 0;
}

void sc_leaver_ended(struct sc_scope *s, int rc)
{
	if (rc != 0)
		sc_child_ended(s, rc);
	if (s->running.site & SC_RUNNING_NAMED)
		sc_free_task((struct sc_task *)(uintptr_t)s->running.what);
}

/* ---- on a strand of its own -------------------------------------------------------------- */

static void begin(struct sc_worker *worker, struct sc_host *host, struct sc_scope *s)
{
	struct sc_scope *node = sc_node(&host->strand);

	node->parent = (uintptr_t)s;
	node->state = SC_TASK;
	at_store_rlx(&node->number, 0);
	sc_seal(node);
	host->errors = NULL;
	host->held = NULL;
	host->lingers = NULL;
	host->strand.since = 0; /* it has not parked: class.c */
	host->strand.ticked = 0;
	worker->cur = (uintptr_t)node;
	worker->floor = worker->bottom.top;
	host->strand.fiber.root->frame = s->frame;
	host->strand.fiber.root->return_address = s->site;
	host->strand.epoch = at_load_rlx(&sc_epoch);
	host->strand.cancelled = host->strand.soft = host->strand.regions = 0;
	/* Before the first cancel of a run nothing can be cancelled. */
	if (host->strand.epoch != 0) {
		host->strand.epoch--;
		sc_poke(worker);
	}
}

static void end(struct sc_host *host, struct sc_scope *s, int rc)
{
	struct sc_scope *node = sc_node(&host->strand);

	if (rc != 0)
		sc_failed(s, rc, (uintptr_t)node, host->strand.slot.site, NULL);
	if (SC_UNLIKELY(host->held))
		sc_held_end(host, s, (uintptr_t)node);
	if (sc_state(node) & SC_LINKED)
		sc_unlink(node);
	if (host->errors)
		sc_drop_errors(host, 0);
}

/* Stolen tasks of one scope become inlined children of a scope of the thief's own, which
 * counts them: the scope they came from hears of them once, when all have ended. */
static SC_NOINLINE void run_batch(struct sc_worker *worker, struct sc_strand *strand)
{
	struct sc_slot *slots = worker->bottom.top;
	struct sc_scope share;
	uint32_t i;

	sc_open_share(worker, &share);
	for (i = 0; i < strand->batch; i++)
		slots[i].scope = &share;
	strand->slot.fn = sc_range_entry; /* for reports: a share, no task */
	at_signal_fence();
	at_store_rlx(&worker->bottom.top, slots + strand->batch);
	if (sc_hungry()) /* a call before this switch is forgotten */
		sc_poke(worker);
	/* Its own result says no more than what the scope above has been told already. */
	scope_close((struct scope *)&share);
}

/* The same in a scope that looks at each end, and may keep the record. */
static struct sc_strand *end_joined(struct sc_host *host, struct sc_scope *s, int rc)
{
	struct sc_task *task = host->strand.task;
	enum sc_heard heard = sc_joiner_hear(s, task, rc, (uintptr_t)sc_node(&host->strand));

	end(host, s, 0);
	host->strand.task = NULL;
	if (heard == SC_HEARD_AGAIN) {
		sc_submit(task);
		return NULL;
	}
	sc_class_end(s, &host->strand, rc);
	if (heard == SC_HEARD)
		sc_free_task(task);
	sc_joiner_leave(s);
	return sc_counted_ended(s, rc);
}

struct sc_strand *sc_run_task(struct sc_strand *strand)
{
	struct sc_host *host = sc_host(strand);
	struct sc_scope *s = strand->slot.scope;
	struct sc_worker *worker = sc_self();
	struct sc_task *task = strand->task;
	uint32_t units = strand->batch;
	int rc = 0;

	begin(worker, host, s);
	if (SC_UNLIKELY(task && task->locals))
		rc = sc_locals_run(task);
	else if (SC_LIKELY(units == 1))
		rc = strand->slot.fn(strand->slot.arg);
	else
		run_batch(worker, strand);
	worker = sc_self();
	if (SC_UNLIKELY(worker->cur != (uintptr_t)sc_node(strand))) {
		strand->result = rc;
		sc_join_leaks(worker);
		rc = sc_leaks_joined();
	}
	if (sc_joiner_hears(s, task))
		return end_joined(host, s, rc);
	end(host, s, rc);
	sc_free_task(task);
	if (SC_UNLIKELY(strand->task != task))
		sc_free_task(strand->task); /* it left scopes open: see sc_task_entry */
	strand->task = NULL;
	return sc_state(s) & SC_COUNTED ? sc_counted_ended(s, rc) : sc_units_end(s, units);
}

struct sc_strand *sc_refuse_task(struct sc_slot *slot, struct sc_task *task)
{
	const struct sc_slot *given = slot ? slot : &task->slot;
	struct sc_task *record = given->fn == sc_task_entry ? given->arg : task;
	/* Not the record's: if it was stolen with others it is a unit of their share. */
	struct sc_scope *s = given->scope;

	sc_failed(s, -ENOMEM, 0, record ? record->slot.site : given->site,
		  "no stack can be had for this task, which may not run on its "
		  "parent's: spawn fewer at once or recurse less deeply, take a smaller "
		  "scope_config.stack_size, or raise vm.max_map_count or the limit of "
		  "address space (ulimit -v)");
	if (given->fn == sc_range_entry)
		sc_range_refused(given->arg);
	if (record && record->drop)
		record->drop(record->slot.arg);
	if (task)
		task->result = -ENOMEM;
	if (record != task)
		sc_free_task(record);
	if (sc_joiner_hears(s, task))
		sc_joiner_missed(s);
	sc_free_task(task);
	return sc_state(s) & SC_COUNTED ? sc_counted_ended(s, -ENOMEM) : sc_units_end(s, 1);
}

/* ---- spawning with a record -------------------------------------------------------------- */

enum {
	KNOWN_FLAGS = SCOPE_CONCURRENT | SCOPE_PINNED | SCOPE_SERVICE | SCOPE_NOWAIT |
		      SCOPE_COPY_LOCALS
};

int sc_spawn_options_valid(const struct scope_spawn_options *options)
{
	return !options ||
	       (!(options->flags & ~(unsigned)KNOWN_FLAGS) && SC_UNRESERVED(options));
}

int sc_spawn_options_plain(const struct scope_spawn_options *options)
{
	return sc_spawn_options_valid(options) &&
	       (!options || (!options->restart && !options->grace_ns));
}

static int spawn_record(struct sc_worker *worker, struct sc_scope *s, struct sc_task *task,
			unsigned flags)
{
	struct sc_slot slot = {sc_task_entry, task->slot.site, task, s};
	int joined = sc_is_joined(s), rc = 0;

	if (flags & SCOPE_PINNED)
		task->pinned = worker;
	if (joined || (flags & (SCOPE_PINNED | SCOPE_CONCURRENT | SCOPE_SERVICE)) ||
	    sc_untag(worker->cur) != s) {
		if (flags & SCOPE_SERVICE)
			rc = sc_spawn_service(worker, s, task);
		else if (joined)
			rc = sc_joiner_spawn(task, flags);
		else
			sc_accept(task);
		worker = sc_self();
		if (rc == 0 && (flags & SCOPE_CONCURRENT) && !sc_hungry()) {
			/* Nobody to take it: the next checkpoint here gives way (P9). */
			at_store_rlx(&worker->tick, 1);
			sc_poke(worker);
		}
		return rc;
	}
	rc = sc_push(worker, &slot);
	if (rc < 0)
		sc_free_task(task);
	return rc;
}

struct sc_task *sc_new_task(const void *arg, size_t copy_size,
			    const struct scope_spawn_options *options)
{
	int locals = options && (options->flags & SCOPE_COPY_LOCALS);
	size_t seen = locals ? sc_locals_seen() : 0, size;
	struct sc_task *task;

	if (copy_size >= SIZE_MAX / 2)
		return NULL;
	size = rounded(sizeof *task) + rounded(copy_size);
	task = sc_os.alloc(seen ? size + sizeof(struct sc_locals) + seen * sizeof(struct sc_local)
				: size);
	if (!task)
		return NULL;
	memset(task, 0, sizeof *task);
	task->slot.arg = (void *)(uintptr_t)arg;
	task->owns_record = 1;
	if (copy_size) {
		memcpy(copy_of(task), arg, copy_size);
		task->slot.arg = copy_of(task);
	}
	if (options) {
		task->name = options->name;
		task->drop = options->drop;
	}
	if (seen) {
		struct sc_locals *copies = (struct sc_locals *)((char *)task + size);

		sc_locals_copy(copies);
		task->locals = copies;
	}
	return task;
}

int sc_spawn_task(struct sc_scope *s, struct sc_task *task)
{
	struct sc_worker *worker = sc_self();
	int rc = sc_refused(worker, s);

	task->slot.scope = s;
	if (rc == 0)
		return spawn_record(worker, s, task, 0);
	sc_free_task(task);
	return rc;
}

static int spawn_with(struct sc_worker *worker, struct sc_scope *s, scope_task_fn *fn,
		      const void *arg, size_t copy_size,
		      const struct scope_spawn_options *options, const void *site)
{
	struct sc_task *task;
	int rc = sc_refused(worker, s);

	if (rc < 0)
		return rc;
	task = sc_new_task(arg, copy_size, options);
	if (!task) {
		sc_failed(s, -ENOMEM, 0, site, "no memory to spawn a task");
		return -ENOMEM;
	}
	task->slot.fn = fn;
	task->slot.site = site;
	task->slot.scope = s;
	return spawn_record(worker, s, task, options ? options->flags : 0);
}

int sc_spawn_with(struct sc_scope *s, scope_task_fn *fn, const void *arg, size_t copy_size,
		  const struct scope_spawn_options *options, const void *site)
{
	struct sc_worker *worker = sc_self();
	int rc;

	if (worker->cur == 0)
		return sc_not_connected("scope_spawn_with");
	sc_check_given("spawn into", s);
	sc_check_function("spawn of", fn);
	if (!s || !fn)
		return -EINVAL;
	if (!sc_begin_use(s))
		return -ESTALE;
	rc = spawn_with(worker, s, fn, arg, copy_size, options, site);
	sc_end_use(s);
	return rc;
}

int scope_spawn_with(struct scope *public, scope_task_fn *fn, void *arg,
		     const struct scope_spawn_options *options)
{
	if (!sc_spawn_options_plain(options))
		return sc_self()->cur == 0 ? sc_not_connected("scope_spawn_with") : -EINVAL;
	return sc_spawn_with(sc_view(public), fn, arg, options ? options->copy_size : 0, options,
			  __builtin_return_address(0));
}

int scope_spawn_copy(struct scope *public, scope_task_fn *fn, const void *value, size_t size)
{
	return sc_spawn_with(sc_view(public), fn, value, size, NULL, __builtin_return_address(0));
}
