// What the backend asks about convolutions before it prepares them.
#pragma once

#include "kd/graph.h"

namespace kd::cuda {

// Has cuDNN a fused kernel for this conv2d_bias_act on this device? If not, the engine expands it.
bool supports_conv2d_bias_act(const Graph& graph, const Node& node);

}  // namespace kd::cuda
