// One bit an element: bit i % 8 of byte i / 8.
#include <algorithm>

#include "backend/cpu/cpu.h"

namespace kd::cpu {

StepPtr prepare_sign_mask(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    const auto* y = in<float>(p, 0);
    auto* mask = out<uint8_t>(p, 0);
#pragma omp parallel for schedule(static) if (count > 4096)
    for (int64_t byte = 0; byte < (count + 7) / 8; ++byte) {
      unsigned bits = 0;
      const int64_t end = std::min<int64_t>(8, count - byte * 8);
      for (int64_t i = 0; i < end; ++i) bits |= y[byte * 8 + i] > 0 ? 1u << i : 0u;
      mask[byte] = static_cast<uint8_t>(bits);
    }
  });
}

StepPtr prepare_apply_mask(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    const auto* x = in<float>(p, 0);
    const auto* mask = in<uint8_t>(p, 1);
    auto* y = out<float>(p, 0);
#pragma omp parallel for schedule(static) if (count > 4096)
    for (int64_t i = 0; i < count; ++i) y[i] = (mask[i / 8] >> i % 8 & 1) != 0 ? x[i] : 0.0f;
  });
}

}  // namespace kd::cpu
