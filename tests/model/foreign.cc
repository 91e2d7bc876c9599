/* tests/model/foreign.cc: a model of runtime/scope/foreign.c: a thread that is no worker waits
 * for the task that it called.
 */
#include "runtime.hpp"

#include "sched/wheel.c"
#include "scope/foreign.c"

static struct sc_scope scope;
static struct sc_slot queued;
static SC_WORD(uint32_t) is_queued;
static SC_PLAIN(uint32_t) answer; /* what the task wrote */

int sc_guest_enter(void)
{
	return 1;
}

struct sc_scope *sc_hold(const struct sc_right *)
{
	return &scope;
}

int sc_queue_slot(const struct sc_slot *slot, void (*)(void *))
{
	queued = *slot;
	at_store_rel(&is_queued, 1);
	return 0;
}

int sc_effective(struct sc_scope *)
{
	return 0;
}

void sc_drop_units(struct sc_scope *, uint32_t) {}
void sc_guest_leave(void) {}

static int write_answer(void *)
{
	answer = 42;
	return 7;
}

struct called : model::test<called, 2> {
	struct sc_worker worker;

	void set_up()
	{
		model::set_up_workers(&worker, 1);
		memset((void *)&scope, 0, sizeof scope);
		is_queued = 0;
		answer = 0;
	}
	void thread(unsigned index)
	{
		struct scope_ref ref;

		if (!index) { /* the worker */
			while (!at_load_acq(&is_queued))
				model::yield();
			queued.fn(queued.arg);
			return;
		}
		memset(&ref, 0, sizeof ref);
		MODEL_CHECK(scope_call(&ref, write_answer, NULL) == 7);
		MODEL_CHECK(answer == 42);
	}
};
static model::bound<called> called("foreign/a_call_sees_what_its_task_wrote", 3);
