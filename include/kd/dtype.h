// Element types of tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace kd {

enum class DType : uint8_t { f32, f16, bf16, u8, i32, i64 };

constexpr bool is_float(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}
size_t size_of(DType dtype);                   // bytes of one element
std::string_view name_of(DType dtype);         // "f32", ...
DType dtype_from_name(std::string_view name);  // throws Error naming the valid names

// IEEE half and bfloat16, round to nearest even; NaN stays NaN.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
float bf16_to_f32(uint16_t bits);
uint16_t f32_to_bf16(float value);

}  // namespace kd
