#include "io/onnx/operators.h"

#include <algorithm>
#include <set>

#include "core/names.h"
#include "io/onnx/fold.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

constexpr Operator kOperators[] = {
    {"Abs", lower_unary},
    {"Add", lower_binary},
    {"AveragePool", lower_pool},
    {"BatchNormalization", lower_batch_norm},
    {"Cast", lower_cast},
    {"Clip", lower_clip},
    {"Concat", lower_concat},
    {"Conv", lower_conv},
    {"DequantizeLinear", lower_dequantize},
    {"Div", lower_binary},
    {"Dropout", lower_identity},
    {"Elu", lower_activation},
    {"Erf", lower_unary},
    {"Exp", lower_unary},
    {"Expand", lower_expand},
    {"Flatten", lower_flatten},
    {"Gather", lower_gather},
    {"Gemm", lower_gemm},
    {"GlobalAveragePool", lower_global_pool},
    {"GlobalMaxPool", lower_global_pool},
    {"HardSigmoid", lower_activation},
    {"HardSwish", lower_activation},
    {"Identity", lower_identity},
    {"LRN", lower_lrn},
    {"LayerNormalization", lower_layer_norm},
    {"LeakyRelu", lower_activation},
    {"Log", lower_unary},
    {"LogSoftmax", lower_softmax},
    {"MatMul", lower_matmul},
    {"Max", lower_binary},
    {"MaxPool", lower_pool},
    {"Min", lower_binary},
    {"Mul", lower_binary},
    {"Neg", lower_unary},
    {"Pad", lower_pad},
    {"Pow", lower_pow},
    {"QuantizeLinear", lower_quantize},
    {"Reciprocal", lower_unary},
    {"ReduceMean", lower_reduce},
    {"ReduceSum", lower_reduce},
    {"Relu", lower_activation},
    {"Reshape", lower_reshape},
    {"Shape", lower_shape},
    {"Sigmoid", lower_activation},
    {"Slice", lower_slice},
    {"Softmax", lower_softmax},
    {"Split", lower_split},
    {"Sqrt", lower_unary},
    {"Squeeze", lower_squeeze},
    {"Sub", lower_binary},
    {"Sum", lower_binary},
    {"Swish", lower_activation},
    {"Tanh", lower_activation},
    {"Transpose", lower_transpose},
    {"Unsqueeze", lower_unsqueeze},
};

bool fold_constants(Lowering& l, const onnx::NodeProto& node) {
  if (!is_folded(node.op_type()) || !l.all_constant(node)) return false;
  std::vector<Array> read;  // of initialisers; what was folded before is not copied
  read.reserve(static_cast<size_t>(node.input_size()));
  FoldCall call{node, {}, l.options().opset, Attributes(node)};
  for (int i = 0; i < node.input_size(); ++i) {
    if (!l.has(node, i)) {
      call.inputs.push_back(nullptr);
    } else if (const Entry& entry = l.entry(node, i); entry.constant) {
      call.inputs.push_back(&*entry.constant);
    } else {
      read.push_back(l.constant(node, i));
      call.inputs.push_back(&read.back());
    }
  }
  std::vector<Array> outputs = *fold(call);
  KD_CHECK(static_cast<int>(outputs.size()) >= node.output_size(), "{}: {} outputs, expected {}",
           label(node), node.output_size(), outputs.size());
  for (int i = 0; i < node.output_size(); ++i) {
    Entry made;
    made.constant = std::move(outputs[static_cast<size_t>(i)]);
    l.define(node.output(i), std::move(made));
  }
  return true;
}

}  // namespace

std::span<const Operator> operators() { return kOperators; }

std::vector<std::string> understood_operators() {
  const std::vector<std::string> folded = folded_operators();
  std::set<std::string> names(folded.begin(), folded.end());
  for (const Operator& op : kOperators) names.emplace(op.name);
  return {names.begin(), names.end()};
}

bool is_understood(const std::string& op) {
  return is_folded(op) ||
         std::ranges::any_of(kOperators, [&](const Operator& known) { return known.name == op; });
}

void lower(Lowering& l, const onnx::NodeProto& node) {
  KD_CHECK(node.output_size() >= 1, "{}: no output", label(node));
  const auto at = std::ranges::find(kOperators, node.op_type(), &Operator::name);
  if (fold_constants(l, node)) return;
  KD_CHECK(at != std::end(kOperators) || !is_folded(node.op_type()),
           "{}: this operator is supported on constants only", label(node));
  KD_CHECK(at != std::end(kOperators), "{}: this operator is not supported{}", label(node),
           suggestion(node.op_type(), understood_operators()));
  at->lower(l, node);
}

}  // namespace kd::onnx_import
