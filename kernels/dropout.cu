#include "kernels/dropout.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256;
constexpr uint32_t kPurpose = 4;  // Purpose::dropout

struct Words {
  uint32_t at[4];
};

// kd::philox.
__device__ Words philox(Words counter, uint32_t key0, uint32_t key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, counter.at[0]), low0 = 0xD2511F53u * counter.at[0];
    const uint32_t high1 = __umulhi(0xCD9E8D57u, counter.at[2]), low1 = 0xCD9E8D57u * counter.at[2];
    counter = {{high1 ^ counter.at[1] ^ key0, low1, high0 ^ counter.at[3] ^ key1, low0}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

struct Draw {
  uint32_t threshold;  // kept: the upper 24 bits of a word are at least this
  uint64_t tensor_id;
  float scale;
};

// kd::random_words(seed, Purpose::dropout, step, tensor_id, group).
__device__ Words words_of(const int64_t* key, uint64_t tensor_id, int64_t group) {
  const auto seed = static_cast<uint64_t>(key[0]);
  const Words counter{{static_cast<uint32_t>(group), static_cast<uint32_t>(tensor_id),
                       static_cast<uint32_t>(tensor_id >> 32), static_cast<uint32_t>(key[1])}};
  return philox(counter, static_cast<uint32_t>(seed) ^ (kPurpose * 0x9E3779B9u),
                static_cast<uint32_t>(seed >> 32));
}

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
    const Words words = words_of(key, draw.tensor_id, first / 4 + group);
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
