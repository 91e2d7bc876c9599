/* runtime/os/where.c: where another thread is: it is asked by the signal that has it expose its
 * slots, and answers in the handler.
 *
 * A question has a number.  A handler that was held up between its look at one and its claim must
 * not answer the next, which is for another thread.
 */
#define _GNU_SOURCE
#include "base/lock.h"
#include "os/os.h"

#include <errno.h>
#include <pthread.h>
#include <ucontext.h>

enum { NOT_ASKED, ASKED, ANSWERS, ANSWERED, NEXT_QUESTION };

static struct {
	struct sc_lock lock;              /* who asks */
	SC_WORD(uint32_t) state;          /* futex: a multiple of NEXT_QUESTION + one of these */
	SC_WORD(uintptr_t) thread;        /* its handle */
	SC_PLAIN(struct sc_frames *) out; /* whose claim or answer it is */
} where;

/* The frame pointer and the instruction of what was interrupted. */
static const uintptr_t *interrupted_frame(const ucontext_t *context, const void **out_pc)
{
#if defined(__x86_64__)
	*out_pc = (const void *)context->uc_mcontext.gregs[REG_RIP];
	return (const uintptr_t *)context->uc_mcontext.gregs[REG_RBP];
#else
	*out_pc = (const void *)context->uc_mcontext.pc;
	return (const uintptr_t *)context->uc_mcontext.regs[29];
#endif
}

const char *sc_os_interrupted_sp(const void *opaque)
{
	const ucontext_t *context = opaque;

#if defined(__x86_64__)
	return (const char *)context->uc_mcontext.gregs[REG_RSP];
#else
	return (const char *)context->uc_mcontext.sp;
#endif
}

/* A chain of frame pointers climbs and stays on the stack; code without them leaves anything
 * there, which ends the walk. */
static void walk_frames(const ucontext_t *context, struct sc_frames *out)
{
	const uintptr_t *frame = interrupted_frame(context, &out->pc[0]);
	uintptr_t from = (uintptr_t)sc_os_interrupted_sp(context);

	out->sp = from;
	out->count = 1;
	while (out->count < SC_FRAMES && (uintptr_t)frame >= from && (uintptr_t)frame % 8 == 0 &&
	       (uintptr_t)frame >= out->low && (uintptr_t)(frame + 2) <= out->high && frame[1]) {
		out->pc[out->count++] = (const void *)frame[1];
		from = (uintptr_t)(frame + 2);
		frame = (const uintptr_t *)frame[0];
	}
}

void sc_os_tell_where(const void *context)
{
	uint32_t asked = at_load_acq(&where.state); /* [os.where] */

	if (asked % NEXT_QUESTION != ASKED ||
	    at_load_rlx(&where.thread) != (uintptr_t)pthread_self() ||
	    !at_cas_rlx(&where.state, &asked, asked - ASKED + ANSWERS)) /* [os.where] */
		return;
	walk_frames(context, where.out);
	at_store_rel(&where.state, asked - ASKED + ANSWERED); /* [os.where] */
	sc_os.wake(&where.state, 1);
}

int sc_os_where(struct sc_thread thread, struct sc_frames *out)
{
	const int64_t limit = sc_os.now() + 100000000;
	uint32_t question, state;
	unsigned turn = 0;

	sc_lock_take(&where.lock);
	question = at_load_rlx(&where.state);
	question += NEXT_QUESTION - question % NEXT_QUESTION;
	at_store_rlx(&where.thread, thread.handle);
	where.out = out;
	at_store_rel(&where.state, question + ASKED); /* [os.where] */
	sc_os.thread_signal(thread);
	while ((state = at_load_acq(&where.state)) != question + ANSWERED) { /* [os.where] */
		if (sc_os.now() < limit)
			sc_os.wait(&where.state, state, limit);
		else if (state == question + ANSWERS)
			sc_relax(turn++); /* it writes to *out */
		else if (at_cas_rlx(&where.state, &state, question)) /* [os.where] */
			break;
	}
	sc_lock_drop(&where.lock);
	return state == question + ANSWERED ? 0 : -ETIMEDOUT;
}
