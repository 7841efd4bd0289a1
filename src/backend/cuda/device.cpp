#include "backend/cuda/device.h"

#include <cudnn.h>

#include "backend/cuda/handles.h"

namespace kd::cuda {
namespace {

constexpr int kOldestArchitecture = 80;  // KD_CUDA_ARCHITECTURES begins there
constexpr size_t kOldestCudnn = 90800;   // plans for fused batch norm chains

std::string version_text(int version) {  // 13000 -> "13.0"
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

std::string why_no_device() {
  int driver = 0, count = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    return "no NVIDIA driver is installed on this machine; use --device cpu";
  }
  if (const cudaError_t status = cudaGetDeviceCount(&count); status != cudaSuccess || count == 0) {
    cudaGetLastError();  // asked and answered
    if (status == cudaErrorInsufficientDriver) {
      return "the NVIDIA driver is for CUDA " + version_text(driver) + ", this build needs " +
             version_text(CUDART_VERSION) + "; update the driver or use --device cpu";
    }
    return std::string("no CUDA device: ") + cudaGetErrorString(status) + "; use --device cpu";
  }
  cudaDeviceProp properties{};
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) {
    return "the CUDA device can't be asked for its properties; use --device cpu";
  }
  if (properties.major * 10 + properties.minor < kOldestArchitecture) {
    return std::string(properties.name) + " has compute capability " +
           std::to_string(properties.major) + "." + std::to_string(properties.minor) +
           ", this build needs 8.0 or more; use --device cpu";
  }
  if (cudnnGetVersion() < kOldestCudnn) {
    return "cuDNN " + std::to_string(cudnnGetVersion()) + " is too old, expected " +
           std::to_string(kOldestCudnn) + " (9.8) or more";
  }
  return {};
}

cudaDeviceProp open_device() {
  if (const std::string why = why_no_device(); !why.empty()) {
    fail(ErrorCode::device, "--device cuda: {}", why);
  }
  KD_CUDA(cudaSetDevice(0));
  cudaDeviceProp properties{};
  KD_CUDA(cudaGetDeviceProperties(&properties, 0));
  return properties;
}

std::string describe_device(const cudaDeviceProp& properties) {
  return format("cuda: {} (sm_{}{}), CUDA {}, cuDNN {}", properties.name, properties.major,
                properties.minor, version_text(CUDART_VERSION), cudnnGetVersion());
}

}  // namespace kd::cuda
