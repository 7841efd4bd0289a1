// Weights that an ONNX file keeps in a file beside it.
#pragma once

#include <onnx.pb.h>

#include <filesystem>
#include <string>

namespace kd::onnx_import {

// The `expected` bytes of `tensor`. Throws Error if they lie outside `folder` (by an absolute path,
// "..", or a link), or the file is too short for them.
std::string external_bytes(const onnx::TensorProto& tensor, const std::filesystem::path& folder,
                           size_t expected);

}  // namespace kd::onnx_import
