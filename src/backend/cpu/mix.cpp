// Pictures of a batch are mixed with one another, a row of pixels at a time.
#include <algorithm>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

struct Row {
  const float *own, *partner;
  float* made;
};

void paste(const Row& row, const Shape& x, const int32_t* box, int64_t y) {
  std::copy_n(row.own, x[2] * x[3], row.made);
  if (y < box[0] || y >= int64_t{box[0]} + box[2]) return;
  const int64_t first = std::max<int64_t>(0, box[1]);
  const int64_t last = std::min(x[2], int64_t{box[1]} + box[3]);
  for (int64_t i = first * x[3]; i < last * x[3]; ++i) row.made[i] = row.partner[i];
}

void blend(const Row& row, int64_t length, float share) {
  const float rest = 1 - share;
  for (int64_t i = 0; i < length; ++i) row.made[i] = share * row.own[i] + rest * row.partner[i];
}

}  // namespace

StepPtr prepare_mix_images(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  return make_step([=](const Pointers& p) {
    const int64_t length = x[2] * x[3];
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < x[0]; ++n) {
      for (int64_t y = 0; y < x[1]; ++y) {
        const int64_t partner = in<int32_t>(p, 1)[n];
        const int32_t* box = in<int32_t>(p, 3) + n * 4;
        const Row row{in<float>(p, 0) + (n * x[1] + y) * length,
                      in<float>(p, 0) + (partner * x[1] + y) * length,
                      out<float>(p, 0) + (n * x[1] + y) * length};
        if (box[2] > 0) {
          paste(row, x, box, y);
        } else {
          blend(row, length, in<float>(p, 2)[n]);
        }
      }
    }
  });
}

}  // namespace kd::cpu
