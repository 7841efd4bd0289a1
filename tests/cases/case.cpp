#include "cases/case.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>

namespace kd::test {
namespace {

template <class T>
void read_as(const Tensor& tensor, Array& array) {
  const T* from = tensor.as<T>();
  for (size_t i = 0; i < array.data.size(); ++i) array.data[i] = static_cast<double>(from[i]);
}

template <float (*widen)(uint16_t)>
void read_16_bits(const Tensor& tensor, Array& array) {
  const auto* from = tensor.as<uint16_t>();
  for (size_t i = 0; i < array.data.size(); ++i) array.data[i] = double{widen(from[i])};
}

template <uint16_t (*narrow)(float)>
void write_16_bits(const Array& array, const Tensor& tensor) {
  auto* to = tensor.as<uint16_t>();
  for (size_t i = 0; i < array.data.size(); ++i) to[i] = narrow(static_cast<float>(array.data[i]));
}

template <class T>
void write_as(const Array& array, const Tensor& tensor) {
  T* to = tensor.as<T>();
  for (size_t i = 0; i < array.data.size(); ++i) to[i] = static_cast<T>(array.data[i]);
}

Fill each(std::function<double(Random&)> draw) {
  return [draw = std::move(draw)](Array& leaf, Random& random, std::span<const Array>) {
    for (double& element : leaf.data) element = draw(random);
  };
}

double draw_normal(Random& random) { return std::normal_distribution<double>()(random); }

std::vector<Case> joined(std::initializer_list<std::vector<Case>> families) {
  std::vector<Case> cases;
  for (const auto& family : families) cases.insert(cases.end(), family.begin(), family.end());
  return cases;
}

}  // namespace

Fill normal(double scale, double shift) {
  return each([=](Random& random) { return scale * draw_normal(random) + shift; });
}
Fill uniform(double low, double high) {
  return each(
      [=](Random& random) { return std::uniform_real_distribution<double>(low, high)(random); });
}
Fill outliers() {
  return [](Array& leaf, Random& random, std::span<const Array>) {
    for (size_t i = 0; i < leaf.data.size(); ++i) {
      leaf.data[i] = draw_normal(random) * (i % 13 == 5 ? 20 : 1);
    }
  };
}
Fill constant(double value) {
  return each([=](Random&) { return value; });
}
Fill whole_numbers(int64_t low, int64_t high) {
  return each([=](Random& random) {
    return static_cast<double>(std::uniform_int_distribution<int64_t>(low, high)(random));
  });
}
Fill distinct() {
  return [](Array& leaf, Random& random, std::span<const Array>) {
    std::iota(leaf.data.begin(), leaf.data.end(), -static_cast<double>(leaf.size()) / 2);
    std::ranges::shuffle(leaf.data, random);
    for (double& element : leaf.data) element /= 4;
  };
}
Fill listed(std::vector<double> values) {
  return [values = std::move(values)](Array& leaf, Random&, std::span<const Array>) {
    for (size_t i = 0; i < leaf.data.size(); ++i) leaf.data[i] = values[i % values.size()];
  };
}

Leaf f32(std::string name, Shape shape, Fill fill) {
  return {std::move(name), {DType::f32, shape}, std::move(fill)};
}
Leaf i32(std::string name, Shape shape, Fill fill) {
  return {std::move(name), {DType::i32, shape}, std::move(fill)};
}
Leaf trained(Leaf leaf) {
  leaf.differentiable = true;
  return leaf;
}
Leaf state(Leaf leaf) {
  leaf.updated = true;
  return leaf;
}

double rounded(DType dtype, double value) {
  const auto single = static_cast<float>(value);
  if (dtype == DType::f16) return double{f16_to_f32(f32_to_f16(single))};
  if (dtype == DType::bf16) return double{bf16_to_f32(f32_to_bf16(single))};
  return dtype == DType::f32 ? double{single} : value;
}

Case lowered(const Case& a_case, DType dtype) {
  Case low = a_case;
  for (Leaf& leaf : low.leaves) {
    const bool stays = a_case.stays_f32.empty()
                           ? leaf.desc.shape.rank() < 2
                           : std::ranges::count(a_case.stays_f32, leaf.name) != 0;
    if (leaf.desc.dtype == DType::f32 && !stays) leaf.desc.dtype = low.tolerance.dtype = dtype;
  }
  return low;
}

std::vector<int64_t> dims_of(const Shape& shape) {
  return {shape.dims().begin(), shape.dims().end()};
}

std::vector<Array> contents(const Case& a_case) {
  Random random(std::hash<std::string>()(a_case.name));
  std::vector<Array> made;
  for (const Leaf& leaf : a_case.leaves) {
    Array array = Array::zeros(dims_of(leaf.desc.shape));
    leaf.fill(array, random, made);
    for (double& element : array.data) element = rounded(leaf.desc.dtype, element);
    made.push_back(std::move(array));
  }
  return made;
}

Array to_array(const Tensor& tensor) {
  Array array = Array::zeros(dims_of(tensor.shape()));
  switch (tensor.desc().dtype) {
    case DType::f32:
      read_as<float>(tensor, array);
      break;
    case DType::f16:
      read_16_bits<f16_to_f32>(tensor, array);
      break;
    case DType::bf16:
      read_16_bits<bf16_to_f32>(tensor, array);
      break;
    case DType::u8:
      read_as<uint8_t>(tensor, array);
      break;
    case DType::i32:
      read_as<int32_t>(tensor, array);
      break;
    case DType::i64:
      read_as<int64_t>(tensor, array);
      break;
  }
  return array;
}

void write(const Array& array, const Tensor& tensor) {
  switch (tensor.desc().dtype) {
    case DType::f32:
      write_as<float>(array, tensor);
      break;
    case DType::f16:
      write_16_bits<f32_to_f16>(array, tensor);
      break;
    case DType::bf16:
      write_16_bits<f32_to_bf16>(array, tensor);
      break;
    case DType::u8:
      write_as<uint8_t>(array, tensor);
      break;
    case DType::i32:
      write_as<int32_t>(array, tensor);
      break;
    case DType::i64:
      write_as<int64_t>(array, tensor);
      break;
  }
}

const std::vector<Case>& all_cases() {
  static const std::vector<Case> cases = joined(
      {conv_cases(),       conv_backward_cases(), conv_fused_cases(),    conv_chain_cases(),
       activation_cases(), norm_cases(),          norm_backward_cases(), pool_cases(),
       linear_cases(),     pointwise_cases(),     shape_cases(),         rows_cases(),
       distill_cases(),    term_cases(),          map_term_cases(),      relation_term_cases(),
       optimizer_cases(),  training_cases(),      images_cases(),        contrast_cases(),
       mix_cases(),        peer_term_cases()});
  return cases;
}

}  // namespace kd::test
