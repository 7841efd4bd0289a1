// Reading and writing elements of a float type that is known at run time.
#pragma once

#include "kd/dtype.h"

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

}  // namespace kd::cpu
