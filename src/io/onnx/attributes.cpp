#include "io/onnx/attributes.h"

#include <algorithm>

#include "kd/error.h"

namespace kd::onnx_import {

const onnx::AttributeProto* Attributes::find(const std::string& name) {
  asked_.push_back(name);
  for (const auto& attribute : node_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}
int64_t Attributes::integer(const std::string& name, int64_t fallback) {
  const auto* found = find(name);
  return found ? found->i() : fallback;
}
double Attributes::real(const std::string& name, double fallback) {
  const auto* found = find(name);
  return found ? static_cast<double>(found->f()) : fallback;
}
std::string Attributes::text(const std::string& name, const std::string& fallback) {
  const auto* found = find(name);
  return found ? found->s() : fallback;
}
std::vector<int64_t> Attributes::integers(const std::string& name, std::vector<int64_t> fallback) {
  const auto* found = find(name);
  return found ? std::vector<int64_t>(found->ints().begin(), found->ints().end())
               : std::move(fallback);
}
void Attributes::finish() const {
  for (const auto& attribute : node_.attribute()) {
    KD_CHECK(std::ranges::find(asked_, attribute.name()) != asked_.end(),
             "{}: the attribute '{}' is not supported", label(node_), attribute.name());
  }
}

std::string label(const onnx::NodeProto& node) {
  const std::string& name =
      node.name().empty() && node.output_size() ? node.output(0) : node.name();
  return node.op_type() + " '" + name + "'";
}

int axis_of(const onnx::NodeProto& node, int64_t axis, size_t rank) {
  const int64_t from_start = axis < 0 ? axis + static_cast<int64_t>(rank) : axis;
  KD_CHECK(from_start >= 0 && from_start < static_cast<int64_t>(rank), "{}: axis {} of rank {}",
           label(node), axis, rank);
  return static_cast<int>(from_start);
}

std::vector<int> axes_of(const onnx::NodeProto& node, const std::vector<int64_t>& axes,
                         size_t rank) {
  std::vector<int> list;
  for (const int64_t axis : axes) list.push_back(axis_of(node, axis, rank));
  std::ranges::sort(list);
  KD_CHECK(std::ranges::adjacent_find(list) == list.end(), "{}: an axis is named twice",
           label(node));
  return list;
}

}  // namespace kd::onnx_import
