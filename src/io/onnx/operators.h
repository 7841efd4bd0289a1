// The ONNX operators that are understood: one line each in operators.cpp.
#pragma once

#include <span>

#include "io/onnx/lowering.h"

namespace kd::onnx_import {

using LowerFunction = void (*)(Lowering&, const onnx::NodeProto&);
struct Operator {
  std::string_view name;
  LowerFunction lower;
};

// Adds what `node` computes, folded where all its inputs are constant; throws Error naming node,
// operator and attribute if that can't be done exactly.
void lower(Lowering& lowering, const onnx::NodeProto& node);
std::span<const Operator> operators();
bool is_understood(const std::string& op);  // lowered or folded
std::vector<std::string> understood_operators();

// The families. Weights and windows:
void lower_conv(Lowering&, const onnx::NodeProto&);
void lower_batch_norm(Lowering&, const onnx::NodeProto&);
void lower_pool(Lowering&, const onnx::NodeProto&);
void lower_global_pool(Lowering&, const onnx::NodeProto&);
void lower_gemm(Lowering&, const onnx::NodeProto&);
void lower_matmul(Lowering&, const onnx::NodeProto&);
void lower_lrn(Lowering&, const onnx::NodeProto&);
// Element by element:
void lower_unary(Lowering&, const onnx::NodeProto&);
void lower_activation(Lowering&, const onnx::NodeProto&);
void lower_clip(Lowering&, const onnx::NodeProto&);
void lower_binary(Lowering&, const onnx::NodeProto&);
void lower_pow(Lowering&, const onnx::NodeProto&);
// Along axes:
void lower_reduce(Lowering&, const onnx::NodeProto&);
void lower_softmax(Lowering&, const onnx::NodeProto&);
void lower_layer_norm(Lowering&, const onnx::NodeProto&);
// Movement:
void lower_reshape(Lowering&, const onnx::NodeProto&);
void lower_flatten(Lowering&, const onnx::NodeProto&);
void lower_squeeze(Lowering&, const onnx::NodeProto&);
void lower_unsqueeze(Lowering&, const onnx::NodeProto&);
void lower_transpose(Lowering&, const onnx::NodeProto&);
void lower_concat(Lowering&, const onnx::NodeProto&);
void lower_slice(Lowering&, const onnx::NodeProto&);
void lower_split(Lowering&, const onnx::NodeProto&);
void lower_gather(Lowering&, const onnx::NodeProto&);
void lower_pad(Lowering&, const onnx::NodeProto&);
void lower_expand(Lowering&, const onnx::NodeProto&);
void lower_shape(Lowering&, const onnx::NodeProto&);
void lower_cast(Lowering&, const onnx::NodeProto&);
void lower_identity(Lowering&, const onnx::NodeProto&);
void lower_quantize(Lowering&, const onnx::NodeProto&);
void lower_dequantize(Lowering&, const onnx::NodeProto&);

}  // namespace kd::onnx_import
