// The graph being imported: ONNX values by name, each a constant or a value of our graph (NHWC).
#pragma once

#include <array>
#include <map>

#include "io/onnx/array.h"
#include "kd/model.h"
#include "kd/ops.h"

namespace kd::onnx_import {

struct Entry {
  std::optional<Array> constant;
  Value value;
  // A matrix whose columns are a flattened (C, H, W), while ours are (H, W, C); all 0 otherwise.
  std::array<int64_t, 3> flattened{};
};

class Lowering {
 public:
  explicit Lowering(Model& model) : model_(model) {}

  void define(const std::string& name, Entry entry) { entries_[name] = std::move(entry); }
  const Entry& entry(const onnx::NodeProto& node, int input) const;
  bool has(const onnx::NodeProto& node, int input) const;
  bool all_constant(const onnx::NodeProto& node) const;
  std::vector<const Array*> constants(const onnx::NodeProto& node) const;

  // Inputs as one kind or the other; throws Error naming the node otherwise.
  Value tensor(const onnx::NodeProto& node, int input) const;
  Value image(const onnx::NodeProto& node, int input) const;  // rank 4
  const Array& constant(const onnx::NodeProto& node, int input) const;

  // A new parameter or running statistic, named after the ONNX value.
  Value parameter(const onnx::NodeProto& node, int input, const Shape& shape,
                  const std::vector<double>& values, Role role = Role::parameter);

  Graph& graph() { return model_.graph; }
  const Entry* find(const std::string& name) const;

 private:
  Model& model_;
  std::map<std::string, Entry> entries_;
};

// Adds what `node` computes; throws Error naming node, op and attribute if that can't be done
// exactly.
void lower(Lowering& lowering, const onnx::NodeProto& node);

}  // namespace kd::onnx_import
