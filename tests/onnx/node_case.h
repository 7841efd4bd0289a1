// One test of ONNX's own suite: a small model, its inputs, and the outputs it must give.
#pragma once

#include <onnx.pb.h>

#include <filesystem>
#include <string>
#include <vector>

namespace kd::test {

struct NodeCase {
  std::string name, op;
  onnx::ModelProto model;
  std::vector<onnx::TensorProto> inputs, outputs;
};

// Reads FOLDER/model.onnx and FOLDER/test_data_set_0/*.pb; false if those are not plain tensors.
bool read_case(const std::filesystem::path& folder, NodeCase& result);

// Whether every operator of the model is one the importer knows.
bool is_claimed(const NodeCase& node_case);

struct Outcome {
  enum class Kind { passed, refused, wrong } kind = Kind::refused;
  std::string why;
};
// Imports the model with each float input in turn as the tensor and the others as constants, then
// with all inputs constant; the first that is not refused counts.
Outcome outcome_of(const NodeCase& node_case);

}  // namespace kd::test
