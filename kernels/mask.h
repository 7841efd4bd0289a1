// One bit an element: bit i % 8 of byte i / 8. What ReLU let through, without its output.
//
//   sign_mask:  bit i = y[i] > 0                 n sizeof(T) read, n / 8 written
//   apply_mask: dx[i] = bit i ? dy[i] : 0        2 n sizeof(T) + n / 8
//
// A thread takes the 8 elements of a byte. NaN > 0 is false; a NaN of dy behind a 0 bit becomes 0.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

struct SignMask {
  Type type = Type::f32;
  int64_t count = 0;
  const void* y = nullptr;
  uint8_t* mask = nullptr;  // the last byte's spare bits are 0
};
void sign_mask(StreamRef stream, const SignMask& args);

struct ApplyMask {
  Type type = Type::f32;
  int64_t count = 0;
  const void* dy = nullptr;
  const uint8_t* mask = nullptr;
  void* dx = nullptr;
};
void apply_mask(StreamRef stream, const ApplyMask& args);

}  // namespace kd::kernels
