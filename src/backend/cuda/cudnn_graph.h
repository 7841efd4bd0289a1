// A pattern as a graph of cuDNN's frontend. Only cudnn_*.cpp include this: the frontend is large.
#pragma once

#include <cudnn_frontend.h>

#include "backend/cuda/cudnn_pattern.h"

namespace kd::cuda {

// The frontend's graph, with its list of plans in reach.
class CudnnGraph : public cudnn_frontend::graph::Graph {
 public:
  cudnn_frontend::graph::Execution_plan_list& plan_list() { return plans; }
};

// Tensor i of the pattern (its node's inputs, then its outputs) has the id i + 1.
std::unique_ptr<CudnnGraph> make_graph(const Pattern& pattern);

}  // namespace kd::cuda
