/* tests/model/epoch.cc: models of attention, runtime/scope/attend.c: a strand that runs, in
 * scopes that no list holds, against who changes the tree above it, and its spawns,
 * runtime/scope/join.c, against the call.
 */
#include "runtime.hpp"

#include "deque/deque.c"
#include "deque/ready.c"
#include "sched/idle.c"
#include "sched/seed.c"
#include "sched/timers.c"
#include "sched/wheel.c"
#include "scope/attend.c"
#include "scope/cancel.c"
#include "scope/join.c"
#include "scope/time.c"

/* ---- what nobody here comes to ---- */

static void not_here()
{
	model::fail("no model comes here", MODEL_HERE);
}

void sc_park(struct sc_worker *, enum sc_reason, void (*)(struct sc_worker *, struct sc_strand *))
{
	not_here();
}

int sc_give_way(struct sc_worker *, int)
{
	return 0;
}

int sc_others_wait(struct sc_worker *)
{
	return 0;
}

int sc_hand_over(struct sc_worker *)
{
	return 0;
}

int sc_winds_up(struct sc_scope *)
{
	return 0;
}

uint64_t sc_progress(void)
{
	return 0;
}

struct sc_scope *sc_left_to_join(struct sc_scope *s)
{
	return sc_all_ended(s) ? NULL : s;
}

int sc_owns(struct sc_worker *, struct sc_scope *)
{
	return 0;
}

int sc_object_enter(struct sc_scope *)
{
	return 0;
}

int sc_close_object(struct sc_worker *, struct sc_scope *)
{
	return 0;
}

int sc_lineage_hold(void)
{
	return 0;
}

void sc_object_leave(struct sc_scope *) {}
void sc_lineage_drop(int) {}
void sc_close_body(struct sc_scope *) {}
int sc_outside_waits(void)
{
	return 0;
}

void sc_monitor_nudge(void) {}
void sc_land(void) {}
void sc_leaver_ended(struct sc_scope *, int) {}
void sc_failed(struct sc_scope *, int, uintptr_t, const void *, const char *) {}
void sc_keep_error(struct sc_scope *, int) {}
void sc_drop_extra(struct sc_scope *) {}
void sc_wind_up(struct sc_scope *) {}
void sc_skip_winding_up(void *) {}
void sc_drop_errors(struct sc_host *, uintptr_t) {}
void sc_arch_switch_aside(struct sc_context *, struct sc_aside *, const struct sc_context *) {}

int scope_open_with(struct scope *, const struct scope_options *)
{
	return 0;
}

int scope_close(struct scope *)
{
	return 0;
}

int scope_fail(struct scope *, int, const char *, ...)
{
	return 0;
}

/* ---- the tree ---- */

enum { NOW = 10, SLOTS = 4 };

static int64_t ten(void)
{
	return NOW;
}

/* Worker 0 runs a strand in `own`, of which nobody but that strand knows: own is in the node,
 * and that in top, which belongs to another strand. */
template <class T, int threads> struct attend_test : model::test<T, threads> {
	struct sc_worker workers[3];
	struct sc_host host;
	struct sc_leaf leaf;
	struct sc_scope top, own, *node;
	struct sc_slot slots[SLOTS];

	void open(struct sc_scope *s, uintptr_t parent, uint32_t state)
	{
		memset((void *)s, 0, sizeof *s);
		s->parent = parent;
		s->state = state;
	}

	void set_up()
	{
		struct sc_worker *worker = &workers[0];

		model::set_up_workers(workers, 3);
		sc_os.now = ten;
		sc_epoch = 0;
		memset((void *)&leaf, 0, sizeof leaf);
		memset((void *)&host, 0, sizeof host);
		model::set_up_strand(&host.strand, &leaf.card);
		node = sc_node(&host.strand);
		node->parent = (uintptr_t)&top;
		node->state = SC_TASK;
		memset((void *)slots, 0, sizeof slots);
		open(&sc_root, 0, SC_LINKED);
		open(&top, (uintptr_t)&sc_root, 0);
		open(&own, (uintptr_t)node, 0);
		sc_deque_init(&worker->deque, &worker->bottom, slots, SLOTS);
		worker->strand = &host.strand;
		worker->cur = (uintptr_t)&own;
		worker->bottom.lim = slots + SLOTS;
		own.base = slots;
		workers[1].cur = (uintptr_t)&top;
	}

	bool is_called()
	{
		return workers[0].stack_limit == UINTPTR_MAX && !workers[0].bottom.lim;
	}

	/* Under attention, or called: then it looks, and what it finds is what is so.  Nobody but
	 * the monitor would tell it again. */
	void check_cancelled()
	{
		MODEL_CHECK(host.strand.cancelled || host.strand.epoch != sc_epoch);
		MODEL_CHECK(is_called());
		MODEL_CHECK(sc_check(&workers[0]) == -ECANCELED);
		MODEL_CHECK(own.state & SC_OUTER);
		MODEL_CHECK(is_called());
	}
};

/* ---- cancels ---- */

/* Who notes an epoch has seen what it announces; when called for something else, too. */
struct cancel_above : attend_test<cancel_above, 2> {
	void set_up()
	{
		attend_test<cancel_above, 2>::set_up();
		workers[0].stack_limit = UINTPTR_MAX;
	}
	void thread(unsigned index)
	{
		if (index)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			sc_check(&workers[0]);
	}
	void check()
	{
		check_cancelled();
	}
};
static model::random<cancel_above> cancel_above(
	"attend/who_notes_a_cancel_has_seen_it", 10000);

/* A scope that is cancelled twice, at two places. */
struct two_cancels : attend_test<two_cancels, 3> {
	void thread(unsigned index)
	{
		if (index)
			sc_cancel(index == 1 ? &top : &own, SCOPE_CAUSE_EXPLICIT);
		else
			sc_check(&workers[0]);
	}
	void check()
	{
		MODEL_CHECK(host.strand.cancelled || host.strand.epoch != sc_epoch);
		MODEL_CHECK(is_called());
		MODEL_CHECK(sc_check(&workers[0]) == -ECANCELED);
		MODEL_CHECK(node->state & SC_OUTER);
		MODEL_CHECK(own.state & SC_OWN);
	}
};
static model::bound<two_cancels> two_cancels("attend/two_cancels_are_noted_one_by_one", 2);

/* The shield goes off a scope in a cancelled one. */
struct unshield : attend_test<unshield, 2> {
	void set_up()
	{
		attend_test<unshield, 2>::set_up();
		workers[0].stack_limit = UINTPTR_MAX;
		sc_root.state = SC_LINKED | SC_OWN;
		top.state = SC_SHIELD;
	}
	void thread(unsigned index)
	{
		if (index)
			sc_set_shield(&top, 0);
		else
			sc_check(&workers[0]);
	}
	void check()
	{
		check_cancelled();
	}
};
static model::random<unshield> unshield(
	"attend/who_notes_that_a_shield_is_off_has_seen_it", 10000);

/* A task of the strand's scope parks on another worker and links all of them meanwhile: then
 * walks bring up to date what the strand had to look for itself. */
struct linked_meanwhile : attend_test<linked_meanwhile, 3> {
	void thread(unsigned index)
	{
		if (index == 0)
			sc_check(&workers[0]);
		else if (index == 1)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			sc_link(&workers[2], &own);
	}
	void check()
	{
		MODEL_CHECK(own.state & node->state & top.state & SC_LINKED);
		MODEL_CHECK(own.state & node->state & SC_OUTER);
		check_cancelled();
	}
};
static model::random<linked_meanwhile> linked_meanwhile(
	"attend/a_scope_is_linked_while_its_owner_looks", 20000);

/* An owner that looks for another reason has found no cancel when this one comes: what it writes
 * is out of date then, and must not get among what the links say. */
struct looked_before : attend_test<looked_before, 3> {
	void set_up()
	{
		attend_test<looked_before, 3>::set_up();
		workers[0].cur = (uintptr_t)node;
		workers[0].stack_limit = UINTPTR_MAX;
		sc_link(&workers[2], &top);
		sc_epoch = 1;
	}
	void thread(unsigned index)
	{
		if (index == 0)
			sc_check(&workers[0]);
		else if (index == 1)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			sc_link(&workers[2], node);
	}
	void check()
	{
		MODEL_CHECK((node->state & SC_LINKED) && (node->state & SC_OUTER));
		MODEL_CHECK(sc_check(&workers[0]) == -ECANCELED);
	}
};
static model::bound<looked_before> looked_before(
	"attend/a_scope_is_linked_while_its_owner_writes_what_it_found", 2);

/* A task begins while a scope above it is cancelled for the first time. */
struct begins : attend_test<begins, 2> {
	void thread(unsigned index)
	{
		struct sc_worker *worker = &workers[0];

		if (index) {
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
			return;
		}
		sc_resume(worker);
		sc_check(worker);
	}
	void check()
	{
		MODEL_CHECK(host.strand.cancelled || host.strand.epoch != sc_epoch);
		MODEL_CHECK(sc_check(&workers[0]) == -ECANCELED);
	}
};
static model::bound<begins> begins("attend/a_strand_goes_on_while_it_is_cancelled", 3);

/* ---- the call ---- */

/* A spawn that set its limit anew asks whether it was called. */
struct called_spawn : attend_test<called_spawn, 2> {
	void thread(unsigned index)
	{
		struct sc_slot slot = {NULL, NULL, NULL, &own};

		if (index)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			MODEL_CHECK(sc_push(&workers[0], &slot) == 0);
	}
	void check()
	{
		check_cancelled();
	}
};
static model::bound<called_spawn> called_spawn(
	"attend/a_spawn_overwrites_no_call", 3);

/* ---- deadlines that only the owner looks at ---- */

template <class T> struct deadline_test : attend_test<T, 2> {
	int rc;

	void set_up()
	{
		attend_test<T, 2>::set_up();
		rc = 1;
		this->workers[0].tick = 1;
		this->workers[0].stack_limit = UINTPTR_MAX;
	}
	void move_to(int64_t when)
	{
		rc = scope_set_deadline((struct scope *)&this->own, when);
	}
};

/* It moves, or it has fired. */
struct moved : deadline_test<moved> {
	void set_up()
	{
		deadline_test<moved>::set_up();
		own.state = SC_DEADLINE;
		own.alarm.timer.when = NOW - 1;
	}
	void thread(unsigned index)
	{
		if (index)
			move_to(SC_NEVER);
		else
			sc_check(&workers[0]);
	}
	void check()
	{
		MODEL_CHECK(rc == 0 || rc == -EALREADY);
		MODEL_CHECK(!(own.state & SC_FIRED) == !(own.state & SC_OWN));
		MODEL_CHECK(!(own.state & SC_FIRED) == (rc == 0));
	}
};
static model::bound<moved> moved(
	"attend/a_deadline_that_was_moved_does_not_fire", 2);

/* Scopes are opened in memory that held anything: an old time is none of theirs. */
struct first_set : deadline_test<first_set> {
	void set_up()
	{
		deadline_test<first_set>::set_up();
		own.alarm.timer.when = 1;
	}
	void thread(unsigned index)
	{
		if (index)
			move_to(NOW + 1);
		else
			sc_check(&workers[0]);
	}
	void check()
	{
		MODEL_CHECK(rc == 0);
		MODEL_CHECK(!(own.state & (SC_FIRED | SC_OWN)));
	}
};
static model::bound<first_set> first_set(
	"attend/a_deadline_is_seen_with_its_time", 3);
