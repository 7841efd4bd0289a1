// The only file that names concrete backends.
#include "kd/backend.h"
#include "kd/error.h"

namespace kd {
namespace cpu {
std::unique_ptr<Backend> make_cpu_backend(int threads);
}

std::unique_ptr<Backend> make_backend(Device device, int threads) {
  if (device == Device::cpu) return cpu::make_cpu_backend(threads);
  fail(ErrorCode::device, "this build has no CUDA engine; use --device cpu");
}

}  // namespace kd
