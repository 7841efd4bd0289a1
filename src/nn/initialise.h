// Fresh weights for a graph's leaves, by what their names end in.
#pragma once

#include <map>
#include <string>

#include "kd/graph.h"

namespace kd {

// Convolutions: He normal, fan-out. Linear: uniform +-1/sqrt(fan-in). BN: gamma and running_var 1,
// beta and running_mean 0. Each tensor's numbers depend on the seed and its name alone; all are
// f32, whatever the graph computes in.
std::map<std::string, Tensor> initial_tensors(const Graph& graph, uint64_t seed);

}  // namespace kd
