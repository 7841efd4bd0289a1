// Lowerings that need more than a few lines; lower() in lower.cpp picks among them.
#pragma once

#include "io/onnx/lowering.h"

namespace kd::onnx_import {

Value conv(Lowering& lowering, const onnx::NodeProto& node);
Value batch_normalization(Lowering& lowering, const onnx::NodeProto& node);
Value pool(Lowering& lowering, const onnx::NodeProto& node);  // MaxPool, AveragePool
Value gemm(Lowering& lowering, const onnx::NodeProto& node);
Value matmul(Lowering& lowering, const onnx::NodeProto& node);

}  // namespace kd::onnx_import
