#include "io/finite.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "kd/error.h"

namespace kd {

std::vector<std::string> tensors_not_finite(const Model& model) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : model.tensors) {
    if (tensor.desc().dtype != DType::f32) continue;
    const std::span<const float> values(tensor.as<float>(), static_cast<size_t>(tensor.elements()));
    const bool finite = std::ranges::all_of(values, [](float x) { return std::isfinite(x); });
    if (!finite) names.push_back(name);
  }
  return names;
}

std::string not_finite(const Model& model) {
  const std::vector<std::string> names = tensors_not_finite(model);
  if (names.empty()) return {};
  return format("{}: {} of {} tensors hold NaN or infinity, the first is '{}'", model.name,
                names.size(), model.tensors.size(), names[0]);
}

}  // namespace kd
