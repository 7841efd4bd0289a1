// What the families of CUDA steps share. No CUDA header here: steps/ only launches what kernels/
// has, and compiles for the host too, where tests run it.
#pragma once

#include <memory>

#include "kd/backend.h"
#include "kd/conv_chain.h"
#include "kd/term_ops.h"
#include "kernels/types.h"

namespace kd::cuda {

using StepPtr = std::unique_ptr<Step>;

#define KD_IMPL(op) StepPtr prepare_##op(const PrepareRequest& request);
#include "backend/cuda/table_kernels.def"
#include "backend/cuda/table_libraries.def"
#undef KD_IMPL

// A stream of the CUDA backend; the host build of the kernels ignores it.
class CudaStream : public Stream {
 public:
  explicit CudaStream(void* handle) : handle_(handle) {}
  kernels::StreamRef ref() const { return {handle_}; }
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

// A step that is one function of a stream and its pointers.
template <class Function>
StepPtr make_step(Function function, size_t workspace = 0) {
  struct FunctionStep final : Step {
    explicit FunctionStep(Function f) : function(std::move(f)) {}
    void run(Stream& stream, const Pointers& p) override {
      function(static_cast<CudaStream&>(stream).ref(), p);
    }
    Function function;
  };
  auto step = std::make_unique<FunctionStep>(std::move(function));
  step->workspace = workspace;
  return step;
}

inline kernels::Type type_of(DType dtype) { return static_cast<kernels::Type>(dtype); }

inline const TensorDesc& in_desc(const PrepareRequest& request, size_t i) {
  return request.graph.desc(request.node.inputs.at(i));
}
inline const TensorDesc& out_desc(const PrepareRequest& request, size_t i) {
  return request.graph.desc(request.node.outputs.at(i));
}
inline const Shape& in_shape(const PrepareRequest& request, size_t i) {
  return in_desc(request, i).shape;
}
inline const Shape& out_shape(const PrepareRequest& request, size_t i) {
  return out_desc(request, i).shape;
}
template <class T>
T* in(const Pointers& p, size_t i) {
  return static_cast<T*>(p.inputs[i]);
}
template <class T>
T* out(const Pointers& p, size_t i) {
  return static_cast<T*>(p.outputs[i]);
}

}  // namespace kd::cuda
