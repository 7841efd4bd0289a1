// What a user may choose about the CUDA engine.
#pragma once

#include <filesystem>

namespace kd::cuda {

struct CudaOptions {
  bool autotune = false;    // time cuDNN's candidates on the device, keep the fastest
  bool allow_tf32 = false;  // f32 convolutions and matrix products may round their inputs to TF32
  bool plan_cache = true;   // keep cuDNN's plans on disk
  std::filesystem::path cache_directory;  // empty: $XDG_CACHE_HOME/kdengine or ~/.cache/kdengine
};

// Of this process, which uses one device. Set before anything is prepared.
const CudaOptions& cuda_options();
void set_cuda_options(CudaOptions options);

}  // namespace kd::cuda
