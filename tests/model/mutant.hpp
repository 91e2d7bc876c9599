/* tests/model/mutant.hpp: one access of the sources made weaker than it is written.
 *
 * MODEL_MUTANT=deque/deque.c:149:rlx names an access by the end of its file's path and its
 * line, and what to do there: rlx, acq, rel or acqrel give it that order, drop leaves the
 * write out.  A model that notices fails, which is what tests/model/mutants.sh wants to see.
 */
#ifndef MODEL_MUTANT_HPP
#define MODEL_MUTANT_HPP

namespace model
{

struct mutant {
	char file[128];
	unsigned line; /* 0: the sources as they are */
	bool drop;
	rl::memory_order order;
	unsigned long reached; /* how often a schedule came there */
};

extern struct mutant mutant;

/* From the environment; false: not understood. */
bool read_mutant();
bool is_mutant_at(const char *file);

inline bool is_mutated(const rl::debug_info &at)
{
	if (at.line_ != mutant.line || !is_mutant_at(at.file_))
		return false;
	mutant.reached++;
	return true;
}

inline bool dropped(const rl::debug_info &at)
{
	return mutant.line && mutant.drop && is_mutated(at);
}

inline rl::memory_order mutated(rl::memory_order order, const rl::debug_info &at)
{
	return mutant.line && !mutant.drop && is_mutated(at) ? mutant.order : order;
}

} // namespace model

#endif
