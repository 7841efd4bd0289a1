#include "distill/variables.h"

#include <algorithm>
#include <cstring>

#include "kd/error.h"

namespace kd {

Variables::Variables(const Model& model, Backend& backend, bool decay_all) {
  std::vector<Value> order = model.graph.leaves(Role::parameter);
  const auto is_decayed = [&](Value v) { return decay_all || model.graph.shape(v).rank() >= 2; };
  std::stable_partition(order.begin(), order.end(), is_decayed);
  int64_t total = 0;
  for (const Value v : order) {
    total += model.graph.shape(v).elements();
    if (is_decayed(v)) decayed_ = total;
  }
  const TensorDesc flat{DType::f32, {total}};
  const auto arena = [&] { return Tensor(flat, backend.allocate(flat.bytes(), Memory::device)); };
  parameters_ = arena();
  gradients_ = arena();
  velocity_ = arena();
  size_t at = 0;
  for (const Value v : order) {
    const ValueInfo& value = model.graph.info(v);
    views_[value.name] = Tensor(value.desc, parameters_.buffer(), at);
    gradient_views_[value.name] = Tensor(value.desc, gradients_.buffer(), at);
    at += value.desc.bytes();
  }
  for (const Value v : model.graph.leaves(Role::state)) {
    const ValueInfo& value = model.graph.info(v);
    views_[value.name] = Tensor(value.desc, backend.allocate(value.desc.bytes(), Memory::device));
  }
  const auto stream = backend.stream(Priority::normal);
  for (const auto& [name, view] : views_) {
    backend.copy(view.data(), model.tensors.at(name).data(), view.bytes(), *stream);
  }
  backend.synchronize(*stream);
}

std::vector<Binding> Variables::bind(const Graph& graph) const {
  std::vector<Binding> bindings;
  for (const auto& [name, view] : views_) {
    if (const Value v = graph.find(name)) bindings.push_back({v, view});
  }
  return bindings;
}

Tensor Variables::gradient(const std::string& name) const { return gradient_views_.at(name); }

void Variables::store(Model& model) const {
  for (const auto& [name, view] : views_) {
    const Tensor tensor = Tensor::host(view.desc());
    std::memcpy(tensor.data(), view.data(), view.bytes());
    model.tensors[name] = tensor;
  }
}

}  // namespace kd
