// safetensors: 8 bytes of header length, a JSON header, the tensors' bytes. The reader checks
// everything before it believes or allocates anything; README.md lists the checks.
#pragma once

#include <filesystem>
#include <map>
#include <string>

#include "kd/tensor.h"

namespace kd {

struct Safetensors {
  std::map<std::string, std::string> metadata;
  std::map<std::string, Tensor> tensors;  // host memory
};

Safetensors read_safetensors(const std::filesystem::path& path);
void write_safetensors(const Safetensors& file, const std::filesystem::path& path);  // atomically

}  // namespace kd
