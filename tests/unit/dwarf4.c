/* tests/unit/dwarf4.c: a function whose lines are in DWARF 4. */
#include "base/base.h"
#include "lines.h"

static SC_NOINLINE const void *where_it_returns(void)
{
	return __builtin_return_address(0);
}

SC_NOINLINE const void *dwarf4_site(int *out_line)
{
	const void *site;

	*out_line = __LINE__ + 1;
	site = where_it_returns();
	__asm__ volatile("" : "+r"(site));
	return site;
}
