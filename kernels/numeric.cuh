// Conversions between storage types and float, the same bits on the device and on the host: round
// to nearest even, NaN stays NaN.
#pragma once

#include <cmath>

#include "kernels/kd_cuda.h"

namespace kd::kernels {

#if !defined(__CUDA_ARCH__)
namespace portable {

template <class To, class From>
To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof(to));
  return to;
}

inline float from_f16(uint16_t bits) {
  const uint32_t sign = uint32_t{bits & 0x8000u} << 16;
  const uint32_t exponent = (bits >> 10) & 0x1f, fraction = bits & 0x3ff;
  if (exponent == 0) {  // zero and subnormal: fraction 2^-24
    const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
    return sign ? -magnitude : magnitude;
  }
  const uint32_t wide = exponent == 31 ? 0xffu : exponent + 112;
  return bit_cast<float>(sign | wide << 23 | fraction << 13);
}

inline uint16_t to_f16(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value), magnitude = bits & 0x7fffffffu;
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  if (magnitude > 0x7f800000u) return static_cast<uint16_t>(sign | 0x7fff);   // CUDA's NaN
  if (magnitude >= 0x477ff000u) return static_cast<uint16_t>(sign | 0x7c00);  // rounds to inf
  if (magnitude < 0x38800000u) {  // subnormal: let float addition round at 2^-24
    const float shifted = bit_cast<float>(magnitude) + 0.5f;
    return static_cast<uint16_t>(sign | (bit_cast<uint32_t>(shifted) - 0x3f000000u));
  }
  const uint32_t odd = (magnitude >> 13) & 1;
  return static_cast<uint16_t>(sign | ((magnitude - 0x38000000u + 0xfff + odd) >> 13));
}

inline float from_bf16(uint16_t bits) { return bit_cast<float>(uint32_t{bits} << 16); }

inline uint16_t to_bf16(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return 0x7fff;  // CUDA's NaN
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

}  // namespace portable
#endif

KD_HOST_DEVICE inline float to_float(float x) { return x; }
KD_HOST_DEVICE inline float to_float(f16 x) {
#if defined(__CUDA_ARCH__)
  return __half2float(__ushort_as_half(x.bits));
#else
  return portable::from_f16(x.bits);
#endif
}
KD_HOST_DEVICE inline float to_float(bf16 x) {
#if defined(__CUDA_ARCH__)
  return __bfloat162float(__ushort_as_bfloat16(x.bits));
#else
  return portable::from_bf16(x.bits);
#endif
}

template <class T>
KD_HOST_DEVICE T from_float(float x);
template <>
KD_HOST_DEVICE inline float from_float<float>(float x) {
  return x;
}
template <>
KD_HOST_DEVICE inline f16 from_float<f16>(float x) {
#if defined(__CUDA_ARCH__)
  return {__half_as_ushort(__float2half_rn(x))};
#else
  return {portable::to_f16(x)};
#endif
}
template <>
KD_HOST_DEVICE inline bf16 from_float<bf16>(float x) {
#if defined(__CUDA_ARCH__)
  return {__bfloat16_as_ushort(__float2bfloat16_rn(x))};
#else
  return {portable::to_bf16(x)};
#endif
}

// Calls `body(T{})` with the C++ type of a floating-point `type`.
template <class Body>
void with_float_type(Type type, const Body& body) {
  switch (type) {
    case Type::f32:
      return body(float{});
    case Type::f16:
      return body(f16{});
    case Type::bf16:
      return body(bf16{});
    default:
      throw LaunchError("a kernel was asked for a type it does not take");
  }
}

}  // namespace kd::kernels
