// ONNX classifiers -> Model. What is understood, and what is refused, is listed in README.md.
#pragma once

#include <filesystem>
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

}  // namespace kd
