/* runtime/sched/seed.c: what a seed decides, one choice after the other.
 *
 * Apart from those who ask, so that the simulation can take its place and try every choice.
 */
#include "sched/sched.h"

uint32_t sc_draw(uint32_t options)
{
	uint64_t z = (sc_sched.seed += 0x9e3779b97f4a7c15u);
	uint64_t choice;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	choice = (z ^ (z >> 31)) % options;
	sc_sched.trace ^= (uint64_t)options << 32 | choice;
	sc_sched.trace *= 0x9fb21c651e98df25u;
	sc_sched.trace ^= sc_sched.trace >> 29;
	return (uint32_t)choice;
}
