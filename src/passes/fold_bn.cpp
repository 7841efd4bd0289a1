#include <cmath>

#include "kd/passes.h"
#include "ops/table.h"
#include "passes/uses.h"

namespace kd {
namespace {

// gamma / sqrt(var + eps) and beta - mean * that, in float64.
struct Affine {
  std::vector<double> scale, shift;
};

Affine affine_of(const Model& model, const Node& norm) {
  const auto vector = [&](size_t i) {
    return model.tensors.at(model.graph.info(norm.inputs[i]).name).as<float>();
  };
  const float *gamma = vector(1), *beta = vector(2), *mean = vector(3), *var = vector(4);
  const auto channels = static_cast<size_t>(model.graph.shape(norm.inputs[1])[0]);
  Affine a{std::vector<double>(channels), std::vector<double>(channels)};
  for (size_t k = 0; k < channels; ++k) {
    a.scale[k] =
        gamma[k] / std::sqrt(static_cast<double>(var[k]) + norm.attr<BatchNormAttrs>().eps);
    a.shift[k] = beta[k] - mean[k] * a.scale[k];
  }
  return a;
}

Tensor scaled_weight(const Tensor& weight, const std::vector<double>& scale) {
  Tensor result = Tensor::host(weight.desc());
  const int64_t each = weight.elements() / weight.shape()[0];
  for (int64_t i = 0; i < weight.elements(); ++i) {
    result.as<float>()[i] =
        static_cast<float>(weight.as<float>()[i] * scale[static_cast<size_t>(i / each)]);
  }
  return result;
}

struct Match {
  int conv = -1, bias = -1;  // node indices; bias: the add between, or -1
  Value bias_value;
};

Match conv_behind(const Model& model, const Uses& uses, const Node& norm) {
  const Graph& graph = model.graph;
  Match found;
  Value x = norm.inputs[0];
  int at = graph.producer(x);
  if (at < 0 || uses.only(x) < 0) return {};
  if (const Node& sum = graph.nodes()[static_cast<size_t>(at)];
      sum.op == &op_add && graph.info(sum.inputs[1]).role == Role::parameter &&
      graph.shape(sum.inputs[1]).rank() == 1) {
    found.bias = at;
    found.bias_value = sum.inputs[1];
    x = sum.inputs[0];
    at = graph.producer(x);
    if (at < 0 || uses.only(x) < 0) return {};
  }
  const Node& conv = graph.nodes()[static_cast<size_t>(at)];
  if (conv.op != &op_conv2d || graph.info(conv.inputs[1]).role != Role::parameter) return {};
  if (uses.only(conv.inputs[1]) < 0) return {};  // a shared weight can't be scaled for one user
  found.conv = at;
  return found;
}

// The tensors a graph still names, of those given.
void keep_used(Model& model) {
  const Uses uses(model.graph, {});
  std::map<std::string, Tensor> kept;
  for (const Node& node : model.graph.nodes()) {
    for (const Value v : node.inputs) {
      const std::string& name = model.graph.info(v).name;
      if (const auto at = model.tensors.find(name); at != model.tensors.end()) kept.insert(*at);
    }
  }
  model.tensors = std::move(kept);
}

}  // namespace

Model fold_bn(const Model& model, std::span<const Value> keep) {
  Model folded = model;
  std::vector<Value> read{model.logits};
  read.insert(read.end(), keep.begin(), keep.end());
  const Uses uses(model.graph, read);
  std::vector<Node> nodes = model.graph.nodes();
  std::vector<char> dropped(nodes.size(), 0);
  for (size_t i = 0; i < nodes.size(); ++i) {
    const Node norm = model.graph.nodes()[i];
    if (norm.op != &op_batch_norm) continue;
    const Match found = conv_behind(model, uses, norm);
    if (found.conv < 0) continue;
    const Affine affine = affine_of(model, norm);
    const Node& conv = model.graph.nodes()[static_cast<size_t>(found.conv)];
    const std::string weight = model.graph.info(conv.inputs[1]).name;
    folded.tensors[weight] = scaled_weight(model.tensors.at(weight), affine.scale);
    const std::string bias_name = weight + ".folded_bias";
    const TensorDesc desc{DType::f32, {static_cast<int64_t>(affine.shift.size())}};
    const Tensor bias = Tensor::host(desc);
    for (size_t k = 0; k < affine.shift.size(); ++k) {
      const double own =
          found.bias < 0 ? 0.0
                         : model.tensors.at(model.graph.info(found.bias_value).name).as<float>()[k];
      bias.as<float>()[k] = static_cast<float>(affine.shift[k] + own * affine.scale[k]);
    }
    folded.tensors[bias_name] = bias;
    const Value bias_value = folded.graph.parameter(bias_name, desc);
    if (found.bias >= 0) dropped[static_cast<size_t>(found.bias)] = 1;
    nodes[i] = {&op_add, norm.name, {conv.outputs[0], bias_value}, norm.outputs, NoAttrs{}};
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move(nodes[i]));
  }
  folded.graph.set_nodes(std::move(kept));
  keep_used(folded);
  return folded;
}

}  // namespace kd
