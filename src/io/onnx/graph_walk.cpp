#include "io/onnx/graph_walk.h"

#include "io/onnx/operators.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

constexpr int kDeepest = 16;
constexpr int64_t kMostNodes = 100000;

// Everything a node reads, inside its branches too.
void collect_inputs(const onnx::NodeProto& node, std::set<std::string>& names, int depth) {
  KD_CHECK(depth <= kDeepest, "{}: conditions nested deeper than {}", label(node), kDeepest);
  for (const std::string& input : node.input()) names.insert(input);
  for (const auto& attribute : node.attribute()) {
    if (!attribute.has_g()) continue;
    for (const auto& inner : attribute.g().node()) collect_inputs(inner, names, depth + 1);
    for (const auto& output : attribute.g().output()) names.insert(output.name());
  }
}

// A function's node with the attributes of the call in the place of references to them.
onnx::NodeProto with_attributes(const onnx::NodeProto& node, const onnx::NodeProto& call,
                                const onnx::FunctionProto& function) {
  onnx::NodeProto made = node;
  made.clear_attribute();
  for (const auto& attribute : node.attribute()) {
    if (attribute.ref_attr_name().empty()) {
      *made.add_attribute() = attribute;
      continue;
    }
    const auto take = [&](const auto& from) {
      for (const auto& candidate : from) {
        if (candidate.name() != attribute.ref_attr_name()) continue;
        *made.add_attribute() = candidate;
        made.mutable_attribute(made.attribute_size() - 1)->set_name(attribute.name());
        return true;
      }
      return false;
    };
    if (!take(call.attribute())) take(function.attribute_proto());
  }
  if (!call.name().empty()) made.set_name(call.name() + "/" + node.name());
  return made;
}

}  // namespace

std::vector<char> needed_nodes(const onnx::GraphProto& graph, const std::string& output) {
  std::set<std::string> wanted{output};
  std::vector<char> needed(static_cast<size_t>(graph.node_size()), 0);
  for (int i = graph.node_size(); i-- > 0;) {
    for (const std::string& made : graph.node(i).output()) {
      if (!made.empty() && wanted.contains(made)) needed[static_cast<size_t>(i)] = 1;
    }
    if (needed[static_cast<size_t>(i)]) collect_inputs(graph.node(i), wanted, 0);
  }
  return needed;
}

void define_initialisers(Lowering& lowering, const onnx::GraphProto& graph) {
  for (const auto& tensor : graph.initializer()) {
    Entry entry;
    entry.stored = &tensor;
    lowering.define(tensor.name(), std::move(entry));
  }
  KD_CHECK(graph.sparse_initializer_size() == 0, "sparse initialisers are not supported");
}

GraphWalk::GraphWalk(const onnx::ModelProto& proto, Lowering& lowering, NodeVisitor each)
    : proto_(proto), lowering_(lowering), each_(std::move(each)) {}

void GraphWalk::walk(const std::string& output) {
  const std::vector<char> needed = needed_nodes(proto_.graph(), output);
  for (int i = 0; i < proto_.graph().node_size(); ++i) {
    if (needed[static_cast<size_t>(i)]) visit(proto_.graph().node(i), 0);
  }
}

void GraphWalk::visit(const onnx::NodeProto& node, int depth) {
  KD_CHECK(depth <= kDeepest, "{}: functions and conditions nested deeper than {}", label(node),
           kDeepest);
  KD_CHECK(++visited_ <= kMostNodes, "the graph has more than {} nodes", kMostNodes);
  if (const auto* function = function_of(node)) return call(*function, node, depth);
  KD_CHECK(node.domain().empty() || node.domain() == "ai.onnx" || node.domain() == "com.microsoft",
           "{}: operators of the domain '{}' are not supported", label(node), node.domain());
  if (node.op_type() == "If") return branch(node, depth);
  each_(node);
}

const onnx::FunctionProto* GraphWalk::function_of(const onnx::NodeProto& node) const {
  for (const auto& function : proto_.functions()) {
    if (function.name() == node.op_type() && function.domain() == node.domain()) return &function;
  }
  return nullptr;
}

void GraphWalk::branch(const onnx::NodeProto& node, int depth) {
  KD_CHECK(lowering_.entry(node, 0).is_constant(),
           "{}: a condition that depends on the picture is not supported", label(node));
  const Array condition = lowering_.constant(node, 0);
  KD_CHECK(condition.count() == 1, "{}: a condition of {} elements", label(node),
           condition.count());
  Attributes attributes(node);
  const auto* taken = attributes.find(condition.at(0) != 0 ? "then_branch" : "else_branch");
  KD_CHECK(taken != nullptr && taken->g().output_size() == node.output_size(),
           "{}: a branch that does not make its outputs", label(node));
  define_initialisers(lowering_, taken->g());
  for (const auto& inner : taken->g().node()) visit(inner, depth + 1);
  for (int i = 0; i < node.output_size(); ++i) {
    const Entry* made = lowering_.find(taken->g().output(i).name());
    KD_CHECK(made != nullptr, "{}: a branch that does not make its outputs", label(node));
    lowering_.define(node.output(i), *made);
  }
}

void GraphWalk::call(const onnx::FunctionProto& function, const onnx::NodeProto& node, int depth) {
  std::map<std::string, Entry> inside;
  for (int i = 0; i < function.input_size(); ++i) {
    if (lowering_.has(node, i)) inside[function.input(i)] = lowering_.entry(node, i);
  }
  std::map<std::string, Entry> outside = lowering_.swap_names(std::move(inside));
  for (const auto& inner : function.node())
    visit(with_attributes(inner, node, function), depth + 1);
  inside = lowering_.swap_names(std::move(outside));
  KD_CHECK(function.output_size() >= node.output_size(), "{}: {} outputs, the function has {}",
           label(node), node.output_size(), function.output_size());
  for (int i = 0; i < node.output_size(); ++i) {
    const auto made = inside.find(function.output(i));
    KD_CHECK(made != inside.end(), "{}: its function does not make '{}'", label(node),
             function.output(i));
    lowering_.define(node.output(i), made->second);
  }
}

}  // namespace kd::onnx_import
