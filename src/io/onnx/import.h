// ONNX classifiers -> Model. What is understood, and what is refused, is listed in README.md.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "kd/model.h"

namespace kd {

struct ImportOptions {
  Preprocess preprocess;  // crop sizes are taken from the file
  std::vector<std::string> class_names;
  bool strip_softmax = false;  // a Softmax at the end is removed; without this it is an error
};

Model import_onnx(const std::filesystem::path& path, const ImportOptions& options);
// The same of a file's bytes; `folder` holds its external data.
Model import_onnx(std::span<const std::byte> bytes, const std::filesystem::path& folder,
                  const ImportOptions& options);

}  // namespace kd
