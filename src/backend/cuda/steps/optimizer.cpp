// optimizer_update, lamb_norms.
#include "kernels/optimizer.h"

#include "backend/cuda/cuda.h"
#include "backend/optimizer_inputs.h"

namespace kd::cuda {
namespace {

using In = OptimizerInput;

static_assert(kernels::kSquarePartials == kGradientPartials);
static_assert(kernels::kLambParts == kNormPartials);

// What is known before a run.
kernels::OptimizerArgs planned(const PrepareRequest& request) {
  const OptimizerShape shape(request);
  kernels::OptimizerArgs args;
  args.rule = rule_of(request.node.attr<OptimizerAttrs>());
  args.gradient.low_type = type_of(shape.low);
  args.gradient.lows = shape.lows;
  args.gradient.highs = shape.count - shape.lows;
  args.copy_type = type_of(shape.copies);
  args.copied = shape.copied;
  args.segment_count = shape.segments;
  return args;
}

void point(kernels::OptimizerArgs& args, const OptimizerPointers& of) {
  args.weights = of.at(In::weights);
  args.first = of.at(In::first);
  args.second = of.at(In::second);
  args.copies = of.at<void>(In::low_weights);
  args.gradient.low = of.at<void>(In::low_gradient);
  args.gradient.high = of.at(In::high_gradient);
  args.start = of.at(In::start);
  args.lr_scale = of.at(In::lr_scale);
  args.step = {.squares = of.at(In::squares),
               .loss_scale = of.at(In::loss_scale),
               .lr = of.at(In::lr),
               .key = of.at<int64_t>(In::step),
               .counters = of.at<int32_t>(In::counters)};
  args.segments = of.at<int32_t>(In::segments);
  args.norms = of.at(In::norms);
}

}  // namespace

StepPtr prepare_optimizer_update(const PrepareRequest& request) {
  return make_step([args = planned(request), attrs = request.node.attr<OptimizerAttrs>()](
                       kernels::StreamRef stream, const Pointers& p) mutable {
    point(args, {p, attrs});
    kernels::optimizer_update(stream, args);
  });
}

StepPtr prepare_lamb_norms(const PrepareRequest& request) {
  return make_step([args = planned(request), attrs = request.node.attr<OptimizerAttrs>()](
                       kernels::StreamRef stream, const Pointers& p) mutable {
    point(args, {p, attrs});
    kernels::lamb_norms(stream, args, out<float>(p, 0));
  });
}

}  // namespace kd::cuda
