// What the backend asks about convolutions before it prepares them.
#pragma once

#include <string>

#include "kd/graph.h"

namespace kd::cuda {

// conv2d_bias_act and the convolutions of the batch-norm chain.
bool is_fused_convolution(const Node& node);

// Has cuDNN a kernel for it on this device? If not, the engine expands it.
bool supports_fused_convolution(const Graph& graph, const Node& node);

std::string label_of(const Node& node);  // for messages: conv2d 'layer1.0.conv1'

}  // namespace kd::cuda
