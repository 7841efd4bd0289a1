#include "backend/cuda/options.h"

#include <utility>

namespace kd::cuda {
namespace {

CudaOptions& options() {
  static CudaOptions current;
  return current;
}

}  // namespace

const CudaOptions& cuda_options() { return options(); }
void set_cuda_options(CudaOptions chosen) { options() = std::move(chosen); }

}  // namespace kd::cuda
