#include "io/onnx/lowering.h"

#include <algorithm>
#include <numeric>

#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd::onnx_import {

void Lowering::define(const std::string& name, Entry entry) {
  if (name.empty()) return;  // an output that nobody wants
  KD_CHECK(entries_.emplace(name, std::move(entry)).second, "'{}' is made twice", name);
}

void Lowering::leave_out(const onnx::NodeProto& node, int output, const std::string& what) {
  if (output >= node.output_size()) return;
  Entry entry;
  entry.left_out = format("{}: the output of {} is not supported", label(node), what);
  define(node.output(output), std::move(entry));
}

const Entry* Lowering::find(const std::string& name) const {
  const auto at = entries_.find(name);
  return at == entries_.end() || !at->second.left_out.empty() ? nullptr : &at->second;
}

std::map<std::string, Entry> Lowering::swap_names(std::map<std::string, Entry> names) {
  std::swap(names, entries_);
  return names;
}

void Lowering::note(std::string text) {
  if (std::ranges::find(notes_, text) == notes_.end()) notes_.push_back(std::move(text));
}

bool Lowering::has(const onnx::NodeProto& node, int input) const {
  return input < node.input_size() && !node.input(input).empty();
}

const Entry& Lowering::entry(const onnx::NodeProto& node, int input) const {
  KD_CHECK(has(node, input), "{}: input {} is missing", label(node), input);
  const auto found = entries_.find(node.input(input));
  KD_CHECK(found != entries_.end(), "{}: its input '{}' is not made before it is used", label(node),
           node.input(input));
  const std::string& left_out = found->second.left_out;
  KD_CHECK(left_out.empty(), "{}, and {} reads it", left_out, label(node));
  return found->second;
}

bool Lowering::all_constant(const onnx::NodeProto& node) const {
  for (int i = 0; i < node.input_size(); ++i) {
    if (has(node, i) && !entry(node, i).is_constant()) return false;
  }
  return true;
}

Array Lowering::constant(const onnx::NodeProto& node, int input) const {
  const Entry& found = entry(node, input);
  if (found.constant) return *found.constant;
  KD_CHECK(found.stored, "{}: input {} must be a constant", label(node), input);
  return read_tensor(*found.stored, options_.folder);
}

std::vector<int64_t> Lowering::list(const onnx::NodeProto& node, int input, Attributes& attributes,
                                    const std::string& name) const {
  std::vector<int64_t> given = attributes.integers(name, {});
  return has(node, input) ? constant(node, input).as_integers() : given;
}

const View& Lowering::view(const onnx::NodeProto& node, int input) const {
  const Entry& found = entry(node, input);
  KD_CHECK(!found.is_constant(), "{}: input {} is a constant, expected a tensor", label(node),
           input);
  KD_CHECK(!found.quantised, "{}: input {} is quantised: only DequantizeLinear may read it",
           label(node), input);
  return found.view;
}

int64_t Lowering::size_of(Value value, int axis) const {
  return axis == 0 && options_.batched ? options_.batch : graph().shape(value)[axis];
}

std::vector<int64_t> Lowering::dims(const View& view) const {
  std::vector<int64_t> list;
  for (const auto& group : view.axes) {
    int64_t size = 1;
    for (const int axis : group) size *= size_of(view.value, axis);
    list.push_back(size);
  }
  return list;
}

View Lowering::plain_view(Value value) const {
  View view{value, {}};
  for (int axis = 0; axis < graph().shape(value).rank(); ++axis) view.axes.push_back({axis});
  return view;
}

View Lowering::ordered_view(Value value, const std::vector<int>& order) const {
  View view{value, std::vector<std::vector<int>>(order.size())};
  for (size_t k = 0; k < order.size(); ++k) {
    view.axes[static_cast<size_t>(order[k])] = {static_cast<int>(k)};
  }
  return view;
}

std::vector<int> Lowering::natural_order(const View& view) const {
  std::vector<int> order(view.axes.size());
  std::iota(order.begin(), order.end(), 0);
  const auto place = [&](int axis) {
    const auto& group = view.axes[static_cast<size_t>(axis)];
    if (!group.empty()) return group[0];
    // Sizes of 1 go where they would in an image.
    return view.axes.size() == 4 ? std::array<int, 4>{0, 3, 1, 2}[static_cast<size_t>(axis)] : axis;
  };
  std::ranges::stable_sort(order, {}, place);
  return order;
}

// The transposition alone: sizes of 1 go last, and groups are not yet merged.
Value Lowering::contiguous(const onnx::NodeProto& node, const View& view,
                           const std::vector<int>& order) {
  const Shape shape = graph().shape(view.value);
  std::vector<int64_t> moved;
  for (const int axis : order) {
    for (const int physical : view.axes[static_cast<size_t>(axis)]) {
      const bool batch = physical == 0 && options_.batched;
      KD_CHECK(!batch || moved.empty(), "{}: it moves the batch from its place", label(node));
      if (batch || shape[physical] != 1) moved.push_back(physical);
    }
  }
  KD_CHECK(!options_.batched || (!moved.empty() && moved[0] == 0),
           "{}: it moves the batch from its place", label(node));
  if (std::ranges::is_sorted(moved)) return view.value;
  for (int physical = 0; physical < shape.rank(); ++physical) {
    if (std::ranges::find(moved, physical) == moved.end()) moved.push_back(physical);
  }
  Value& made = arranged_[{view.value.id, moved}];
  if (!made) made = transpose(graph(), view.value, moved, node.name());
  return made;
}

Value Lowering::arrange(const onnx::NodeProto& node, const View& view,
                        const std::vector<int>& order) {
  KD_CHECK(order.size() <= static_cast<size_t>(Shape::kMaxRank), "{}: a tensor of rank {}",
           label(node), order.size());
  const Value value = contiguous(node, view, order);
  const std::vector<int64_t> sizes = dims(view);
  std::vector<int64_t> wanted;
  for (const int axis : order) wanted.push_back(sizes[static_cast<size_t>(axis)]);
  if (options_.batched) wanted[0] = 1;
  const auto have = graph().shape(value).dims();
  if (std::ranges::equal(have, wanted)) return value;
  std::vector<int64_t> key{-1};  // apart from the permutations
  key.insert(key.end(), wanted.begin(), wanted.end());
  Value& made = arranged_[{value.id, key}];
  if (options_.batched) wanted[0] = -1;
  if (!made) made = reshape(graph(), value, wanted, node.name());
  return made;
}

Value Lowering::image(const onnx::NodeProto& node, int input) {
  const View& found = view(node, input);
  KD_CHECK(found.axes.size() == 4, "{}: input {} has rank {}, expected 4", label(node), input,
           found.axes.size());
  return arrange(node, found, {0, 2, 3, 1});
}

namespace {

// The walk of a reshape: the axes of a value, in the tensor's order, dealt out to new dimensions.
// An axis may be cut into several.
struct Dealt {
  std::vector<std::vector<std::pair<int, size_t>>> groups;  // (axis, which of its pieces)
  std::map<int, std::vector<int64_t>> pieces;               // sizes of each axis's pieces
};

std::optional<Dealt> deal(const std::vector<std::pair<int, int64_t>>& axes,
                          const std::vector<int64_t>& dims) {
  for (const auto& [axis, size] : axes) {
    if (size < 1) return std::nullopt;
  }
  Dealt dealt;
  size_t at = 0;
  int64_t left = axes.empty() ? 1 : axes[0].second;
  for (const int64_t size : dims) {
    auto& group = dealt.groups.emplace_back();
    int64_t need = size;
    while (need > 1) {
      if (at == axes.size()) return std::nullopt;
      const int64_t taken = need % left == 0 ? left : left % need == 0 ? need : 0;
      if (taken == 0) return std::nullopt;
      auto& pieces = dealt.pieces[axes[at].first];
      group.emplace_back(axes[at].first, pieces.size());
      pieces.push_back(taken);
      need /= taken;
      left /= taken;
      if (left == 1 && ++at < axes.size()) left = axes[at].second;
    }
  }
  return dealt;
}

}  // namespace

View Lowering::reshaped(const onnx::NodeProto& node, const View& view,
                        const std::vector<int64_t>& target) {
  const Shape shape = graph().shape(view.value);
  std::vector<std::pair<int, int64_t>> axes;
  for (size_t i = options_.batched ? 1 : 0; i < view.axes.size(); ++i) {
    for (const int axis : view.axes[i]) {
      if (shape[axis] != 1) axes.emplace_back(axis, shape[axis]);
    }
  }
  std::vector<int64_t> dims_left = target;
  if (options_.batched) {
    KD_CHECK(!view.axes.empty() && view.axes[0] == std::vector<int>{0} && !target.empty() &&
                 target[0] == options_.batch,
             "{}: only shapes that keep the batch first, alone, are supported", label(node));
    dims_left.erase(dims_left.begin());
  }
  const auto dealt = deal(axes, dims_left);
  std::vector<int64_t> cut;     // the value's new shape
  std::map<int, int> first_of;  // its axis -> where its pieces begin
  if (dealt) {
    for (int axis = 0; axis < shape.rank(); ++axis) {
      const auto pieces = dealt->pieces.find(axis);
      first_of[axis] = static_cast<int>(cut.size());
      if (pieces != dealt->pieces.end()) {
        cut.insert(cut.end(), pieces->second.begin(), pieces->second.end());
      } else if (axis == 0 && options_.batched) {
        cut.push_back(1);
      }
    }
  }
  if (!dealt || cut.size() > static_cast<size_t>(Shape::kMaxRank)) {
    std::vector<int> order(view.axes.size());
    std::iota(order.begin(), order.end(), 0);
    const Value flat = contiguous(node, view, order);
    KD_CHECK(target.size() <= static_cast<size_t>(Shape::kMaxRank), "{}: a tensor of rank {}",
             label(node), target.size());
    std::vector<int64_t> to = target;
    if (options_.batched) to[0] = -1;
    return plain_view(reshape(graph(), flat, to, node.name()));
  }
  View result{view.value, {}};
  const bool whole = std::ranges::all_of(
      dealt->pieces, [](const auto& pieces) { return pieces.second.size() == 1; });
  if (!whole) {
    if (options_.batched) cut[0] = -1;
    result.value = reshape(graph(), view.value, cut, node.name());
  }
  if (options_.batched) result.axes.push_back({0});
  for (const auto& group : dealt->groups) {
    auto& list = result.axes.emplace_back();
    for (const auto& [axis, piece] : group) {
      list.push_back(whole ? axis : first_of[axis] + static_cast<int>(piece));
    }
  }
  return result;
}

Value Lowering::parameter(const onnx::NodeProto& node, int input, const Array& values, Role role) {
  const std::string& base = node.input(input);
  std::string name = base;  // one initialiser may serve several nodes
  for (int copy = 2; model_.graph.find(name); ++copy) name = base + "_" + std::to_string(copy);
  const TensorDesc desc{DType::f32, Shape(std::span<const int64_t>(values.dims))};
  const int64_t count = values.count();
  if (!entry(node, input).stored) {
    KD_CHECK(count <= options_.most_elements - computed_,
             "{}: '{}' is computed, not stored, and has {} elements, more than are allowed",
             label(node), base, count);
    computed_ += count;
  }
  const Tensor tensor = Tensor::host(desc);
  if (values.integer || values.uniform()) {
    for (int64_t i = 0; i < count; ++i) tensor.as<float>()[i] = static_cast<float>(values.at(i));
  } else {
    std::ranges::copy(values.reals, tensor.as<float>());
  }
  model_.tensors[name] = tensor;
  return model_.graph.leaf(role, name, desc);
}

}  // namespace kd::onnx_import
