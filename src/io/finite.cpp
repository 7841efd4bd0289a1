#include "io/finite.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kd/error.h"

namespace kd {

std::string not_finite(const Model& model) {
  std::string first;
  int64_t count = 0;
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.desc().dtype != DType::f32) continue;
    const std::span<const float> values(tensor.as<float>(), static_cast<size_t>(tensor.elements()));
    if (std::ranges::all_of(values, [](float x) { return std::isfinite(x); })) continue;
    if (count++ == 0) first = name;
  }
  if (count == 0) return {};
  return format("{}: {} of {} tensors hold NaN or infinity, the first is '{}'", model.name, count,
                model.tensors.size(), first);
}

}  // namespace kd
