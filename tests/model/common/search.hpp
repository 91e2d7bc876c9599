/* tests/model/common/search.hpp: what Relacy calls of main.cc, around each schedule. */
#ifndef MODEL_SEARCH_HPP
#define MODEL_SEARCH_HPP

#include "model.hpp"

namespace model
{

void begin_schedule();
void end_schedule();

} // namespace model

#endif
