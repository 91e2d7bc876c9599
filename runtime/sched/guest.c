/* runtime/sched/guest.c: calls from threads that are no workers: a run ends only when none is in
 * the middle of one; see sched.h.
 */
#include "sched/sched.h"

#define OPEN UINT32_C(0x80000000)

static SC_WORD(uint32_t) gate; /* guests inside, OPEN during a run */

void sc_guest_open(void)
{
	at_or_rel(&gate, OPEN); /* [guest.gate] */
}

void sc_guest_close(void)
{
	unsigned turn = 0;

	at_and_rlx(&gate, ~OPEN);
	while (at_load_acq(&gate)) /* [guest.gate]: none stays for long */
		sc_relax(turn++);
}

void sc_guest_forked(void)
{
	at_store_rlx(&gate, 0);
}

int sc_guest_enter(void)
{
	uint32_t seen = at_load_rlx(&gate);

	while (seen & OPEN)
		if (at_cas_acq(&gate, &seen, seen + 1)) /* [guest.gate] */
			return 1;
	return 0;
}

void sc_guest_leave(void)
{
	at_sub_rel(&gate, 1); /* [guest.gate] */
}
