// The plans of this process: found once for each pattern, in memory, on disk, or by asking cuDNN.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backend/cuda/cudnn_plan.h"
#include "backend/cuda/plan_cache.h"

namespace kd::cuda {

class ConvPlans {
 public:
  // The one of this process, made for the current device when first asked for. It lives as long
  // as somebody holds it.
  static std::shared_ptr<ConvPlans> shared();
  ConvPlans();

  struct Found {
    PlanPtr plan;     // null if cuDNN can't
    std::string why;  // ... for this reason
  };
  const Found& find(const Pattern& pattern);
  PlanPtr require(const Graph& graph, const Node& node);  // throws Error{device} naming the node
  // The handle of a stream, made when first asked for. One each: streams share nothing of cuDNN's.
  cudnnHandle_t handle(cudaStream_t stream);

 private:
  Found search(const Pattern& pattern);

  CudnnHandle handle_;  // builds plans
  std::map<cudaStream_t, CudnnHandle> of_stream_;
  std::optional<PlanCache> cache_;
  std::map<std::string, Found> found_;
};

}  // namespace kd::cuda
