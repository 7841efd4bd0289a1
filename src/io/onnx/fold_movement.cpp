// Folding of what moves elements: reshape, transpose, slices, gathers, constants.
#include <algorithm>
#include <map>
#include <numeric>

#include "io/onnx/fold.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

using Arrays = std::vector<Array>;

int64_t product(const std::vector<int64_t>& dims, size_t from, size_t to) {
  int64_t count = 1;
  for (size_t i = from; i < to; ++i) count *= dims[i];
  return count;
}

template <class T>
void append(std::vector<T>& to, const std::vector<T>& from, int64_t begin, int64_t count) {
  if (from.empty() || count == 0) return;
  if (from.size() == 1 && (begin > 0 || count > 1)) {  // one number fills it
    to.insert(to.end(), static_cast<size_t>(count), from[0]);
    return;
  }
  to.insert(to.end(), from.begin() + begin, from.begin() + begin + count);
}

Arrays concat(const FoldCall& call) {
  const Array& first = call.in(0);
  const int axis = axis_of(call.node, call.attributes.integer("axis", 0), first.dims.size());
  Array y{first.dims, first.integer};
  int64_t& joined = y.dims[static_cast<size_t>(axis)];
  joined = 0;
  for (size_t i = 0; i < call.inputs.size(); ++i) {
    const Array& part = call.in(i);
    KD_CHECK(part.dims.size() == y.dims.size() && part.integer == y.integer,
             "{}: parts of different kinds", label(call.node));
    for (size_t k = 0; k < y.dims.size(); ++k) {
      KD_CHECK(static_cast<int>(k) == axis || part.dims[k] == y.dims[k],
               "{}: parts of different shapes", label(call.node));
    }
    joined += part.dims[static_cast<size_t>(axis)];
  }
  check_folded_size(call, checked_count(y.dims, label(call.node)));
  const int64_t outer = product(y.dims, 0, static_cast<size_t>(axis));
  for (int64_t o = 0; o < outer; ++o) {
    for (size_t i = 0; i < call.inputs.size(); ++i) {
      const Array& part = call.in(i);
      const int64_t each = product(part.dims, static_cast<size_t>(axis), part.dims.size());
      append(y.reals, part.reals, o * each, each);
      append(y.integers, part.integers, o * each, each);
    }
  }
  return {y};
}

Arrays gather(const FoldCall& call) {
  const Array &x = call.in(0), &index = call.in(1);
  const int axis = axis_of(call.node, call.attributes.integer("axis", 0), x.dims.size());
  const auto at = static_cast<size_t>(axis);
  Array y{{x.dims.begin(), x.dims.begin() + axis}, x.integer};
  y.dims.insert(y.dims.end(), index.dims.begin(), index.dims.end());
  y.dims.insert(y.dims.end(), x.dims.begin() + axis + 1, x.dims.end());
  check_folded_size(call, checked_count(y.dims, label(call.node)));
  const int64_t outer = product(x.dims, 0, at), inner = product(x.dims, at + 1, x.dims.size());
  const std::vector<int64_t> places = index.as_integers();
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t place : places) {
      if (place < 0) place += x.dims[at];
      KD_CHECK(place >= 0 && place < x.dims[at], "{}: index {} of {}", label(call.node), place,
               x.dims[at]);
      const int64_t begin = (o * x.dims[at] + place) * inner;
      append(y.reals, x.reals, begin, inner);
      append(y.integers, x.integers, begin, inner);
    }
  }
  return {y};
}

Array sliced(const Array& x, const std::vector<Range>& ranges) {
  std::vector<int64_t> strides = row_major(x.dims), dims;
  int64_t offset = 0;
  for (size_t axis = 0; axis < ranges.size(); ++axis) {
    offset += ranges[axis].begin * strides[axis];
    strides[axis] *= ranges[axis].step;
    dims.push_back(ranges[axis].size);
  }
  return strided(x, std::move(dims), strides, offset);
}

Arrays slice(const FoldCall& call) {
  const Array& x = call.in(0);
  SliceBounds bounds;
  if (call.inputs.size() == 1) {  // opset 1 to 9
    bounds = {call.attributes.integers("starts", {}),
              call.attributes.integers("ends", {}),
              call.attributes.integers("axes", {}),
              {}};
  } else {
    bounds = {call.in(1).as_integers(), call.in(2).as_integers(), {}, {}};
    if (call.has(3)) bounds.axes = call.in(3).as_integers();
    if (call.has(4)) bounds.steps = call.in(4).as_integers();
  }
  return {sliced(x, sliced_ranges(call.node, x.dims, bounds))};
}

Arrays split(const FoldCall& call) {
  const Array& x = call.in(0);
  const int axis = axis_of(call.node, call.attributes.integer("axis", 0), x.dims.size());
  const int64_t size = x.dims[static_cast<size_t>(axis)];
  const std::vector<int64_t> given = call.list(1, "split");
  Arrays parts;
  int64_t begin = 0;
  for (const int64_t part : split_sizes(call.node, size, given, call.node.output_size())) {
    std::vector<Range> ranges;
    for (const int64_t whole : x.dims) ranges.push_back({0, 1, whole});
    ranges[static_cast<size_t>(axis)] = {begin, 1, part};
    parts.push_back(sliced(x, ranges));
    begin += part;
  }
  return parts;
}

Arrays transpose(const FoldCall& call) {
  const Array& x = call.in(0);
  std::vector<int64_t> reversed(x.dims.size());
  for (size_t i = 0; i < reversed.size(); ++i)
    reversed[i] = static_cast<int64_t>(reversed.size() - 1 - i);
  std::vector<int> order;
  for (const int64_t axis : call.attributes.integers("perm", reversed)) {
    order.push_back(axis_of(call.node, axis, x.dims.size()));
  }
  KD_CHECK(axes_of(call.node, {order.begin(), order.end()}, x.dims.size()).size() == x.dims.size(),
           "{}: perm has {} axes of {}", label(call.node), order.size(), x.dims.size());
  return {permuted(x, order)};
}

Arrays reshape(const FoldCall& call) {
  const std::vector<int64_t> to = call.list(1, "shape");
  const bool allow_zero = call.attributes.integer("allowzero", 0) != 0;
  return {reshaped(call.in(0), resolved_shape(call.node, call.in(0).dims, to, allow_zero))};
}

Arrays unsqueeze(const FoldCall& call) {
  std::vector<int64_t> dims = call.in(0).dims, axes = call.list(1, "axes");
  for (const int axis : axes_of(call.node, axes, dims.size() + axes.size())) {
    dims.insert(dims.begin() + axis, 1);
  }
  return {reshaped(call.in(0), dims)};
}

Arrays squeeze(const FoldCall& call) {
  const std::vector<int64_t>& dims = call.in(0).dims;
  const std::vector<int> axes = axes_of(call.node, call.list(1, "axes"), dims.size());
  std::vector<int64_t> kept;
  for (size_t i = 0; i < dims.size(); ++i) {
    const bool named = std::ranges::find(axes, static_cast<int>(i)) != axes.end();
    KD_CHECK(!named || dims[i] == 1, "{}: axis {} has {} elements", label(call.node), i, dims[i]);
    if (!(dims[i] == 1 && (axes.empty() || named))) kept.push_back(dims[i]);
  }
  return {reshaped(call.in(0), kept)};
}

Arrays flatten(const FoldCall& call) {
  const std::vector<int64_t>& dims = call.in(0).dims;
  const int64_t axis = call.attributes.integer("axis", 1);
  const auto at = static_cast<size_t>(axis < 0 ? axis + static_cast<int64_t>(dims.size()) : axis);
  KD_CHECK(at <= dims.size(), "{}: axis {} of rank {}", label(call.node), axis, dims.size());
  return {reshaped(call.in(0), {product(dims, 0, at), product(dims, at, dims.size())})};
}

Arrays expand(const FoldCall& call) {
  const std::vector<int64_t> dims =
      broadcast_dims(call.node, call.in(0).dims, call.in(1).as_integers());
  const int64_t count = checked_count(dims, label(call.node));
  if (!call.in(0).uniform()) check_folded_size(call, count);
  return {broadcast(call.in(0), dims)};
}

Arrays constant_of_shape(const FoldCall& call) {
  const std::vector<int64_t> dims = call.in(0).as_integers();
  checked_count(dims, label(call.node));
  const auto* value = call.attributes.find("value");
  if (value == nullptr) return {Array::filled(dims, 0, false)};
  const Array number = read_tensor(value->t(), {});
  KD_CHECK(number.count() == 1, "{}: a value of {} elements, expected one", label(call.node),
           number.count());
  return {Array::filled(dims, number.at(0), number.integer)};
}

Arrays constant(const FoldCall& call) {
  const auto& node = call.node;
  KD_CHECK(node.attribute_size() == 1, "{}: {} attributes, expected one", label(node),
           node.attribute_size());
  const auto& a = node.attribute(0);
  if (a.name() == "value") return {read_tensor(a.t(), {})};
  if (a.name() == "value_int") return {Array::filled({}, static_cast<double>(a.i()), true)};
  if (a.name() == "value_float") return {Array::filled({}, a.f(), false)};
  if (a.name() == "value_ints") {
    return {{{a.ints_size()}, true, {}, {a.ints().begin(), a.ints().end()}}};
  }
  KD_CHECK(a.name() == "value_floats", "{}: a constant by '{}' is not supported", label(node),
           a.name());
  return {{{a.floats_size()}, false, {a.floats().begin(), a.floats().end()}, {}}};
}

Arrays shape(const FoldCall& call) {
  std::vector<int64_t> dims = call.in(0).dims;
  const auto rank = static_cast<int64_t>(dims.size());
  const auto bound = [&](int64_t v) { return std::clamp(v < 0 ? v + rank : v, int64_t{0}, rank); };
  const int64_t begin = bound(call.attributes.integer("start", 0)),
                end = bound(call.attributes.integer("end", rank));
  dims = {dims.begin() + begin, dims.begin() + std::max(begin, end)};
  return {{{static_cast<int64_t>(dims.size())}, true, {}, dims}};
}

Arrays size(const FoldCall& call) {
  return {Array::filled({}, static_cast<double>(call.in(0).count()), true)};
}

Arrays identity(const FoldCall& call) { return {call.in(0)}; }

const std::map<std::string, FoldFunction>& table() {
  static const std::map<std::string, FoldFunction> kTable{
      {"Concat", concat},   {"Gather", gather},       {"Slice", slice},
      {"Split", split},     {"Transpose", transpose}, {"Reshape", reshape},
      {"Squeeze", squeeze}, {"Unsqueeze", unsqueeze}, {"Flatten", flatten},
      {"Expand", expand},   {"Constant", constant},   {"ConstantOfShape", constant_of_shape},
      {"Shape", shape},     {"Size", size},           {"Identity", identity}};
  return kTable;
}

}  // namespace

FoldFunction find_movement(const std::string& op) {
  const auto at = table().find(op);
  return at == table().end() ? nullptr : at->second;
}

std::vector<std::string> movement_names() {
  std::vector<std::string> names;
  for (const auto& [name, function] : table()) names.push_back(name);
  return names;
}

}  // namespace kd::onnx_import
