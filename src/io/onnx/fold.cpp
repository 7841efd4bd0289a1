#include "io/onnx/fold.h"

#include <algorithm>

#include "kd/error.h"

namespace kd::onnx_import {

const Array& FoldCall::in(size_t i) const {
  KD_CHECK(has(i), "{}: input {} is missing", label(node), i);
  return *inputs[i];
}

std::vector<int64_t> FoldCall::list(size_t i, const std::string& attribute) const {
  std::vector<int64_t> given = attributes.integers(attribute, {});
  return has(i) ? in(i).as_integers() : given;
}

void check_folded_size(const FoldCall& call, int64_t count) {
  size_t justified = size_t{1} << 22;
  for (const Array* input : call.inputs) {
    if (input != nullptr) justified = std::max(justified, 4 * input->stored());
  }
  KD_CHECK(static_cast<size_t>(count) <= justified, "{}: a constant of {} elements",
           label(call.node), count);
}

namespace {

FoldFunction find(const std::string& op) {
  const FoldFunction function = find_movement(op);
  return function != nullptr ? function : find_arithmetic(op);
}

}  // namespace

bool is_folded(const std::string& op) { return find(op) != nullptr; }

std::optional<std::vector<Array>> fold(const FoldCall& call) {
  const FoldFunction function = find(call.node.op_type());
  if (function == nullptr) return std::nullopt;
  for (const Array* input : call.inputs) {
    if (input != nullptr) {
      KD_CHECK(input->dims.size() <= 32, "{}: a constant of rank {}", label(call.node),
               input->dims.size());
    }
  }
  return function(call);
}

std::vector<std::string> folded_operators() {
  std::vector<std::string> names = movement_names();
  const std::vector<std::string> more = arithmetic_names();
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

std::vector<int64_t> resolved_shape(const onnx::NodeProto& node, const std::vector<int64_t>& from,
                                    std::vector<int64_t> to, bool allow_zero) {
  const int64_t count = checked_count(from, label(node));
  int64_t known = 1, open = 0;
  for (size_t i = 0; i < to.size(); ++i) {
    if (to[i] == 0 && !allow_zero) {
      KD_CHECK(i < from.size(), "{}: dimension {} keeps a size that is not there", label(node), i);
      to[i] = from[i];
    }
    KD_CHECK(to[i] >= -1, "{}: a dimension of {}", label(node), to[i]);
    if (to[i] == -1) {
      ++open;
    } else {
      KD_CHECK(!__builtin_mul_overflow(known, to[i], &known), "{}: {} elements overflow",
               label(node), to[i]);
    }
  }
  KD_CHECK(open <= 1, "{}: {} dimensions are left open", label(node), open);
  if (open == 1) {
    KD_CHECK(known > 0 && count % known == 0, "{}: {} elements into groups of {}", label(node),
             count, known);
    *std::ranges::find(to, -1) = count / known;
    known = count;
  }
  KD_CHECK(known == count, "{}: {} elements into {}", label(node), count, known);
  return to;
}

std::vector<Range> sliced_ranges(const onnx::NodeProto& node, const std::vector<int64_t>& dims,
                                 const SliceBounds& bounds) {
  std::vector<Range> ranges;
  for (const int64_t size : dims) ranges.push_back({0, 1, size});
  const size_t count = bounds.starts.size();
  KD_CHECK(bounds.ends.size() == count && (bounds.axes.empty() || bounds.axes.size() == count) &&
               (bounds.steps.empty() || bounds.steps.size() == count),
           "{}: starts, ends, axes and steps differ in length", label(node));
  for (size_t i = 0; i < count; ++i) {
    const int axis =
        axis_of(node, bounds.axes.empty() ? static_cast<int64_t>(i) : bounds.axes[i], dims.size());
    const int64_t size = dims[static_cast<size_t>(axis)];
    const int64_t step = bounds.steps.empty() ? 1 : bounds.steps[i];
    KD_CHECK(step != 0 && step > -INT64_MAX, "{}: a step of {}", label(node), step);
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? size : size - 1;
    const auto bound = [&](int64_t v, int64_t least) {
      return std::clamp(v < 0 && v >= -size ? v + size : v < 0 ? least : v, least, high);
    };
    const int64_t begin = bound(bounds.starts[i], step > 0 ? 0 : -1),
                  end = bound(bounds.ends[i], low);
    const int64_t span = step > 0 ? end - begin : begin - end, stride = step > 0 ? step : -step;
    ranges[static_cast<size_t>(axis)] = {begin, step, span > 0 ? (span - 1) / stride + 1 : 0};
  }
  return ranges;
}

std::vector<int64_t> broadcast_dims(const onnx::NodeProto& node, const std::vector<int64_t>& a,
                                    const std::vector<int64_t>& b) {
  std::vector<int64_t> dims(std::max(a.size(), b.size()));
  for (size_t i = 0; i < dims.size(); ++i) {
    const int64_t p = i < a.size() ? a[a.size() - 1 - i] : 1;
    const int64_t q = i < b.size() ? b[b.size() - 1 - i] : 1;
    KD_CHECK(p == q || p == 1 || q == 1, "{}: dimensions {} and {} do not broadcast", label(node),
             p, q);
    dims[dims.size() - 1 - i] = p == 1 ? q : p;
  }
  return dims;
}

std::vector<int64_t> split_sizes(const onnx::NodeProto& node, int64_t size,
                                 const std::vector<int64_t>& given, int64_t parts) {
  std::vector<int64_t> sizes = given;
  if (sizes.empty()) {
    KD_CHECK(parts >= 1 && parts <= size, "{}: {} parts of {}", label(node), parts, size);
    const int64_t each = (size + parts - 1) / parts;
    for (int64_t left = size; left > 0; left -= each) sizes.push_back(std::min(each, left));
  }
  int64_t total = 0;
  for (const int64_t part : sizes) {
    KD_CHECK(part >= 0 && part <= size, "{}: a part of {}", label(node), part);
    total += part;
  }
  KD_CHECK(total == size && static_cast<int>(sizes.size()) == node.output_size(),
           "{}: {} parts of {} in all for {} outputs and a size of {}", label(node), sizes.size(),
           total, node.output_size(), size);
  return sizes;
}

}  // namespace kd::onnx_import
