/* tests/model/dump.cc: a model of runtime/scope/dump.c: a dump asks the thread of a worker where
 * it is as soon as that is known.
 */
#include "runtime.hpp"

#include "sched/wheel.c"
#include "scope/dump.c"

static struct sc_fiber fiber;

int sc_os_peek(void *out, const void *from, size_t size)
{
	memcpy(out, from, size);
	return 0;
}

int sc_os_where(struct sc_thread thread, struct sc_frames *)
{
	MODEL_CHECK(thread.handle == 1);
	return -1;
}

struct looked_at : model::test<looked_at, 2> {
	struct sc_worker workers[2];
	struct sc_sight task;

	void set_up()
	{
		model::set_up_workers(workers, 2);
		memset((void *)&task, 0, sizeof task);
		task.worker = &workers[1];
		task.reason = SC_RUNNING;
		task.fiber = &fiber;
	}
	void thread(unsigned index)
	{
		struct sc_frames frames;

		if (!index) {
			memset((void *)&frames, 0, sizeof frames);
			find_frames(&task, &frames);
			return;
		}
		workers[1].thread.handle = 1; /* as who starts it: sched/start.c */
		at_store_rel(&workers[1].known, 1);
	}
};
static model::full<looked_at> looked_at("dump/a_thread_is_asked_when_it_is_known");
