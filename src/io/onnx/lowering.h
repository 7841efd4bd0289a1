// The graph being imported: ONNX values by name, each a constant or a view of a value of ours.
#pragma once

#include <map>
#include <optional>

#include "io/onnx/array.h"
#include "io/onnx/attributes.h"
#include "kd/model.h"
#include "kd/ops.h"

namespace kd::onnx_import {

// An ONNX tensor as it lies in our graph: its axis i is the axes axes[i] of `value`, in row-major
// order (none: a size of 1). Axes of `value` that are not named have size 1. So transposing,
// flattening and splitting cost nothing until an op wants its elements in a certain order; an
// image (N, C, H, W) lies as (N, H, W, C).
struct View {
  Value value;
  std::vector<std::vector<int>> axes;
};

struct Entry {
  const onnx::TensorProto* stored = nullptr;  // an initialiser that nobody has read yet
  std::optional<Array> constant = {};
  View view = {};
  // This is a (log-)softmax of `before`: fit to be a classifier's output, not to be distilled.
  std::optional<View> before_softmax = {};
  bool quantised = false;     // rounded to integers, in the file
  std::string left_out = {};  // not made: what is said to whoever reads it
  bool is_constant() const { return stored != nullptr || constant.has_value(); }
};

struct LoweringOptions {
  std::filesystem::path folder;  // of the file: where external data lies
  int64_t opset = 17;
  bool batched = true;              // axis 0 of the input is the batch, which stays free
  int64_t batch = 1;                // what the file's own shapes call it
  int64_t most_elements = 1 << 28;  // of all weights together that are computed, not stored
};

class Lowering {
 public:
  Lowering(Model& model, LoweringOptions options) : model_(model), options_(std::move(options)) {}

  // A name is given once; throws Error.
  void define(const std::string& name, Entry entry);
  // An output that is not supported: files declare them though nothing reads them.
  void leave_out(const onnx::NodeProto& node, int output, const std::string& what);
  const Entry* find(const std::string& name) const;  // null too for what was left out
  bool has(const onnx::NodeProto& node, int input) const;
  const Entry& entry(const onnx::NodeProto& node, int input) const;
  bool all_constant(const onnx::NodeProto& node) const;
  Array constant(const onnx::NodeProto& node, int input) const;  // throws Error if it is none

  // Whole numbers that older opsets give as an attribute and newer ones as an input.
  std::vector<int64_t> list(const onnx::NodeProto& node, int input, Attributes& attributes,
                            const std::string& name) const;

  const View& view(const onnx::NodeProto& node, int input) const;  // throws Error for a constant
  std::vector<int64_t> dims(const View& view) const;               // as ONNX sees them

  // The view's elements with ONNX axis order[k] as axis k of the result.
  Value arrange(const onnx::NodeProto& node, const View& view, const std::vector<int>& order);
  Value image(const onnx::NodeProto& node, int input);  // (N, H, W, C) of an (N, C, H, W)
  static View image_view(Value nhwc) { return {nhwc, {{0}, {3}, {1}, {2}}}; }
  View plain_view(Value value) const;
  View ordered_view(Value value, const std::vector<int>& order) const;  // undoes arrange()
  // An order that arrange() can give without moving elements, if there is one.
  std::vector<int> natural_order(const View& view) const;
  View reshaped(const onnx::NodeProto& node, const View& view, const std::vector<int64_t>& dims);

  // A new parameter or running statistic, named after the node's input.
  Value parameter(const onnx::NodeProto& node, int input, const Array& values,
                  Role role = Role::parameter);

  Graph& graph() { return model_.graph; }
  const Graph& graph() const { return model_.graph; }
  const LoweringOptions& options() const { return options_; }
  void note(std::string text);  // said aloud once
  std::vector<std::string> notes() const { return notes_; }

  // The names a function's body sees: none of those outside.
  std::map<std::string, Entry> swap_names(std::map<std::string, Entry> names);

 private:
  int64_t size_of(Value value, int axis) const;
  Value contiguous(const onnx::NodeProto& node, const View& view, const std::vector<int>& order);

  Model& model_;
  LoweringOptions options_;
  std::map<std::string, Entry> entries_;
  std::map<std::pair<int, std::vector<int64_t>>, Value> arranged_;
  std::vector<std::string> notes_;
  int64_t computed_ = 0;
};

}  // namespace kd::onnx_import
