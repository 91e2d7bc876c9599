/* tests/model/where.cc: models of runtime/os/where.c: a thread is asked where it is and answers in
 * a signal handler.
 */
#include "runtime.hpp"

#include <pthread.h>
#define pthread_self() ((pthread_t)rl::thread_index())

#include "sched/wheel.c"
#include "os/where.c"

enum { ASKER };
static SC_WORD(uint32_t) signalled; /* the thread that was last; 0: none yet */
static int64_t turns_left;          /* in which the clock stands still */

/* A handler sees what was written before its signal was sent. */
static void signal_it(struct sc_thread thread)
{
	at_store_rel(&signalled, (uint32_t)thread.handle);
}

static void wait_a_turn(const SC_WORD(uint32_t) *, uint32_t, int64_t)
{
	model::yield();
}

static int64_t stand_still()
{
	return 0;
}

static void wake_nobody(const SC_WORD(uint32_t) *, int) {}

template <class T, int threads> struct where_test : model::test<T, threads> {
	struct sc_frames frames;

	void set_up(int64_t (*now)())
	{
		model::set_up_system();
		sc_os.now = now;
		sc_os.wait = wait_a_turn;
		sc_os.wake = wake_nobody;
		sc_os.thread_signal = signal_it;
		where.lock.word = 0;
		where.state = 0;
		where.thread = 0;
		where.out = NULL;
		signalled = 0;
		memset((void *)&frames, 0, sizeof frames);
	}
	/* What a handler finds in thread `me`. */
	void tell(unsigned me)
	{
		ucontext_t context;

		memset(&context, 0, sizeof context);
#if defined(__x86_64__)
		context.uc_mcontext.gregs[REG_RIP] = me;
#else
		context.uc_mcontext.pc = me;
#endif
		sc_os_tell_where(&context);
	}
	int ask(unsigned other)
	{
		struct sc_thread thread;

		thread.handle = other;
		frames.count = 0;
		return sc_os_where(thread, &frames);
	}
};

struct answered : where_test<answered, 2> {
	void set_up()
	{
		where_test<answered, 2>::set_up(stand_still);
	}
	void thread(unsigned me)
	{
		if (me != ASKER) {
			while (at_load_acq(&signalled) != me)
				model::yield();
			tell(me);
			return;
		}
		MODEL_CHECK(ask(1) == 0);
		MODEL_CHECK(frames.count == 1 && frames.pc[0] == (void *)1);
	}
};
static model::bound<answered> answered("where/an_answer_comes_whole", 3);

static int64_t pass()
{
	return turns_left-- > 0 ? 0 : INT64_MAX;
}

/* Each of two threads is asked; handlers run for other reasons too, at any time. */
struct given_up : where_test<given_up, 3> {
	void set_up()
	{
		where_test<given_up, 3>::set_up(pass);
	}
	void ask_one(unsigned other)
	{
		turns_left = 2;
		if (ask(other) == 0)
			MODEL_CHECK(frames.count == 1 && frames.pc[0] == (void *)(uintptr_t)other);
		else
			MODEL_CHECK(frames.count == 0);
	}
	void thread(unsigned me)
	{
		if (me != ASKER) {
			tell(me);
			return;
		}
		ask_one(1);
		ask_one(2);
		frames.count = 0;
	}
};
static model::bound<given_up> given_up("where/who_is_too_late_answers_no_other_question", 4);
