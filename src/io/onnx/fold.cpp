// Constant folding: shape arithmetic of exporters, on small arrays.
#include <algorithm>
#include <cmath>
#include <map>

#include "io/onnx/array.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

using Inputs = std::vector<const Array*>;

const Array& need(const onnx::NodeProto& node, const Inputs& in, size_t i) {
  KD_CHECK(i < in.size() && in[i] != nullptr, "{}: input {} is missing", label(node), i);
  return *in[i];
}

size_t axis_of(const onnx::NodeProto& node, int64_t axis, size_t rank) {
  if (axis < 0) axis += static_cast<int64_t>(rank);
  KD_CHECK(axis >= 0 && axis < static_cast<int64_t>(rank), "{}: axis {} of rank {}", label(node),
           axis, rank);
  return static_cast<size_t>(axis);
}

int64_t count_of(const std::vector<int64_t>& dims) {
  int64_t count = 1;
  for (const int64_t size : dims) count *= size;
  return count;
}

// Walks the places of `dims` in row-major order.
template <class Visit>
void for_each_place(const std::vector<int64_t>& dims, const Visit& visit) {
  std::vector<int64_t> at(dims.size(), 0);
  for (int64_t i = count_of(dims); i > 0; --i) {
    visit(at);
    for (size_t axis = dims.size(); axis-- > 0;) {
      if (++at[axis] < dims[axis]) break;
      at[axis] = 0;
    }
  }
}

size_t flat(const std::vector<int64_t>& dims, const std::vector<int64_t>& at) {
  int64_t index = 0;
  for (size_t axis = 0; axis < dims.size(); ++axis) index = index * dims[axis] + at[axis];
  return static_cast<size_t>(index);
}

Array binary(const onnx::NodeProto& node, const Inputs& in) {
  const Array &a = need(node, in, 0), &b = need(node, in, 1);
  const size_t count = std::max(a.values.size(), b.values.size());
  KD_CHECK(a.dims == b.dims || a.values.size() == 1 || b.values.size() == 1,
           "{}: constants of different shapes", label(node));
  Array y{a.values.size() >= b.values.size() ? a.dims : b.dims, {}, a.integer};
  for (size_t i = 0; i < count; ++i) {
    const double p = a.values[a.values.size() == 1 ? 0 : i],
                 q = b.values[b.values.size() == 1 ? 0 : i];
    const std::string& op = node.op_type();
    double value = op == "Add" ? p + q : op == "Sub" ? p - q : op == "Mul" ? p * q : p / q;
    if (y.integer && op == "Div") {
      KD_CHECK(q != 0, "{}: division by zero", label(node));
      value = std::trunc(value);
    }
    y.values.push_back(value);
  }
  return y;
}

Array concat(const onnx::NodeProto& node, const Inputs& in) {
  Attributes attributes(node);
  Array y = need(node, in, 0);
  const size_t axis = axis_of(node, attributes.integer("axis", 0), y.dims.size());
  KD_CHECK(axis == 0, "{}: constants joined along axis {}, expected 0", label(node), axis);
  for (size_t i = 1; i < in.size(); ++i) {
    const Array& part = need(node, in, i);
    y.values.insert(y.values.end(), part.values.begin(), part.values.end());
    y.dims[0] += part.dims.at(0);
  }
  return y;
}

Array gather(const onnx::NodeProto& node, const Inputs& in) {
  Attributes attributes(node);
  const Array &x = need(node, in, 0), &index = need(node, in, 1);
  KD_CHECK(axis_of(node, attributes.integer("axis", 0), x.dims.size()) == 0 && x.dims.size() == 1,
           "{}: only vectors of constants", label(node));
  Array y{index.dims, {}, x.integer};
  for (int64_t at : index.integers()) {
    if (at < 0) at += x.dims[0];
    KD_CHECK(at >= 0 && at < x.dims[0], "{}: index {} of {}", label(node), at, x.dims[0]);
    y.values.push_back(x.values[static_cast<size_t>(at)]);
  }
  return y;
}

Array slice(const onnx::NodeProto& node, const Inputs& in) {
  Attributes attributes(node);
  const Array& x = need(node, in, 0);
  const bool old = in.size() < 3;  // opset 9
  const auto starts = old ? attributes.integers("starts", {}) : in[1]->integers();
  const auto ends = old ? attributes.integers("ends", {}) : in[2]->integers();
  std::vector<int64_t> axes = old ? attributes.integers("axes", {}) : std::vector<int64_t>{};
  if (!old && in.size() > 3 && in[3]) axes = in[3]->integers();
  std::vector<int64_t> steps(starts.size(), 1);
  if (in.size() > 4 && in[4]) steps = in[4]->integers();
  std::vector<std::vector<int64_t>> picked;  // kept indices of each axis
  for (const int64_t size : x.dims) {
    picked.emplace_back();
    for (int64_t i = 0; i < size; ++i) picked.back().push_back(i);
  }
  for (size_t i = 0; i < starts.size(); ++i) {
    const size_t axis =
        axis_of(node, axes.empty() ? static_cast<int64_t>(i) : axes[i], x.dims.size());
    const int64_t size = x.dims[axis], step = steps.at(i);
    KD_CHECK(step != 0, "{}: a step of 0", label(node));
    const auto bound = [&](int64_t v, int64_t low, int64_t high) {
      return std::clamp(v < 0 && v > INT64_MIN / 2 ? v + size : v, low, high);
    };
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const int64_t end = ends[i] <= INT64_MIN / 2 ? low : bound(ends[i], low, high);
    picked[axis].clear();
    for (int64_t at = bound(starts[i], 0, high); step > 0 ? at < end : at > end; at += step) {
      picked[axis].push_back(at);
    }
  }
  Array y{{}, {}, x.integer};
  for (const auto& axis : picked) y.dims.push_back(static_cast<int64_t>(axis.size()));
  for_each_place(y.dims, [&](const std::vector<int64_t>& at) {
    std::vector<int64_t> from;
    for (size_t k = 0; k < at.size(); ++k) from.push_back(picked[k][static_cast<size_t>(at[k])]);
    y.values.push_back(x.values[flat(x.dims, from)]);
  });
  return y;
}

Array transpose(const onnx::NodeProto& node, const Inputs& in) {
  Attributes attributes(node);
  const Array& x = need(node, in, 0);
  std::vector<int64_t> reversed;
  for (size_t i = x.dims.size(); i-- > 0;) reversed.push_back(static_cast<int64_t>(i));
  const auto order = attributes.integers("perm", reversed);
  KD_CHECK(order.size() == x.dims.size(), "{}: perm has {} axes of {}", label(node), order.size(),
           x.dims.size());
  Array y{{}, {}, x.integer};
  for (const int64_t axis : order) y.dims.push_back(x.dims[axis_of(node, axis, x.dims.size())]);
  for_each_place(y.dims, [&](const std::vector<int64_t>& at) {
    std::vector<int64_t> from(at.size());
    for (size_t k = 0; k < at.size(); ++k) from[static_cast<size_t>(order[k])] = at[k];
    y.values.push_back(x.values[flat(x.dims, from)]);
  });
  return y;
}

Array reshape(const onnx::NodeProto& node, const Inputs& in) {
  Array y = need(node, in, 0);
  std::vector<int64_t> dims = need(node, in, 1).integers();
  int64_t known = 1;
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && i < y.dims.size()) dims[i] = y.dims[i];
    if (dims[i] != -1) known *= dims[i];
  }
  for (int64_t& size : dims) {
    if (size == -1) size = known > 0 ? static_cast<int64_t>(y.values.size()) / known : 0;
  }
  KD_CHECK(count_of(dims) == static_cast<int64_t>(y.values.size()), "{}: a constant of {} values",
           label(node), y.values.size());
  y.dims = dims;
  return y;
}

std::vector<int64_t> axes_of(const onnx::NodeProto& node, const Inputs& in) {
  if (in.size() > 1 && in[1]) return in[1]->integers();
  return Attributes(node).integers("axes", {});
}

Array unsqueeze(const onnx::NodeProto& node, const Inputs& in) {
  Array y = need(node, in, 0);
  std::vector<int64_t> axes = axes_of(node, in);
  const size_t rank = y.dims.size() + axes.size();
  for (int64_t& axis : axes) axis = static_cast<int64_t>(axis_of(node, axis, rank));
  std::ranges::sort(axes);
  for (const int64_t axis : axes) y.dims.insert(y.dims.begin() + axis, 1);
  return y;
}

Array squeeze(const onnx::NodeProto& node, const Inputs& in) {
  Array y = need(node, in, 0);
  std::vector<int64_t> axes = axes_of(node, in), kept;
  for (int64_t& axis : axes) axis = static_cast<int64_t>(axis_of(node, axis, y.dims.size()));
  for (size_t i = 0; i < y.dims.size(); ++i) {
    const bool named = std::ranges::find(axes, static_cast<int64_t>(i)) != axes.end();
    if (!(y.dims[i] == 1 && (axes.empty() || named))) kept.push_back(y.dims[i]);
  }
  y.dims = kept;
  return y;
}

Array cast(const onnx::NodeProto& node, const Inputs& in) {
  Array y = need(node, in, 0);
  const int64_t to = Attributes(node).integer("to", 1);
  y.integer = to != onnx::TensorProto::FLOAT && to != onnx::TensorProto::DOUBLE &&
              to != onnx::TensorProto::FLOAT16;
  if (y.integer) {
    for (double& value : y.values) value = std::trunc(value);
  }
  return y;
}

Array constant_of_shape(const onnx::NodeProto& node, const Inputs& in) {
  const std::vector<int64_t> dims = need(node, in, 0).integers();
  Attributes attributes(node);
  Array value{{1}, {0}, false};
  if (const auto* tensor = attributes.tensor("value")) value = read_tensor(*tensor, {});
  const int64_t count = count_of(dims);
  KD_CHECK(count >= 0 && count <= 1 << 24, "{}: {} elements", label(node), count);
  return {dims, std::vector<double>(static_cast<size_t>(count), value.values.at(0)), value.integer};
}

Array constant(const onnx::NodeProto& node, const Inputs&) {
  Attributes attributes(node);
  if (const auto* tensor = attributes.tensor("value")) return read_tensor(*tensor, {});
  for (const auto& attribute : node.attribute()) {
    if (attribute.name() == "value_int") return {{}, {static_cast<double>(attribute.i())}, true};
    if (attribute.name() == "value_float") return {{}, {attribute.f()}, false};
    if (attribute.name() == "value_ints") {
      return {{attribute.ints_size()}, {attribute.ints().begin(), attribute.ints().end()}, true};
    }
    if (attribute.name() == "value_floats") {
      return {
          {attribute.floats_size()}, {attribute.floats().begin(), attribute.floats().end()}, false};
    }
  }
  fail(ErrorCode::input, "{}: a constant of an unsupported kind", label(node));
}

Array identity(const onnx::NodeProto& node, const Inputs& in) { return need(node, in, 0); }

}  // namespace

std::optional<Array> fold(const onnx::NodeProto& node, const std::vector<const Array*>& inputs) {
  using Function = Array (*)(const onnx::NodeProto&, const Inputs&);
  static const std::map<std::string, Function> kFunctions{
      {"Add", binary},        {"Sub", binary},          {"Mul", binary},
      {"Div", binary},        {"Concat", concat},       {"Gather", gather},
      {"Slice", slice},       {"Transpose", transpose}, {"Reshape", reshape},
      {"Cast", cast},         {"Squeeze", squeeze},     {"Unsqueeze", unsqueeze},
      {"Identity", identity}, {"Constant", constant},   {"ConstantOfShape", constant_of_shape}};
  const auto at = kFunctions.find(node.op_type());
  if (at == kFunctions.end()) return std::nullopt;
  return at->second(node, inputs);
}

}  // namespace kd::onnx_import
