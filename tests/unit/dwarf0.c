/* tests/unit/dwarf0.c: a function without debug information. */
#include "base/base.h"
#include "lines.h"

static SC_NOINLINE const void *where_it_returns(void)
{
	return __builtin_return_address(0);
}

SC_NOINLINE const void *dwarf0_site(void)
{
	const void *site = where_it_returns();

	__asm__ volatile("" : "+r"(site));
	return site;
}
