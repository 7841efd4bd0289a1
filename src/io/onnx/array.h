// Constants of an ONNX graph, and the arithmetic on them that exporters leave behind.
#pragma once

#include <onnx.pb.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace kd::onnx_import {

struct Array {
  std::vector<int64_t> dims;
  std::vector<double> values;  // exact for fp32, fp16 and integers below 2^53
  bool integer = false;

  int64_t integer_at(size_t i) const;  // saturates: exporters write INT64_MAX for "to the end"
  std::vector<int64_t> integers() const;
};

// Reads an initialiser; external data must lie inside `folder`.
Array read_tensor(const onnx::TensorProto& tensor, const std::filesystem::path& folder);

// Attributes by name, with a record of which were asked for.
class Attributes {
 public:
  explicit Attributes(const onnx::NodeProto& node);
  int64_t integer(const std::string& name, int64_t fallback);
  double real(const std::string& name, double fallback);
  std::string text(const std::string& name, const std::string& fallback);
  std::vector<int64_t> integers(const std::string& name, std::vector<int64_t> fallback);
  const onnx::TensorProto* tensor(const std::string& name);
  void finish() const;  // throws Error naming an attribute that nobody asked for

 private:
  const onnx::AttributeProto* find(const std::string& name);
  const onnx::NodeProto& node_;
  std::vector<std::string> asked_;
};

std::string label(const onnx::NodeProto& node);  // "Conv 'layer1.0.conv1'"

// The result of a node whose inputs are all constant (missing ones null), or nothing if the op is
// none that is folded.
std::optional<Array> fold(const onnx::NodeProto& node, const std::vector<const Array*>& inputs);

}  // namespace kd::onnx_import
