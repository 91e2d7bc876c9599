/* tests/model/start.cc: a model of runtime/scope/start.c: who lets a start go last frees it. */
#include "runtime.hpp"

#include "scope/start.c"

static SC_PLAIN(uint32_t) wrote[2]; /* what each of the two did to it before */
static unsigned freed;

static void free_both(void *)
{
	MODEL_CHECK(wrote[0] == 1 && wrote[1] == 1);
	freed++;
}

struct two_holders : model::test<two_holders, 2> {
	struct start start;

	void set_up()
	{
		model::set_up_system();
		sc_os.free = free_both;
		memset((void *)&start, 0, sizeof start);
		start.holders = 2;
		wrote[0] = 0;
		wrote[1] = 0;
		freed = 0;
	}
	void thread(unsigned index)
	{
		wrote[index] = 1;
		drop_hold(&start);
	}
	void check()
	{
		MODEL_CHECK(freed == 1);
	}
};
static model::full<two_holders> two_holders("start/the_last_of_two_holders_frees");
