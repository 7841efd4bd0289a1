// Flat arrays, block by block: elements of a float type that is known at run time, and sums.
#pragma once

#include "kd/dtype.h"
#include "kd/optimizer_ops.h"

namespace kd::cpu {

struct FloatType {
  DType dtype = DType::f32;

  float get(const void* data, int64_t i) const {
    if (dtype == DType::f32) return static_cast<const float*>(data)[i];
    const uint16_t bits = static_cast<const uint16_t*>(data)[i];
    return dtype == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  }
  void put(void* data, int64_t i, float value) const {
    if (dtype == DType::f32) {
      static_cast<float*>(data)[i] = value;
    } else {
      static_cast<uint16_t*>(data)[i] =
          dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
    }
  }
};

constexpr int64_t kBlock = 1024;  // elements that are worked on in the nearest cache

// The gradients of an arena: lows of some type, then f32.
struct Gradients {
  const void* low = nullptr;
  FloatType type;
  int64_t lows = 0;
  const float* high = nullptr;

  // Elements at .. at + count, where they lie, or widened into `buffer`.
  const float* read(int64_t at, int64_t count, float* buffer) const {
    if (at >= lows) return high + (at - lows);
    for (int64_t i = 0; i < count; ++i) {
      buffer[i] = at + i < lows ? type.get(low, at + i) : high[at + i - lows];
    }
    return buffer;
  }
};

// In strands of so many, so that it is vectors and one order.
inline float sum_of_squares(const float* data, int64_t count) {
  constexpr int64_t kStrands = 16;
  float sums[kStrands] = {};
  const int64_t whole = count / kStrands * kStrands;
  for (int64_t at = 0; at < whole; at += kStrands) {
    for (int64_t k = 0; k < kStrands; ++k) sums[k] += data[at + k] * data[at + k];
  }
  for (int64_t i = whole; i < count; ++i) sums[i - whole] += data[i] * data[i];
  float sum = 0;
  for (const float strand : sums) sum += strand;
  return sum;
}

inline float sum_of_partials(const float* squares) {
  float sum = 0;
  for (int64_t i = 0; i < kGradientPartials; ++i) sum += squares[i];
  return sum;
}

}  // namespace kd::cpu
