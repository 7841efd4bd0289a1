// Model -> ONNX: NCHW, weights OIHW, names kept. What is written and under which keys: README.md.
#pragma once

#include <filesystem>
#include <string>

#include "kd/model.h"

namespace kd {

// Keys of metadata_props, for whoever reads the file.
inline constexpr const char* kOnnxPreprocess = "kdengine.preprocess";   // JSON, as in a .bin
inline constexpr const char* kOnnxClassNames = "kdengine.class_names";  // JSON list of strings
inline constexpr const char* kOnnxPixelInput = "kdengine.pixel_input";  // "true" or "false"

struct ExportOptions {
  int64_t opset = 17;  // 17 to 21
  int64_t batch = 0;   // 0: any, the dimension "batch"
  bool fp16 = false;   // weights and arithmetic; the input and the logits stay f32
  // The input is "pixels", u8 (batch, H, W, C) RGB or grey, 0 to 255, already resized and cropped.
  // Without: "input", f32 (batch, C, H, W), normalised, in the network's colour order.
  bool with_preprocessing = false;
};

// The bytes of the ONNX file. Throws Error naming the layer and the op that ONNX can't express.
std::string to_onnx(const Model& model, const ExportOptions& options);
// ... written under a temporary name, synced, renamed.
void export_onnx(const Model& model, const std::filesystem::path& path,
                 const ExportOptions& options);

}  // namespace kd
