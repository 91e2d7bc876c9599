/* tests/model/attend.cc: models of the call for attention: who sets a reason and calls against the
 * owner who takes the call back, runtime/sched/idle.c and monitor.c, scope/attend.c and join.c.
 */
#include "sched.hpp"

#include "scope/attend.c"
#include "scope/cancel.c"
#include "scope/join.c"

#include "join.hpp"

void sc_overdue(struct sc_scope *) {}
int sc_in_region(struct sc_worker *)
{
	return 0;
}

/* Worker 0 runs a strand in a scope of its own; worker 1 and others call. */
template <class T> struct attend_test : model::test<T, 2> {
	struct sc_worker workers[2];
	struct sc_host host;
	struct sc_scope node, s;
	struct sc_slot slots[64];

	void set_up()
	{
		model::set_up_workers(workers, 2);
		memset((void *)&host, 0, sizeof host);
		model::set_up_strand(&host.strand);
		memset((void *)&node, 0, sizeof node);
		memset((void *)&s, 0, sizeof s);
		memset((void *)&sc_root, 0, sizeof sc_root);
		sc_root.state = SC_LINKED;
		sc_epoch = 0;
		node.parent = (uintptr_t)&sc_root;
		node.state = SC_TASK;
		s.parent = (uintptr_t)&node;
		sc_deque_init(&workers[0].deque, &workers[0].bottom, slots, 64);
		s.base = workers[0].bottom.top;
		workers[0].strand = &host.strand;
		workers[0].cur = (uintptr_t)&s;
	}

	bool called_to_close()
	{
		return workers[0].stack_limit == UINTPTR_MAX;
	}
	bool called_to_spawn()
	{
		return !workers[0].bottom.lim;
	}
	bool called()
	{
		return called_to_close() && called_to_spawn();
	}
	void spawn()
	{
		struct sc_slot slot;

		memset((void *)&slot, 0, sizeof slot);
		slot.scope = &s;
		sc_push(workers, &slot);
	}
};

/* ---- a cancel ---- */

struct cancelled : attend_test<cancelled> {
	void thread(unsigned index)
	{
		if (index)
			sc_cancel(&sc_root, SCOPE_CAUSE_EXPLICIT);
		else
			sc_attend(workers);
	}
	void check()
	{
		MODEL_CHECK(called() || host.strand.cancelled);
	}
};
static model::bound<cancelled> cancelled("attend/who_attends_hears_of_a_cancel", 3);

struct cancelled_in_spawn : attend_test<cancelled_in_spawn> {
	void thread(unsigned index)
	{
		if (index)
			sc_cancel(&sc_root, SCOPE_CAUSE_EXPLICIT);
		else
			spawn();
	}
	void check()
	{
		MODEL_CHECK(called());
	}
};
static model::bound<cancelled_in_spawn> cancelled_in_spawn(
	"attend/who_spawns_hears_of_a_cancel", 3);

/* ---- the monitor's tick ---- */

struct ticked : attend_test<ticked> {
	void thread(unsigned index)
	{
		if (index)
			tick_worker(workers);
		else
			sc_attend(workers);
	}
	void check()
	{
		MODEL_CHECK(called() || !workers[0].tick);
	}
};
static model::full<ticked> ticked("attend/who_attends_hears_of_a_tick");

struct ticked_in_spawn : attend_test<ticked_in_spawn> {
	void thread(unsigned index)
	{
		if (index)
			tick_worker(workers);
		else
			spawn();
	}
	void check()
	{
		MODEL_CHECK(called());
	}
};
static model::full<ticked_in_spawn> ticked_in_spawn("attend/who_spawns_hears_of_a_tick");

/* ---- a worker that falls asleep ---- */

template <class T> struct hungry_test : attend_test<T> {
	/* What sc_idle_sleep begins with. */
	void fall_asleep()
	{
		at_add_rel(&sc_sched.idle, SC_SLEEPING);
		sc_poke_all();
	}
	void check()
	{
		MODEL_CHECK(this->called_to_spawn() ||
			    sc_deque_exposed(&this->workers[0].deque));
	}
};

struct hungry : hungry_test<hungry> {
	void thread(unsigned index)
	{
		if (index)
			fall_asleep();
		else
			sc_attend(workers);
	}
};
static model::full<hungry> hungry("attend/who_attends_hears_of_a_sleeper");

struct hungry_in_spawn : hungry_test<hungry_in_spawn> {
	void thread(unsigned index)
	{
		if (index)
			fall_asleep();
		else
			spawn();
	}
};
static model::bound<hungry_in_spawn> hungry_in_spawn("attend/who_spawns_hears_of_a_sleeper",
						     4);
