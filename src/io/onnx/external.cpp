#include "io/onnx/external.h"

#include <charconv>
#include <fstream>

#include "kd/error.h"

namespace kd::onnx_import {
namespace {

uint64_t number(const std::string& text, const std::string& tensor, const std::string& key) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  KD_CHECK(error == std::errc{} && end == text.data() + text.size(),
           "tensor '{}': the {} of its external data is '{}', expected a number", tensor, key,
           text);
  return value;
}

}  // namespace

std::string external_bytes(const onnx::TensorProto& tensor, const std::filesystem::path& folder,
                           size_t expected) {
  std::string location;
  uint64_t offset = 0, length = expected;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = number(entry.value(), tensor.name(), "offset");
    if (entry.key() == "length") length = number(entry.value(), tensor.name(), "length");
  }
  const std::filesystem::path root =
      std::filesystem::weakly_canonical(folder.empty() ? "." : folder);
  const std::filesystem::path file = std::filesystem::weakly_canonical(root / location);
  const std::filesystem::path inside = file.lexically_relative(root);
  KD_CHECK(!location.empty() && !std::filesystem::path(location).is_absolute() && !inside.empty() &&
               *inside.begin() != "..",
           "tensor '{}': its external data '{}' lies outside the model's folder", tensor.name(),
           location);
  KD_CHECK(length == expected, "tensor '{}': {} bytes of external data, its shape wants {}",
           tensor.name(), length, expected);
  std::error_code error;
  const bool plain = std::filesystem::is_regular_file(file, error);
  const uint64_t size = plain ? std::filesystem::file_size(file, error) : 0;
  KD_CHECK(plain && !error, "tensor '{}': its external data '{}' can't be read", tensor.name(),
           location);
  KD_CHECK(offset <= size && expected <= size - offset,
           "tensor '{}': its external data '{}' is cut short", tensor.name(), location);
  std::string bytes(expected, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.seekg(static_cast<std::streamoff>(offset));
  stream.read(bytes.data(), static_cast<std::streamsize>(expected));
  KD_CHECK(stream.good() || expected == 0, "tensor '{}': its external data '{}' can't be read",
           tensor.name(), location);
  return bytes;
}

}  // namespace kd::onnx_import
