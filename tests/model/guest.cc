/* tests/model/guest.cc: a model of runtime/sched/guest.c: what a run consists of is there for each
 * guest that enters, and is taken down when all have left.
 */
#include "runtime.hpp"

#include "sched/wheel.c"
#include "sched/guest.c"

struct visited : model::test<visited, 3> {
	SC_PLAIN(uint32_t) run;      /* what it consists of: 1 while it is there */
	SC_PLAIN(uint32_t) wrote[2]; /* by a guest, for what comes after the run */
	SC_WORD(uint32_t) inside;    /* guests that are or were */

	void set_up()
	{
		model::set_up_system();
		gate = 0;
		run = 0;
		wrote[0] = 0;
		wrote[1] = 0;
		inside = 0;
	}
	/* The first guest calls again until there is a run, the second does not. */
	void visit(unsigned guest)
	{
		while (!sc_guest_enter()) {
			if (guest)
				return;
			model::yield();
		}
		MODEL_CHECK(run == 1);
		wrote[guest] = 1;
		at_or_rlx(&inside, 1u << guest);
		sc_guest_leave();
	}
	void thread(unsigned index)
	{
		uint32_t seen;

		if (index < 2) {
			visit(index);
			return;
		}
		run = 1;
		sc_guest_open();
		while (!(at_load_rlx(&inside) & 1))
			model::yield();
		sc_guest_close();
		seen = at_load_rlx(&inside);
		MODEL_CHECK(wrote[0] == 1);
		MODEL_CHECK(!(seen & 2) || wrote[1] == 1);
		run = 0;
	}
	void check()
	{
		MODEL_CHECK(gate == 0);
	}
};
static model::bound<visited> visited("guest/a_run_is_there_for_its_guests", 3);
