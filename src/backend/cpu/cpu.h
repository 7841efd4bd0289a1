// What the families of CPU steps share. Activations stay row-major NHWC throughout: no reorders
// between nodes; only weights are packed.
#pragma once

#include <memory>

#include "kd/backend.h"
#include "kd/term_ops.h"

namespace kd::cpu {

using StepPtr = std::unique_ptr<Step>;

std::string onednn_version();  // "oneDNN 3.2.0 (AVX-512)"

#define KD_IMPL(op) StepPtr prepare_##op(const PrepareRequest& request);
#include "backend/cpu/table.def"
#undef KD_IMPL

// A step that is one function of its pointers.
template <class Function>
StepPtr make_step(Function function, size_t workspace = 0) {
  struct FunctionStep final : Step {
    explicit FunctionStep(Function f) : function(std::move(f)) {}
    void run(Stream&, const Pointers& p) override { function(p); }
    Function function;
  };
  auto step = std::make_unique<FunctionStep>(std::move(function));
  step->workspace = workspace;
  return step;
}

inline const Shape& in_shape(const PrepareRequest& request, size_t i) {
  return request.graph.shape(request.node.inputs.at(i));
}
inline const Shape& out_shape(const PrepareRequest& request, size_t i) {
  return request.graph.shape(request.node.outputs.at(i));
}
template <class T>
T* in(const Pointers& p, size_t i) {
  return static_cast<T*>(p.inputs[i]);
}
template <class T>
T* out(const Pointers& p, size_t i) {
  return static_cast<T*>(p.outputs[i]);
}

}  // namespace kd::cpu
