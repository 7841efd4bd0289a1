// The only file that names concrete backends.
#include "kd/backend.h"
#include "kd/error.h"

namespace kd {
namespace cpu {
std::unique_ptr<Backend> make_cpu_backend(const EngineOptions& options);
}
namespace cuda {
std::unique_ptr<Backend> make_cuda_backend(const EngineOptions& options);
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

std::unique_ptr<Backend> make_backend(Device device, const EngineOptions& options) {
  if (device == Device::cpu) return cpu::make_cpu_backend(options);
#ifdef KD_WITH_CUDA
  return cuda::make_cuda_backend(options);
#else
  fail(ErrorCode::device, "{}", why_unavailable(device));
#endif
}

// Engines without capture.
void Backend::begin_capture(Stream&) {
  fail(ErrorCode::device, "this engine can't record a step as one graph; use --pipeline streams");
}
std::unique_ptr<Captured> Backend::end_capture(Stream&) { return nullptr; }
void Backend::replay(Captured&, Stream&) {}

}  // namespace kd
