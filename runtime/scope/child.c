/* runtime/scope/child.c: scopes in between: their memory. */
#include "scope/child.h"

void sc_between_free(struct sc_between *between)
{
	sc_os.free(between);
}
