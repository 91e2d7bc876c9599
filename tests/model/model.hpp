/* tests/model/model.hpp: what a model is, and how it is listed.
 *
 * A model is a C++ file that includes shipped sources and lists tests of them:
 *
 *	#include "model.hpp"
 *	#include "deque/deque.c"
 *
 *	struct two_thieves : model::test<two_thieves, 3> {
 *		void set_up();                 before each schedule
 *		void thread(unsigned index);   0, 1 and 2
 *		void check();                  after each schedule
 *	};
 *	static model::full<two_thieves> two_thieves("deque/each_slot_comes_out_once");
 *
 * The members of the test are made anew for each schedule; whatever else a schedule changes
 * set_up() has to reset.  Nothing may depend on addresses, on time, or on rand().
 *
 *   full     every schedule and every value that a load may see (at most one write old)
 *   bound    every schedule with at most that many switches that nothing forces
 *   random   as many schedules as given, drawn; a load may see a value two writes old
 */
#ifndef MODEL_MODEL_HPP
#define MODEL_MODEL_HPP

#include "base/atomic.h"

#define MODEL_CHECK(condition)                                                                     \
	do {                                                                                       \
		if (!(condition))                                                                  \
			model::fail(#condition, MODEL_HERE);                                       \
	} while (0)

namespace model
{

void fail(const char *text, rl::debug_info at) __attribute__((noreturn));
/* Lets the other threads go on: in each turn of a loop that waits. */
void yield();
void begin_schedule();
void end_schedule();

/* From now on `handler` may come `times` times in a thread, the calling one. */
void send_interrupt(unsigned thread, void (*handler)(void *arg), void *arg, unsigned times);
void arm_interrupt(void (*handler)(void *arg), void *arg, unsigned times);
void disarm_interrupt();

template <class T, int threads> struct test : rl::test_suite<T, threads> {
	void before()
	{
		begin_schedule();
		set_unread = set_unread_by<threads>;
		static_cast<T *>(this)->set_up();
	}
	void after()
	{
		static_cast<T *>(this)->check();
		end_schedule();
	}
	void set_up() {}
	void check() {}
};

/* ---- the list ---- */

struct listed {
	const char *name;
	const char *search; /* in words */
	listed *next;

	listed(const char *test_name, const char *search_name);
	virtual ~listed() {}
	virtual rl::scheduler_type_e kind() const = 0;
	virtual unsigned long limit() const = 0;
	/* A schedule that fails; replay: with its history, to where params say. */
	virtual rl::test_result_e run(rl::test_params &params, std::ostream &state,
				      bool replay) = 0;
};

template <class T, template <rl::thread_id_t> class Scheduler> struct listed_as : listed {
	listed_as(const char *test_name, const char *search_name) : listed(test_name, search_name)
	{
	}
	virtual rl::test_result_e run(rl::test_params &params, std::ostream &state, bool replay)
	{
		return rl::run_test<T, Scheduler<T::params::thread_count> >(params, state, replay);
	}
};

template <class T> struct full : listed_as<T, rl::full_search_scheduler> {
	full(const char *name) : listed_as<T, rl::full_search_scheduler>(name, "all") {}
	virtual rl::scheduler_type_e kind() const
	{
		return rl::sched_full;
	}
	virtual unsigned long limit() const
	{
		return 0;
	}
};

template <class T> struct bound : listed_as<T, rl::context_bound_scheduler> {
	unsigned long switches;

	bound(const char *name, unsigned long most)
		: listed_as<T, rl::context_bound_scheduler>(name, "bounded"), switches(most)
	{
	}
	virtual rl::scheduler_type_e kind() const
	{
		return rl::sched_bound;
	}
	virtual unsigned long limit() const
	{
		return switches;
	}
};

template <class T> struct random : listed_as<T, rl::random_scheduler> {
	unsigned long schedules;

	random(const char *name, unsigned long count)
		: listed_as<T, rl::random_scheduler>(name, "random"), schedules(count)
	{
	}
	virtual rl::scheduler_type_e kind() const
	{
		return rl::sched_random;
	}
	virtual unsigned long limit() const
	{
		return schedules;
	}
};

} // namespace model

#endif
