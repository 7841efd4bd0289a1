#include "kd/passes.h"
#include "ops/table.h"
#include "passes/uses.h"

namespace kd {
namespace {

// A convolution and what follows it, as far as one fused op can take it.
struct Group {
  std::vector<size_t> nodes;  // to be dropped, in order; the fused node takes the last one's place
  Value bias, residual, output;
  Activation activation = Activation::none;
};

Value other_operand(const Node& sum, Value v) {
  return sum.inputs[0] == v ? sum.inputs[1] : sum.inputs[0];
}

Group grow(const Graph& graph, const Uses& uses, const std::vector<char>& taken, size_t at) {
  const auto& nodes = graph.nodes();
  Group group{{at}, {}, {}, nodes[at].outputs[0], Activation::none};
  const Shape shape = graph.shape(group.output), channels{shape[3]};
  for (;;) {
    const int next = uses.only(group.output);
    if (next < 0 || taken[static_cast<size_t>(next)]) return group;
    const Node& node = nodes[static_cast<size_t>(next)];
    if (node.op == &op_add && !group.bias &&
        graph.shape(other_operand(node, group.output)) == channels) {
      group.bias = other_operand(node, group.output);
    } else if (node.op == &op_add && group.bias && !group.residual &&
               graph.shape(other_operand(node, group.output)) == shape) {
      group.residual = other_operand(node, group.output);
    } else if (node.op == &op_activation && group.bias) {
      group.activation = node.attr<ActivationAttrs>().kind;
    } else {
      return group;
    }
    group.nodes.push_back(static_cast<size_t>(next));
    group.output = node.outputs[0];
    if (group.activation != Activation::none) return group;
  }
}

}  // namespace

void fuse_conv_epilogue(Graph& graph, std::span<const Value> keep) {
  const Uses uses(graph, keep);
  std::vector<Node> nodes = graph.nodes();
  std::vector<char> taken(nodes.size(), 0), dropped(nodes.size(), 0);
  // Latest first: where two convolutions meet in one add, the later one has the other's result at
  // hand.
  for (size_t back = nodes.size(); back-- > 0;) {
    if (graph.nodes()[back].op != &op_conv2d) continue;
    const Group group = grow(graph, uses, taken, back);
    if (!group.bias) continue;
    const Node& conv = graph.nodes()[back];
    std::vector<Value> inputs{conv.inputs[0], conv.inputs[1], group.bias};
    if (group.residual) inputs.push_back(group.residual);
    for (const size_t i : group.nodes) taken[i] = dropped[i] = 1;
    dropped[group.nodes.back()] = 0;
    nodes[group.nodes.back()] = {&op_conv2d_bias_act,
                                 conv.name,
                                 std::move(inputs),
                                 {group.output},
                                 ConvBiasActAttrs{conv.attr<Conv2dAttrs>(), group.activation}};
  }
  std::vector<Node> kept;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (!dropped[i]) kept.push_back(std::move(nodes[i]));
  }
  graph.set_nodes(std::move(kept));
}

}  // namespace kd
