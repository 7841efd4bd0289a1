// Pictures of a batch are resized: the rows under the filter are added up, then along the row.
#include <algorithm>
#include <vector>

#include "backend/cpu/cpu.h"
#include "kernels/resize_taps.h"

namespace kd::cpu {
namespace {

using kernels::ResizeTaps;

// One row of x's width, of the rows of `x` (H, W, C) that row `at` of the result reads.
void blend_rows(const float* x, const Shape& from, const ResizeTaps& taps, float* row) {
  const int64_t length = from[2] * from[3];
  std::fill_n(row, length, 0.0f);
  for (int h = taps.first(); h < taps.last(); ++h) {
    const float weight = taps.weight(h);
    for (int64_t i = 0; i < length; ++i) row[i] += weight * x[h * length + i];
  }
}

void blend_columns(const float* row, const Shape& from, int64_t width, float* made) {
  const int64_t channels = from[3];
  for (int64_t w = 0; w < width; ++w) {
    float* pixel = made + w * channels;
    std::fill_n(pixel, channels, 0.0f);
    const ResizeTaps taps(static_cast<int>(from[2]), static_cast<int>(width), static_cast<int>(w));
    for (int j = taps.first(); j < taps.last(); ++j) {
      const float weight = taps.weight(j);
      for (int64_t c = 0; c < channels; ++c) pixel[c] += weight * row[j * channels + c];
    }
  }
}

}  // namespace

StepPtr prepare_resize_images(const PrepareRequest& request) {
  const Shape from = in_shape(request, 0), made = out_shape(request, 0);
  return make_step([=](const Pointers& p) {
#pragma omp parallel
    {
      std::vector<float> row(static_cast<size_t>(from[2] * from[3]));
#pragma omp for collapse(2) schedule(static)
      for (int64_t n = 0; n < made[0]; ++n) {
        for (int64_t y = 0; y < made[1]; ++y) {
          const float* x = in<float>(p, 0) + n * from[1] * from[2] * from[3];
          blend_rows(
              x, from,
              ResizeTaps(static_cast<int>(from[1]), static_cast<int>(made[1]), static_cast<int>(y)),
              row.data());
          blend_columns(row.data(), from, made[2],
                        out<float>(p, 0) + (n * made[1] + y) * made[2] * made[3]);
        }
      }
    }
  });
}

}  // namespace kd::cpu
