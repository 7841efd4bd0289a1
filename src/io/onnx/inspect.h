// What an ONNX file is, node by node, and what of it would not import.
#pragma once

#include "io/onnx/import.h"

namespace kd {

struct InspectedNode {
  std::string op, name;
  std::string shape;       // of the first output, as ONNX has it; empty if it is not known
  int64_t parameters = 0;  // elements of the initialisers it reads
  double flops = 0;        // for one picture
  std::string problem;     // why it would not import; empty if it would
  bool reached = true;     // false: it needs what could not be imported
};

struct Inspection {
  std::string producer, input, outputs;
  int64_t opset = 0;
  std::vector<InspectedNode> nodes;
  std::vector<std::string> problems;  // of nodes and of the whole; empty: it imports
};

// Throws Error only if the file is no ONNX model.
Inspection inspect_onnx(const std::filesystem::path& path, const ImportOptions& options);
std::string table_of(const Inspection& inspection);

}  // namespace kd
