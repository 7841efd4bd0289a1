// ONNX classifiers -> Model. What is understood, and what is refused, is listed in README.md.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kd/model.h"

namespace onnx {
class ModelProto;
}

namespace kd {

struct ImportOptions {
  // Preprocessing; what is not given is read from the file if it says so, and else pixels in 0..1
  // (0..255 where the file takes bytes), RGB, not resized. Crop sizes are the input's.
  std::optional<std::array<double, 3>> mean, std;
  std::optional<std::string> colour;
  std::optional<int> resize;
  std::array<int, 2> size{0, 0};         // H, W, for a file that leaves them open
  std::vector<std::string> class_names;  // empty: those in the file, if there are any
  std::string output;                    // of a graph that has several; empty: the only one
  int64_t most_computed = 1 << 28;       // elements of weights that nodes compute
  std::function<void(const std::string&)> notice;  // what a user should be told
};

// A softmax that ends the graph is left out (`notice` says so): the logits are what it was given.
Model import_onnx(const std::filesystem::path& path, const ImportOptions& options);
// The same of a file's bytes; `folder` holds its external data.
Model import_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                  const ImportOptions& options);

// Reads the file and checks that it is an ONNX model of an opset that is known.
onnx::ModelProto parse_onnx(std::span<const std::byte> bytes);
onnx::ModelProto read_onnx(const std::filesystem::path& path);

}  // namespace kd
