// An import under way: the model so far, its names, the picture that goes in.
#pragma once

#include "io/onnx/import.h"
#include "io/onnx/lowering.h"

namespace kd::onnx_import {

// The input as (N, C, H, W) or, as TensorFlow has it, (N, H, W, C).
struct PictureInput {
  std::string name;
  bool channels_last = false, bytes = false;
  int64_t batch = 1;  // as the file says; 1 if it leaves it open
  Shape shape;        // ours: (1, H, W, C)
};

int64_t opset_of(const onnx::ModelProto& proto);  // throws Error if none is named
std::string chosen_output(const onnx::GraphProto& graph, const ImportOptions& options);

class Session {
 public:
  // Defines the initialisers and the input. `proto` must outlive this.
  Session(const onnx::ModelProto& proto, const std::filesystem::path& folder,
          const ImportOptions& options);
  Model model;
  PictureInput input;
  Lowering lowering;
};

// What comes after the nodes: the logits, preprocessing and class names of session.model.
void finish_import(Session& session, const onnx::ModelProto& proto, const std::string& output,
                   const ImportOptions& options);

}  // namespace kd::onnx_import
