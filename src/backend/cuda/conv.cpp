// Convolutions and their gradients as cuDNN plans.
#include "backend/cuda/conv.h"

#include "backend/cuda/conv_plans.h"
#include "backend/cuda/cuda.h"
#include "backend/cuda/options.h"

namespace kd::cuda {
namespace {

class ConvStep final : public Step {
 public:
  ConvStep(std::shared_ptr<ConvPlans> plans, PlanPtr plan, std::string node_label)
      : plans_(std::move(plans)), run_(std::move(plan)), label_(std::move(node_label)) {
    workspace = run_.workspace();
  }

  void run(Stream& stream, const Pointers& p) override {
    pointers_.assign(p.inputs.begin(), p.inputs.end());
    pointers_.insert(pointers_.end(), p.outputs.begin(), p.outputs.end());
    auto* const native = static_cast<cudaStream_t>(static_cast<CudaStream&>(stream).handle());
    try {
      run_(plans_->handle(native), pointers_, p.workspace);
    } catch (const Error& error) {
      fail(error.code(), "{}: {}", label_, error.what());
    }
  }

 private:
  std::shared_ptr<ConvPlans> plans_;
  PlanRun run_;
  std::string label_;
  std::vector<void*> pointers_;  // kept, so that only the first run allocates
};

StepPtr prepare_conv(const PrepareRequest& request) {
  auto plans = ConvPlans::shared();
  PlanPtr plan = plans->require(request.graph, request.node);
  return std::make_unique<ConvStep>(std::move(plans), std::move(plan), label_of(request.node));
}

}  // namespace

std::string label_of(const Node& node) {
  return std::string(node.op->name) + (node.name.empty() ? "" : " '" + node.name + "'");
}

bool is_fused_convolution(const Node& node) {
  return node.op->kind == OpKind::fused && node.op->name.find("conv2d") != std::string_view::npos;
}

bool supports_fused_convolution(const Graph& graph, const Node& node) {
  const auto pattern = pattern_of(graph, node, cuda_options().allow_tf32);
  return pattern && ConvPlans::shared()->find(*pattern).plan != nullptr;
}

StepPtr prepare_conv2d(const PrepareRequest& request) { return prepare_conv(request); }
StepPtr prepare_conv2d_dgrad(const PrepareRequest& request) { return prepare_conv(request); }
StepPtr prepare_conv2d_wgrad(const PrepareRequest& request) { return prepare_conv(request); }
StepPtr prepare_conv2d_bias_act(const PrepareRequest& request) { return prepare_conv(request); }

}  // namespace kd::cuda
