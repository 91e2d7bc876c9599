/* tests/model/cancel.cc: models of the tree under a cancel: locks, lazy links, walks, waiters,
 * the epoch; runtime/scope/cancel.c, and of runtime/scope/attend.c what looks at the epoch.
 */
#include "runtime.hpp"

static SC_WORD(uint32_t) woken; /* strands that a walk claimed and queued */

#include "sched/timers.c"
#include "sched/wheel.c"
#include "scope/cancel.c"

static struct sc_item *first_woken;

void sc_ready_batch(struct sc_batch *batch)
{
	if (!batch->first)
		return;
	first_woken = batch->first;
	at_add_acqrel(&woken, 1 + first_woken->packed);
}

void sc_notify(void) {}
void sc_wake_worker(struct sc_worker *) {}
unsigned sc_ring_steal(struct sc_ring *, struct sc_item **, unsigned)
{
	return 0;
}

static unsigned poked;

void sc_poke_all(void)
{
	at_fence_sc();
	poked++;
}

template <class T, int threads> struct tree_test : model::test<T, threads> {
	struct sc_worker workers[3];
	struct sc_strand strand[2];
	struct sc_card card[2];
	struct sc_scope top, middle, leaf[2];
	SC_PLAIN(uint32_t) gone[2]; /* the memory of a leaf after its close */

	void open(struct sc_scope *s, struct sc_scope *parent)
	{
		memset((void *)s, 0, sizeof *s);
		s->parent = (uintptr_t)parent;
	}

	/* top, below it middle, below that two leaves; only the root is linked. */
	void set_up()
	{
		unsigned i;

		model::set_up_workers(workers, 3);
		open(&sc_root, NULL);
		sc_root.state = SC_LINKED;
		sc_epoch = 0;
		woken = 0;
		poked = 0;
		open(&top, &sc_root);
		open(&middle, &top);
		for (i = 0; i < 2; i++) {
			open(&leaf[i], &middle);
			model::set_up_strand(&strand[i], &card[i]);
			gone[i] = 0;
		}
	}

	/* What sc_wait_post does, without a timer: true if it parked. */
	bool park(unsigned i)
	{
		sc_wait_prepare(&strand[i]);
		if (!sc_register(&workers[i], &strand[i], &leaf[i]))
			sc_wait_claim(&strand[i], SC_WAIT_CANCEL);
		return sc_wait_commit(&strand[i]);
	}

	/* The same invariant as in tree.h, when all is still. */
	void check_links(struct sc_scope *s)
	{
		struct sc_scope *child;

		for (child = s->children; child; child = child->next) {
			MODEL_CHECK(child->state & SC_LINKED);
			MODEL_CHECK(!(child->state & SC_OUTER) == !effective(s->state));
			MODEL_CHECK(!(child->state & SC_SOFT_OUTER) == !stopped(s->state));
			MODEL_CHECK(*child->link == child);
			check_links(child);
		}
	}
};

/* ---- a cancel finds who parks ---- */

/* Whoever is first, the other sees it: no parked strand is left in a cancelled scope. */
struct park_against_cancel : tree_test<park_against_cancel, 2> {
	bool parked;

	void thread(unsigned index)
	{
		if (index)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			parked = park(0);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::bound<park_against_cancel> park_against_cancel(
	"cancel/who_parks_while_a_cancel_walks_is_found", 2);

static void stop(struct sc_scope *s)
{
	struct sc_batch batch = {NULL, NULL, 0};

	sc_scope_lock(s);
	sc_stop_softly(s, &batch);
	sc_scope_unlock(s);
	sc_announce();
	sc_ready_batch(&batch);
}

/* The strand has waited there before and its waiter is still registered, in a place that a cancel
 * reaches now, before, or between: the second wait is ended by it, or the first. */
struct linger_against_cancel : tree_test<linger_against_cancel, 2> {
	SC_PLAIN(int) context; /* of the strand, for whoever continues it */
	bool parked;

	void thread(unsigned index)
	{
		if (index) {
			sc_cancel(&leaf[0], SCOPE_CAUSE_EXPLICIT);
			if (at_load_rlx(&woken))
				context = 2;
			return;
		}
		parked = false;
		sc_wait_prepare(&strand[0]);
		if (!sc_register(&workers[0], &strand[0], &leaf[0]))
			return;
		sc_wait_claim(&strand[0], SC_WAIT_EVENT);
		if (sc_wait_outcome(&strand[0]) != SC_WAIT_EVENT)
			return;
		context = 1;
		parked = sc_commit_again(&workers[0], &strand[0], &leaf[0]);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::bound<linger_against_cancel> linger_against_cancel(
	"cancel/who_waits_again_while_a_cancel_walks_is_found", 2);

/* The same of a wait that may end before it is committed. */
struct prepared_against_cancel : tree_test<prepared_against_cancel, 2> {
	bool parked;

	void thread(unsigned index)
	{
		if (index) {
			sc_cancel(&leaf[0], SCOPE_CAUSE_EXPLICIT);
			return;
		}
		parked = false;
		sc_wait_prepare(&strand[0]);
		if (!sc_register(&workers[0], &strand[0], &leaf[0]))
			return;
		sc_wait_claim(&strand[0], SC_WAIT_EVENT);
		if (sc_wait_outcome(&strand[0]) != SC_WAIT_EVENT)
			return;
		sc_wait_prepare(&strand[0]);
		if (!sc_register_again(&leaf[0]))
			sc_register(&workers[0], &strand[0], &leaf[0]);
		parked = sc_wait_commit(&strand[0]);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::bound<prepared_against_cancel> prepared_against_cancel(
	"cancel/who_prepares_a_wait_again_while_a_cancel_walks_is_found", 2);

/* The same of a soft stop, which the first wait did not want to hear of. */
struct linger_against_stop : tree_test<linger_against_stop, 2> {
	bool parked;

	void thread(unsigned index)
	{
		if (index) {
			stop(&leaf[0]);
			return;
		}
		sc_wait_prepare(&strand[0]);
		sc_register(&workers[0], &strand[0], &leaf[0]);
		sc_wait_claim(&strand[0], SC_WAIT_EVENT);
		at_store_rlx(&card[0].waits_softly, 1);
		parked = sc_commit_again(&workers[0], &strand[0], &leaf[0]);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_SHUTDOWN);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::bound<linger_against_stop> linger_against_stop(
	"cancel/who_waits_again_softly_while_a_soft_stop_walks_is_found", 2);

/* The same for a soft stop, which reaches strand 0 and leaves strand 1 where it is. */
struct park_against_stop : tree_test<park_against_stop, 3> {
	bool parked[2];

	void set_up()
	{
		tree_test<park_against_stop, 3>::set_up();
		middle.state = SC_SHIELD;
	}
	void thread(unsigned index)
	{
		if (index == 2) {
			stop(&top);
			return;
		}
		sc_wait_prepare(&strand[index]);
		card[index].waits_softly = index == 0;
		sc_register(&workers[index], &strand[index], &leaf[index]);
		parked[index] = sc_wait_commit(&strand[index]);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_SHUTDOWN);
		MODEL_CHECK(card[1].wait == SC_WAIT_WAITING);
		MODEL_CHECK(parked[1] && (leaf[1].state & SC_WAITER));
		MODEL_CHECK(woken == parked[0]);
		check_links(&sc_root);
	}
};
static model::random<park_against_stop> park_against_stop(
	"cancel/who_parks_softly_while_a_soft_stop_walks_is_found", 20000);

/* A cancel and a soft stop: one of them ends the wait. */
struct stop_against_cancel : tree_test<stop_against_cancel, 3> {
	bool parked;

	void thread(unsigned index)
	{
		if (index == 2) {
			stop(&middle);
		} else if (index == 1) {
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		} else {
			sc_wait_prepare(&strand[0]);
			card[0].waits_softly = 1;
			sc_register(&workers[0], &strand[0], &leaf[0]);
			parked = sc_wait_commit(&strand[0]);
		}
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_SHUTDOWN || card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::random<stop_against_cancel> stop_against_cancel(
	"cancel/a_cancel_and_a_soft_stop_end_a_wait_once", 20000);

/* Two strands link the same scopes from below. */
struct two_link : tree_test<two_link, 3> {
	bool parked[2];

	void thread(unsigned index)
	{
		if (index == 2)
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		else
			parked[index] = park(index);
	}
	void check()
	{
		unsigned i;

		for (i = 0; i < 2; i++)
			MODEL_CHECK(card[i].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == (unsigned)parked[0] + parked[1]);
		check_links(&sc_root);
	}
};
static model::random<two_link> two_link(
	"cancel/two_strands_link_while_a_cancel_walks", 20000);

struct linked_once : tree_test<linked_once, 2> {
	void thread(unsigned index)
	{
		sc_link(&workers[index], &leaf[index]);
	}
	void check()
	{
		MODEL_CHECK(sc_root.children == &top && !top.next);
		MODEL_CHECK(top.children == &middle && !middle.next);
		MODEL_CHECK(leaf[0].next == &leaf[1] || leaf[1].next == &leaf[0]);
		check_links(&sc_root);
	}
};
static model::random<linked_once> linked_once(
	"cancel/two_strands_link_each_scope_once", 20000);

/* ---- nothing that a walk can reach is freed ---- */

/* Siblings close while a cancel walks over them; their memory is written to at once. */
struct unlink_against_walk : tree_test<unlink_against_walk, 3> {
	void set_up()
	{
		tree_test<unlink_against_walk, 3>::set_up();
		sc_link(&workers[0], &leaf[0]);
		sc_link(&workers[0], &leaf[1]);
	}
	void thread(unsigned index)
	{
		if (index == 2) {
			sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
			return;
		}
		sc_unlink(&leaf[index]);
		leaf[index].next = NULL;
		leaf[index].link = NULL;
		leaf[index].children = &top;
	}
	void check()
	{
		MODEL_CHECK(!middle.children);
		check_links(&sc_root);
	}
};
static model::bound<unlink_against_walk> unlink_against_walk(
	"cancel/closed_scopes_are_out_of_reach_of_a_walk", 2);

struct two_unlink : tree_test<two_unlink, 2> {
	void set_up()
	{
		tree_test<two_unlink, 2>::set_up();
		sc_link(&workers[0], &leaf[0]);
		sc_link(&workers[0], &leaf[1]);
	}
	void thread(unsigned index)
	{
		sc_unlink(&leaf[index]);
		leaf[index].next = NULL;
	}
	void check()
	{
		MODEL_CHECK(!middle.children);
	}
};
static model::full<two_unlink> two_unlink("cancel/siblings_unlink_each_other_from_one_list");

/* One closes, another is linked into the same list. */
struct link_against_unlink : tree_test<link_against_unlink, 2> {
	void set_up()
	{
		tree_test<link_against_unlink, 2>::set_up();
		sc_link(&workers[0], &leaf[0]);
	}
	void thread(unsigned index)
	{
		if (index)
			sc_link(&workers[1], &leaf[1]);
		else
			sc_unlink(&leaf[0]);
	}
	void check()
	{
		MODEL_CHECK(middle.children == &leaf[1] && !leaf[1].next);
		check_links(&sc_root);
	}
};
static model::bound<link_against_unlink> link_against_unlink(
	"cancel/one_unlinks_while_its_sibling_links", 3);

/* ---- the waiter ---- */

/* A strand that something else woke parks again: the walk that found its first wait must not
 * end the second, and must not miss it. */
struct park_again : tree_test<park_again, 2> {
	bool first, second;

	void set_up()
	{
		tree_test<park_again, 2>::set_up();
		MODEL_CHECK(park(0));
	}
	void thread(unsigned index)
	{
		if (index) {
			sc_cancel(&leaf[0], SCOPE_CAUSE_EXPLICIT);
			return;
		}
		first = sc_wait_claim(&strand[0], SC_WAIT_EVENT);
		if (!first) /* the cancel won, and continues it */
			while (!at_load_acq(&woken))
				model::yield();
		else /* who was cancelled leaves that to the walk */
			sc_unregister(&leaf[0]);
		second = park(0);
	}
	void check()
	{
		MODEL_CHECK(!(leaf[0].state & SC_WAITER));
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == (unsigned)!first + second);
	}
};
static model::bound<park_again> park_again(
	"cancel/a_walk_ends_the_wait_that_it_found", 2);

/* A shield is taken off while its strand parks. */
struct unshield : tree_test<unshield, 2> {
	bool parked;

	void set_up()
	{
		tree_test<unshield, 2>::set_up();
		sc_cancel(&top, SCOPE_CAUSE_EXPLICIT);
		middle.state = SC_SHIELD;
	}
	void thread(unsigned index)
	{
		if (index)
			sc_set_shield(&middle, 0);
		else
			parked = park(0);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL);
		MODEL_CHECK(woken == parked);
		check_links(&sc_root);
	}
};
static model::bound<unshield> unshield(
	"cancel/who_parks_while_a_shield_comes_off_is_found", 2);

/* A cancel from above and one of the scope itself: the waiter is queued once. */
struct two_cancels : tree_test<two_cancels, 2> {
	bool parked;

	void set_up()
	{
		tree_test<two_cancels, 2>::set_up();
		MODEL_CHECK(park(0));
	}
	void thread(unsigned index)
	{
		sc_cancel(index ? &top : &leaf[0], SCOPE_CAUSE_EXPLICIT);
	}
	void check()
	{
		MODEL_CHECK(card[0].wait == SC_WAIT_CANCEL && woken == 1);
		MODEL_CHECK((leaf[0].state & (SC_OWN | SC_OUTER)) == (SC_OWN | SC_OUTER));
		check_links(&sc_root);
	}
};
static model::bound<two_cancels> two_cancels(
	"cancel/two_cancels_wake_a_strand_once", 2);
