// Constant folding: the shape arithmetic of exporters, and weights that nodes compute.
#pragma once

#include <optional>

#include "io/onnx/array.h"
#include "io/onnx/attributes.h"

namespace kd::onnx_import {

struct FoldCall {
  const onnx::NodeProto& node;
  std::vector<const Array*> inputs;  // null where the node leaves one out
  int64_t opset;
  mutable Attributes attributes;

  bool has(size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
  const Array& in(size_t i) const;  // throws Error if it is missing
  // Whole numbers that older opsets give as an attribute and newer ones as an input.
  std::vector<int64_t> list(size_t i, const std::string& attribute) const;
};

// The outputs of a node whose inputs are all constant, or nothing if it is none that is folded.
std::optional<std::vector<Array>> fold(const FoldCall& call);
bool is_folded(const std::string& op);
std::vector<std::string> folded_operators();

// Throws Error if a result of this many elements is more than the inputs justify.
void check_folded_size(const FoldCall& call, int64_t count);

// Parts of fold(): what moves elements, and what computes.
using FoldFunction = std::vector<Array> (*)(const FoldCall&);
FoldFunction find_movement(const std::string& op);
FoldFunction find_arithmetic(const std::string& op);
std::vector<std::string> movement_names();
std::vector<std::string> arithmetic_names();

// Of Reshape: 0 keeps a size (unless allowzero), -1 is what is left. Throws Error if it can't be.
std::vector<int64_t> resolved_shape(const onnx::NodeProto& node, const std::vector<int64_t>& from,
                                    std::vector<int64_t> to, bool allow_zero);

// Of Slice: the indices kept along each axis, as (begin, step, size).
struct Range {
  int64_t begin = 0, step = 1, size = 0;
};
struct SliceBounds {
  std::vector<int64_t> starts, ends, axes, steps;  // axes empty: the first ones; steps empty: 1
};
std::vector<Range> sliced_ranges(const onnx::NodeProto& node, const std::vector<int64_t>& dims,
                                 const SliceBounds& bounds);

// The dimensions two shapes broadcast to, right-aligned; throws Error if they do not.
std::vector<int64_t> broadcast_dims(const onnx::NodeProto& node, const std::vector<int64_t>& a,
                                    const std::vector<int64_t>& b);

// Sizes of the parts of Split along an axis of `size`.
std::vector<int64_t> split_sizes(const onnx::NodeProto& node, int64_t size,
                                 const std::vector<int64_t>& given, int64_t parts);

}  // namespace kd::onnx_import
