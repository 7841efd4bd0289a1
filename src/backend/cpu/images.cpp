// Pictures become network inputs: crop, mirror, normalise, cast.
#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

void store(DType to, void* out, int64_t at, float value) {
  if (to == DType::f32) {
    static_cast<float*>(out)[at] = value;
  } else {
    static_cast<uint16_t*>(out)[at] = to == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
}

}  // namespace

StepPtr prepare_place_images(const PrepareRequest& request) {
  const Shape from = in_shape(request, 0), made = out_shape(request, 0);
  const DType to = request.node.attr<ImagesAttrs>().to;
  return make_step([=](const Pointers& p) {
    const auto *pixels = in<uint8_t>(p, 0), *end = pixels + from.elements();
    const auto* table = in<float>(p, 2);
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < made[0]; ++n) {
      for (int64_t y = 0; y < made[1]; ++y) {
        const int32_t* place = in<int32_t>(p, 1) + n * 3;
        for (int64_t x = 0; x < made[2]; ++x) {
          const int64_t row = place[0] + y, column = place[1] + (place[2] ? made[2] - 1 - x : x);
          const bool inside = row >= 0 && row < from[1] && column >= 0 && column < from[2];
          const uint8_t* pixel =
              inside ? pixels + ((n * from[1] + row) * from[2] + column) * from[3] : end;
          const int64_t at = ((n * made[1] + y) * made[2] + x) * made[3];
          for (int64_t c = 0; c < made[3]; ++c) store(to, p.outputs[0], at + c, 0);
          for (int64_t c = 0; c < from[3]; ++c) {
            const float* values = table + c * 257;
            store(to, p.outputs[0], at + static_cast<int64_t>(values[256]),
                  values[inside ? pixel[c] : 0]);
          }
        }
      }
    }
  });
}

}  // namespace kd::cpu
