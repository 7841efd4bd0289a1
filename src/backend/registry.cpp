// The only file that names concrete backends.
#include "kd/backend.h"
#include "kd/error.h"

namespace kd {
namespace cpu {
std::unique_ptr<Backend> make_cpu_backend(int threads);
}
namespace cuda {
std::unique_ptr<Backend> make_cuda_backend();
std::string why_no_device();
}  // namespace cuda

std::string why_unavailable(Device device) {
  if (device == Device::cpu) return {};
#ifdef KD_WITH_CUDA
  return cuda::why_no_device();
#else
  return "this build has no CUDA engine; use --device cpu";
#endif
}

std::unique_ptr<Backend> make_backend(Device device, int threads) {
  if (device == Device::cpu) return cpu::make_cpu_backend(threads);
#ifdef KD_WITH_CUDA
  return cuda::make_cuda_backend();
#else
  fail(ErrorCode::device, "{}", why_unavailable(device));
#endif
}

}  // namespace kd
