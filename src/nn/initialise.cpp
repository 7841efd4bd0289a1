#include "nn/initialise.h"

#include <algorithm>
#include <cmath>

#include "kd/random.h"

namespace kd {
namespace {

uint64_t name_id(std::string_view name) {  // FNV-1a: tells the tensors' random numbers apart
  uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return hash;
}

Tensor initial(const ValueInfo& value, int64_t fan_in, uint64_t seed) {
  Tensor tensor = Tensor::host({DType::f32, value.desc.shape});
  const std::span<float> out(tensor.as<float>(), static_cast<size_t>(tensor.elements()));
  const Shape& shape = value.desc.shape;
  RandomSequence random(seed, Purpose::init, 0, name_id(value.name));
  if (shape.rank() == 4) {  // KRSC
    const double deviation = std::sqrt(2.0 / static_cast<double>(shape[0] * shape[1] * shape[2]));
    for (float& x : out) x = static_cast<float>(deviation * random.normal());
  } else if (fan_in > 0) {
    const double bound = 1 / std::sqrt(static_cast<double>(fan_in));
    for (float& x : out) x = static_cast<float>(random.uniform(-bound, bound));
  } else {
    const bool one = value.name.ends_with(".running_var") || value.name.ends_with(".weight");
    std::ranges::fill(out, one ? 1.0f : 0.0f);
  }
  return tensor;
}

}  // namespace

std::map<std::string, Tensor> initial_tensors(const Graph& graph, uint64_t seed) {
  std::map<std::string, int64_t> linear_fan_in;  // of weights and biases of linear layers
  for (const Node& node : graph.nodes()) {
    if (node.op->name != "linear") continue;
    for (size_t i = 1; i < node.inputs.size(); ++i) {
      linear_fan_in[graph.info(node.inputs[i]).name] = graph.shape(node.inputs[1])[1];
    }
  }
  std::map<std::string, Tensor> tensors;
  for (const Role role : {Role::parameter, Role::state}) {
    for (const Value v : graph.leaves(role)) {
      const ValueInfo& value = graph.info(v);
      const auto fan_in = linear_fan_in.find(value.name);
      tensors[value.name] =
          initial(value, fan_in == linear_fan_in.end() ? 0 : fan_in->second, seed);
    }
  }
  return tensors;
}

}  // namespace kd
