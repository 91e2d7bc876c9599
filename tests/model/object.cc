/* tests/model/object.cc: a model of runtime/scope/object.c: who closes a scope in an object seals
 * it when its last unit has ended, and sees what that wrote.
 */
#include "runtime.hpp"

#include "sched/wheel.c"
#include "scope/cancel.c"
#include "scope/join.c"
#include "scope/object.c"

struct sealed : model::test<sealed, 2> {
	struct sc_worker worker;
	struct sc_scope s;
	SC_PLAIN(uint32_t) left; /* what the unit wrote */

	void set_up()
	{
		model::set_up_workers(&worker, 1);
		memset((void *)&s, 0, sizeof s);
		s.state = SC_COUNTED | SC_SHARED;
		s.count = 1;
		left = 0;
	}
	void thread(unsigned index)
	{
		if (index) {
			left = 1;
			MODEL_CHECK(!sc_units_end(&s, 1));
			return;
		}
		while (!seal_off(&s))
			model::yield();
		MODEL_CHECK(left == 1);
		MODEL_CHECK(at_load_rlx(&s.count) == SC_SEALED);
	}
};
static model::bound<sealed> sealed("object/a_seal_follows_the_last_unit", 3);
