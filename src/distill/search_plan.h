// Which candidates a search tries, and a configuration at the length of a rung.
#pragma once

#include "kd/random.h"
#include "kd/search.h"

namespace kd {

// The values of draw `number`, one for each dimension: 3 significant digits, within the range.
std::vector<double> draw_values(const std::vector<SearchDimension>& space, uint64_t seed,
                                uint32_t number);

int64_t total_epochs(const RunConfig& config);  // of all stages
// The same run in so many epochs (at least one a stage): stages keep their shares, and whatever is
// told in epochs (warm-ups, drops, ramps, teachers that join) is shortened alike.
RunConfig shortened(const RunConfig& config, int64_t epochs);

// Better first: not diverged, further, higher top-1, lower loss, lower number.
bool ranks_before(const Candidate& a, const Candidate& b);

}  // namespace kd
