// The one device this process uses, and why there may be none.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace kd::cuda {

// Empty if a device can be used; else one sentence that says why not: no driver, no device, or an
// architecture this build has no code for.
std::string why_no_device();

cudaDeviceProp open_device();  // throws Error{device} with that sentence
std::string describe_device(const cudaDeviceProp& properties);  // for people and run.json

}  // namespace kd::cuda
