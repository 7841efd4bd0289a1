#include "distill/predictor.h"

#include "kd/error.h"
#include "kd/ops.h"
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

}  // namespace

Predictor::Built Predictor::folded(const Model& model, Backend& backend, int64_t batch,
                                   const Options& options) {
  const bool by_batch = options.mode == Mode::training;
  const Model constant = by_batch ? model : fold_bn(model, options.taps);
  ModelGraph made = instantiate(constant, batch, options.mode, {options.taps, {}, true});
  std::vector<Value> read = made.taps;
  read.push_back(made.logits);
  if (!by_batch) fuse_conv_epilogue(made.graph, read);
  made = lower_precision(made, options.dtype);
  for (Value& tap : made.taps) {  // handed over in f32
    if (made.graph.desc(tap).dtype != DType::f32) tap = cast(made.graph, tap, DType::f32);
  }
  CompileOptions how;
  how.outputs = made.taps;
  how.outputs.push_back(made.logits);
  const auto stream = backend.stream(Priority::normal);
  for (const auto& [name, tensor] : constant.tensors) {
    const Value v = made.graph.find(name);
    const Tensor host = rounded(tensor, made.graph.desc(v).dtype);
    const Tensor own(host.desc(), backend.allocate(host.bytes(), Memory::device));
    backend.copy(own.data(), host.data(), host.bytes(), *stream);
    backend.synchronize(*stream);
    how.bindings.push_back({v, own});
    if (made.graph.info(v).role == Role::parameter || !by_batch) how.frozen.push_back(v);
  }
  return {made.input, made.logits, made.taps, compile(std::move(made.graph), backend, how)};
}

Predictor::Built Predictor::bound(const Model& model, Backend& backend, int64_t batch,
                                  const Variables& weights, const std::string& arena) {
  const DType dtype = arena.empty() ? weights.low_dtype() : DType::f32;
  const ModelGraph made = lower_precision(instantiate(model, batch, Mode::inference), dtype);
  CompileOptions options;
  options.outputs = {made.logits};
  options.bindings = weights.bind(made.graph, arena);
  for (const Binding& binding : options.bindings) options.frozen.push_back(binding.value);
  return {made.input, made.logits, {}, compile(made.graph, backend, options)};
}

Predictor::Predictor(Built built)
    : input_(built.input),
      logits_(built.logits),
      taps_(std::move(built.taps)),
      program_(std::move(built.program)) {}

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch, const Options& options)
    : Predictor(folded(model, backend, batch, options)) {}

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights,
                     const std::string& arena)
    : Predictor(bound(model, backend, batch, weights, arena)) {}

}  // namespace kd
