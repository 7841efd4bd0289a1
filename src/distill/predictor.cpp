#include "distill/predictor.h"

#include "kd/error.h"
#include "kd/passes.h"

namespace kd {
namespace {

Tensor rounded(const Tensor& tensor, DType dtype) {
  if (dtype == DType::f32) return tensor;
  Tensor low = Tensor::host({dtype, tensor.shape()});
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const float value = tensor.as<float>()[i];
    low.as<uint16_t>()[i] = dtype == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
  }
  return low;
}

void lower(ModelGraph& made, DType dtype) {
  if (dtype == DType::f32) return;
  Replayed lowered = lower_precision(made.graph, made.logits, dtype);
  made.input = lowered.values[static_cast<size_t>(made.input.id)];
  made.logits = lowered.values[static_cast<size_t>(made.logits.id)];
  made.graph = std::move(lowered.graph);
}

}  // namespace

Predictor::Built Predictor::folded(const Model& model, Backend& backend, int64_t batch,
                                   DType dtype) {
  const Model constant = fold_bn(model);
  ModelGraph made = instantiate(constant, batch, Mode::inference);
  fuse_conv_epilogue(made.graph, std::vector<Value>{made.logits});
  lower(made, dtype);
  CompileOptions options;
  options.outputs = {made.logits};
  const auto stream = backend.stream(Priority::normal);
  for (const auto& [name, tensor] : constant.tensors) {
    const Value v = made.graph.find(name);
    const Tensor host = rounded(tensor, made.graph.desc(v).dtype);
    const Tensor own(host.desc(), backend.allocate(host.bytes(), Memory::device));
    backend.copy(own.data(), host.data(), host.bytes(), *stream);
    backend.synchronize(*stream);
    options.bindings.push_back({v, own});
    options.frozen.push_back(v);
  }
  return {made.input, made.logits, compile(std::move(made.graph), backend, options)};
}

Predictor::Built Predictor::bound(const Model& model, Backend& backend, int64_t batch,
                                  const Variables& weights) {
  ModelGraph made = instantiate(model, batch, Mode::inference);
  lower(made, weights.low_dtype());
  CompileOptions options;
  options.outputs = {made.logits};
  options.bindings = weights.bind(made.graph);
  for (const Binding& binding : options.bindings) options.frozen.push_back(binding.value);
  return {made.input, made.logits, compile(std::move(made.graph), backend, options)};
}

Predictor::Predictor(Built built)
    : input_(built.input), logits_(built.logits), program_(std::move(built.program)) {}

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch, DType dtype)
    : Predictor(folded(model, backend, batch, dtype)) {}

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights)
    : Predictor(bound(model, backend, batch, weights)) {}

}  // namespace kd
