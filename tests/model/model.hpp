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

/* From now on `handler` may come `times` times in a thread, the calling one. */
void send_interrupt(unsigned thread, void (*handler)(void *arg), void *arg, unsigned times);
void arm_interrupt(void (*handler)(void *arg), void *arg, unsigned times);
void disarm_interrupt();

/* What search.cc runs. */
struct program {
	virtual ~program() {}
	virtual void set_up() {}
	virtual void thread(unsigned index) = 0;
	virtual void check() {}
};

template <class T, int count> struct test : program {
	static const int threads = count; /* 2 or 3, see common/search.cc */
};

/* ---- the list ---- */

struct listed {
	const char *name;
	rl::scheduler_type_e kind;
	unsigned long limit; /* switches, or schedules */
	int threads;
	program *(*make)();
	listed *next;

	listed(const char *test_name, rl::scheduler_type_e search, unsigned long most, int count,
	       program *(*maker)());
};

/* A schedule that fails; replay: with its history, to where params say. */
rl::test_result_e search(const listed *model, rl::test_params &params, std::ostream &state,
			 bool replay);

template <class T> program *make_anew()
{
	static void *memory = malloc(sizeof(T));

	return ::new (memory) T();
}

template <class T> struct full : listed {
	full(const char *name) : listed(name, rl::sched_full, 0, T::threads, make_anew<T>) {}
};

template <class T> struct bound : listed {
	bound(const char *name, unsigned long switches)
		: listed(name, rl::sched_bound, switches, T::threads, make_anew<T>)
	{
	}
};

template <class T> struct random : listed {
	random(const char *name, unsigned long schedules)
		: listed(name, rl::sched_random, schedules, T::threads, make_anew<T>)
	{
	}
};

} // namespace model

#endif
