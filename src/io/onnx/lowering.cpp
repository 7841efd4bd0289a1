#include "io/onnx/lowering.h"

#include "kd/error.h"

namespace kd::onnx_import {

const Entry* Lowering::find(const std::string& name) const {
  const auto at = entries_.find(name);
  return at == entries_.end() ? nullptr : &at->second;
}

bool Lowering::has(const onnx::NodeProto& node, int input) const {
  return input < node.input_size() && !node.input(input).empty();
}

const Entry& Lowering::entry(const onnx::NodeProto& node, int input) const {
  KD_CHECK(has(node, input), "{}: input {} is missing", label(node), input);
  const Entry* found = find(node.input(input));
  KD_CHECK(found, "{}: its input '{}' is not made before it is used", label(node),
           node.input(input));
  return *found;
}

bool Lowering::all_constant(const onnx::NodeProto& node) const {
  for (int i = 0; i < node.input_size(); ++i) {
    if (has(node, i) && !entry(node, i).constant) return false;
  }
  return true;
}

std::vector<const Array*> Lowering::constants(const onnx::NodeProto& node) const {
  std::vector<const Array*> list;
  for (int i = 0; i < node.input_size(); ++i) {
    list.push_back(has(node, i) ? &*entry(node, i).constant : nullptr);
  }
  return list;
}

Value Lowering::tensor(const onnx::NodeProto& node, int input) const {
  const Entry& found = entry(node, input);
  KD_CHECK(!found.constant, "{}: input {} is a constant, expected a tensor", label(node), input);
  return found.value;
}

Value Lowering::image(const onnx::NodeProto& node, int input) const {
  const Value v = tensor(node, input);
  KD_CHECK(model_.graph.shape(v).rank() == 4, "{}: input {} has rank {}, expected 4", label(node),
           input, model_.graph.shape(v).rank());
  return v;
}

const Array& Lowering::constant(const onnx::NodeProto& node, int input) const {
  const Entry& found = entry(node, input);
  KD_CHECK(found.constant, "{}: input {} must be a constant", label(node), input);
  return *found.constant;
}

Value Lowering::parameter(const onnx::NodeProto& node, int input, const Shape& shape,
                          const std::vector<double>& values, Role role) {
  std::string name = node.input(input);
  while (model_.graph.find(name)) name += "_";  // one initialiser may serve several nodes
  const TensorDesc desc{DType::f32, shape};
  KD_CHECK(static_cast<int64_t>(values.size()) == shape.elements(),
           "{}: '{}' has {} values, expected {}", label(node), name, values.size(),
           shape.elements());
  const Tensor tensor = Tensor::host(desc);
  for (size_t i = 0; i < values.size(); ++i) tensor.as<float>()[i] = static_cast<float>(values[i]);
  model_.tensors[name] = tensor;
  return model_.graph.leaf(role, name, desc);
}

}  // namespace kd::onnx_import
