// The ONNX graph being written: names, initialisers in ONNX's layouts, nodes.
#pragma once

#include <onnx.pb.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "io/onnx/export.h"
#include "kd/ops.h"

namespace kd::onnx_export {

using Ints = std::vector<int64_t>;

// Axes of a 4-D value: where ONNX's (N, C, H, W) are among ours (N, H, W, C), and back.
inline constexpr std::array<int64_t, 4> kOurAxis{0, 3, 1, 2}, kOnnxAxis{0, 2, 3, 1};
int64_t onnx_axis(const Shape& shape, int64_t axis);

class GraphWriter {
 public:
  GraphWriter(const Model& model, const ExportOptions& options);

  const Graph& graph() const { return model_.graph; }
  const Shape& shape(Value v) const { return model_.graph.shape(v); }
  const ExportOptions& options() const { return options_; }
  onnx::GraphProto& proto() { return proto_; }

  // The ONNX name of a value; a leaf becomes an initialiser, (H, W, C) as (C, H, W). `rank`: of
  // what it is broadcast to.
  std::string name(Value v, int rank = 0);
  void define(Value v, const std::string& name) { names_[v.id] = name; }
  bool is_defined(Value v) const { return names_.contains(v.id); }
  const Tensor& stored(const Node& node, size_t input) const;  // throws Error if it is no leaf
  int uses(Value v) const { return uses_[static_cast<size_t>(v.id)]; }
  std::vector<const Node*> users(Value v) const;

  // A node of one output, whose name is returned. The attributes are added to node().
  std::string node(const std::string& op, const std::vector<std::string>& inputs,
                   const std::string& layer);
  void attribute(const std::string& name, int64_t value);
  void attribute(const std::string& name, double value);
  void attribute(const std::string& name, const std::string& value);
  void attribute(const std::string& name, const Ints& values);

  std::string integers(const Ints& values, const std::string& hint);
  std::string number(double value, const std::string& hint);  // a scalar of the arithmetic's type
  std::string floats(const Ints& dims, const std::vector<float>& values, const std::string& hint,
                     bool keep_f32 = false);
  std::string unique(const std::string& name);  // among the values

  // Linear layers whose columns are read in ONNX's order, (C, H, W), by their weight's value id.
  std::map<int, std::array<int64_t, 3>> flattened;

 private:
  onnx::TensorProto& initializer(const std::string& name, const Ints& dims, int type);
  std::string leaf(Value v, int rank);

  const Model& model_;
  ExportOptions options_;
  onnx::GraphProto proto_;
  onnx::NodeProto* last_ = nullptr;
  std::map<int, std::string> names_;
  std::map<std::pair<int, int>, std::string> leaves_;  // (value, rank)
  std::set<std::string> taken_, layers_;               // names of values, of nodes
  std::vector<int> uses_;
};

// Writes what a node of ours computes and defines its output.
void write_node(GraphWriter& writer, const Node& node);
// Layers with weights and windows (export_layers.cpp); false if the op is none of them.
bool write_layer(GraphWriter& writer, const Node& node);
[[noreturn]] void refuse(const Node& node, const std::string& why);

}  // namespace kd::onnx_export
