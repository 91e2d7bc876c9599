/* tests/model/common/search.cc: Relacy's searches, compiled once for the tests of all models.
 *
 * Its templates take the number of threads and the kind of search; the test is behind a pointer.
 */
#include "common/search.hpp"

namespace model
{

static const listed *under_way;

template <rl::thread_id_t threads> static void set_unread_by(rl::atomic_data *data)
{
	rl::atomic_data_impl<threads> *impl = static_cast<rl::atomic_data_impl<threads> *>(data);
	rl::thread_id_t i;

	for (i = 0; i < threads; i++)
		impl->history_[impl->current_index_].first_seen_order_[i] = (rl::timestamp_t)-1;
}

template <int threads> struct suite : rl::test_suite<suite<threads>, threads> {
	program *test;

	void before()
	{
		begin_schedule();
		set_unread = set_unread_by<threads>;
		test = under_way->make();
		test->set_up();
	}
	void thread(unsigned index)
	{
		test->thread(index);
	}
	void after()
	{
		test->check();
		test->~program();
		end_schedule();
	}
};

template <int threads>
static rl::test_result_e search_with(rl::test_params &params, std::ostream &state, bool replay)
{
	typedef suite<threads> tests;

	switch (params.search_type) {
	case rl::sched_full:
		return rl::run_test<tests, rl::full_search_scheduler<threads> >(params, state,
										replay);
	case rl::sched_bound:
		return rl::run_test<tests, rl::context_bound_scheduler<threads> >(params, state,
										  replay);
	default:
		return rl::run_test<tests, rl::random_scheduler<threads> >(params, state, replay);
	}
}

rl::test_result_e search(const listed *model, rl::test_params &params, std::ostream &state,
			 bool replay)
{
	under_way = model;
	return model->threads == 2 ? search_with<2>(params, state, replay)
				   : search_with<3>(params, state, replay);
}

} // namespace model
