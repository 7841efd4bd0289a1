// The nodes of an ONNX graph in order: those that the output needs, bodies of functions and the
// branches of conditions that are known taken in their place.
#pragma once

#include <functional>
#include <set>

#include "io/onnx/lowering.h"

namespace kd::onnx_import {

using NodeVisitor = std::function<void(const onnx::NodeProto&)>;

class GraphWalk {
 public:
  // `each` is called for every plain node, after whatever it needs.
  GraphWalk(const onnx::ModelProto& proto, Lowering& lowering, NodeVisitor each);
  void walk(const std::string& output);

 private:
  using Nodes = google::protobuf::RepeatedPtrField<onnx::NodeProto>;
  void visit(const onnx::NodeProto& node, int depth);
  void branch(const onnx::NodeProto& node, int depth);
  void call(const onnx::FunctionProto& function, const onnx::NodeProto& node, int depth);
  const onnx::FunctionProto* function_of(const onnx::NodeProto& node) const;

  const onnx::ModelProto& proto_;
  Lowering& lowering_;
  NodeVisitor each_;
  int64_t visited_ = 0;
};

// Which of the graph's nodes the value `output` depends on.
std::vector<char> needed_nodes(const onnx::GraphProto& graph, const std::string& output);

void define_initialisers(Lowering& lowering, const onnx::GraphProto& graph);

}  // namespace kd::onnx_import
