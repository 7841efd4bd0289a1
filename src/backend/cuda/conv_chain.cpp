// The batch-norm chain around convolutions as cuDNN plans. cuDNN takes the vectors in other forms
// than the ops do (cudnn_pattern.h); they are made in the workspace first.
#include "backend/cuda/conv.h"
#include "backend/cuda/conv_plans.h"
#include "backend/cuda/cuda.h"
#include "kernels/norm_vectors.h"

namespace kd::cuda {
namespace {

constexpr size_t kAlignment = 256;  // of each vector, and of the plan's own workspace after them

size_t vector_bytes(int64_t channels) {
  const size_t bytes = static_cast<size_t>(channels) * sizeof(float);
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

// A plan, and `vectors` vectors of x's channels before it in the workspace.
class ChainStep : public Step {
 public:
  ChainStep(const PrepareRequest& request, int64_t channels, size_t vectors)
      : plans_(ConvPlans::shared()),
        run_(plans_->require(request.graph, request.node)),
        label_(label_of(request.node)),
        channels_(channels),
        vectors_(vectors) {
    workspace = vectors * vector_bytes(channels) + run_.workspace();
  }

  void run(Stream& stream, const Pointers& p) final {
    const kernels::StreamRef on = static_cast<CudaStream&>(stream).ref();
    workspace_ = static_cast<char*>(p.workspace);
    tensors_.assign(p.inputs.begin(), p.inputs.end());
    tensors_.insert(tensors_.end(), p.outputs.begin(), p.outputs.end());
    arrange(on, p);
    try {
      run_(plans_->handle(static_cast<cudaStream_t>(on.handle)), tensors_, vector<void>(vectors_));
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", label_, error.what());
    }
  }

 protected:
  // Launches what makes the vectors, and turns tensors_, the node's, into the plan's.
  virtual void arrange(kernels::StreamRef, const Pointers&) {}

  template <class T>
  T* vector(size_t i) const {
    return reinterpret_cast<T*>(workspace_ + i * vector_bytes(channels_));
  }
  int64_t channels() const { return channels_; }
  std::vector<void*> tensors_;  // kept, so that only the first run allocates

 private:
  std::shared_ptr<ConvPlans> plans_;
  PlanRun run_;
  std::string label_;
  int64_t channels_;
  size_t vectors_;
  char* workspace_ = nullptr;
};

// x, scale, bias, ...: both vectors in f16.
class ScaleReluStep final : public ChainStep {
 public:
  explicit ScaleReluStep(const PrepareRequest& request)
      : ChainStep(request, in_shape(request, 0)[3], 2) {}

 private:
  void arrange(kernels::StreamRef stream, const Pointers& p) override {
    auto *const scale = vector<kernels::f16>(0), *const bias = vector<kernels::f16>(1);
    kernels::scale_bias_16(stream, {in<float>(p, 1), in<float>(p, 2), scale, bias, channels()});
    tensors_[1] = scale;
    tensors_[2] = bias;
  }
};

// dy, w, x, scale, bias, mean, var -> dy, w, x, mean, inv_std, gamma, beta; and three vectors that
// cuDNN writes and nobody reads, because norm_input_grad computes them anew.
class DgradReluNormStep final : public ChainStep {
 public:
  explicit DgradReluNormStep(const PrepareRequest& request)
      : ChainStep(request, in_shape(request, 2)[3], 6),
        eps_(static_cast<float>(request.node.attr<Conv2dDgradNormAttrs>().eps)) {}

 private:
  void arrange(kernels::StreamRef stream, const Pointers& p) override {
    auto *const inv_std = vector<float>(0), *const gamma = vector<float>(1),
                *const beta = vector<float>(2);
    kernels::dgrad_vectors(stream, {in<float>(p, 3), in<float>(p, 4), in<float>(p, 5),
                                    in<float>(p, 6), inv_std, gamma, beta, channels(), eps_});
    tensors_.assign({p.inputs[0], p.inputs[1], p.inputs[2], p.inputs[5], inv_std, gamma, beta,
                     p.outputs[0], p.outputs[1], p.outputs[2], vector<void>(3), vector<void>(4),
                     vector<void>(5)});
  }
  float eps_;
};

}  // namespace

StepPtr prepare_conv2d_stats(const PrepareRequest& request) {
  return std::make_unique<ChainStep>(request, 0, 0);
}
StepPtr prepare_scale_bias_relu_conv2d_stats(const PrepareRequest& request) {
  return std::make_unique<ScaleReluStep>(request);
}
StepPtr prepare_scale_bias_relu_conv2d_wgrad(const PrepareRequest& request) {
  return std::make_unique<ScaleReluStep>(request);
}
StepPtr prepare_conv2d_dgrad_relu_norm(const PrepareRequest& request) {
  return std::make_unique<DgradReluNormStep>(request);
}

}  // namespace kd::cuda
