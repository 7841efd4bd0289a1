// The attributes of an ONNX node by name, with a record of which were asked for.
#pragma once

#include <onnx.pb.h>

#include <string>
#include <vector>

namespace kd::onnx_import {

class Attributes {
 public:
  explicit Attributes(const onnx::NodeProto& node) : node_(node) {}
  int64_t integer(const std::string& name, int64_t fallback);
  double real(const std::string& name, double fallback);
  std::string text(const std::string& name, const std::string& fallback);
  std::vector<int64_t> integers(const std::string& name, std::vector<int64_t> fallback);
  const onnx::AttributeProto* find(const std::string& name);
  void finish() const;  // throws Error naming an attribute that nobody asked for

 private:
  const onnx::NodeProto& node_;
  std::vector<std::string> asked_;
};

std::string label(const onnx::NodeProto& node);  // "Conv 'layer1.0.conv1'"

// `axis` of a tensor of this rank, negative ones counted from the end; throws Error.
int axis_of(const onnx::NodeProto& node, int64_t axis, size_t rank);
std::vector<int> axes_of(const onnx::NodeProto& node, const std::vector<int64_t>& axes,
                         size_t rank);  // sorted, each once

}  // namespace kd::onnx_import
