#include "kernels/dropout.h"
#include "kernels/philox.cuh"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr uint32_t kPurpose = 4;  // Purpose::dropout

struct Draw {
  uint32_t threshold;  // kept: the upper 24 bits of a word are at least this
  uint64_t tensor_id;
  float scale;
};

// Whole vectors where the pointers are aligned; else, and at the end, one element at a time.
template <class T>
__global__ void __launch_bounds__(kThreads) drop(const T* x, T* y, const int64_t* __restrict__ key,
                                                 int64_t count, const Draw draw, bool aligned) {
  constexpr int kCount = kVec<T>;
  const int64_t first = first_item() * kCount;
  if (first >= count) return;
  const bool whole = aligned && first + kCount <= count;
  Vec<T, kCount> values{};
  if (whole) {
    values = load<kCount>(x + first);
  } else {
#pragma unroll
    for (int k = 0; k < kCount; ++k) {
      if (first + k < count) values.at[k] = x[first + k];
    }
  }
#pragma unroll
  for (int group = 0; group < kCount / 4; ++group) {
    const auto index = static_cast<uint32_t>(first / 4 + group);
    const Words words = random_words<kPurpose>(key, draw.tensor_id, index);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      T& value = values.at[group * 4 + k];
      const bool kept = words.at[k] >> 8 >= draw.threshold;
      value = from_float<T>(kept ? to_float(value) * draw.scale : 0.0f);
    }
  }
  if (whole) return store(y + first, values);
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    if (first + k < count) y[first + k] = values.at[k];
  }
}

}  // namespace

void dropout(StreamRef stream, const DropoutArgs& args) {
  if (args.count == 0) return;
  const Draw draw{.threshold = static_cast<uint32_t>(std::ceil(args.rate * 0x1p24)),
                  .tensor_id = static_cast<uint64_t>(args.tensor_id),
                  .scale = static_cast<float>(1 / (1 - args.rate))};
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const auto* x = static_cast<const T*>(args.x);
    auto* y = static_cast<T*>(args.y);
    const bool aligned = is_aligned<kVec<T>>(x) && is_aligned<kVec<T>>(y);
    launch(stream, {{divided_up(divided_up(args.count, kVec<T>), kThreads)}, {kThreads}}, drop<T>,
           x, y, args.key, args.count, draw, aligned);
  });
}

}  // namespace kd::kernels
