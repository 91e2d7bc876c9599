/* runtime/base/lock.c: how a spin loop waits before anything else is installed. */
#include "base/lock.h"

static void spin(unsigned turn)
{
	(void)turn;
}

void (*sc_relax)(unsigned turn) = spin;
