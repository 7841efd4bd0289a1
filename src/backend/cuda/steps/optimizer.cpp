// sgd_update, gradient_squares, sgd_update_mixed, loss_scale_update, advance_step.
#include "kernels/optimizer.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {
namespace {

static_assert(kernels::kSquarePartials == kGradientPartials);

kernels::SgdRule rule_of(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<SgdAttrs>();
  return {.momentum = static_cast<float>(attrs.momentum),
          .decay = static_cast<float>(attrs.weight_decay),
          .nesterov = attrs.nesterov,
          .decay_elements = attrs.decay_elements};
}

// Of the inputs `low` and low + 1.
kernels::GradientArgs gradient_of(const PrepareRequest& request, size_t low) {
  kernels::GradientArgs gradient;
  gradient.low_type = type_of(in_desc(request, low).dtype);
  gradient.lows = in_shape(request, low).elements();
  gradient.highs = in_shape(request, low + 1).elements();
  return gradient;
}

}  // namespace

StepPtr prepare_sgd_update(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements();
  const kernels::SgdRule rule = rule_of(request);
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::sgd_update(stream, {.weights = in<float>(p, 0),
                                 .gradient = in<float>(p, 1),
                                 .velocity = in<float>(p, 2),
                                 .lr = in<float>(p, 3),
                                 .count = count,
                                 .rule = rule});
  });
}

StepPtr prepare_gradient_squares(const PrepareRequest& request) {
  return make_step(
      [gradient = gradient_of(request, 0)](kernels::StreamRef stream, const Pointers& p) mutable {
        gradient.low = p.inputs[0];
        gradient.high = in<float>(p, 1);
        kernels::gradient_squares(stream, gradient, out<float>(p, 0));
      });
}

StepPtr prepare_sgd_update_mixed(const PrepareRequest& request) {
  kernels::MixedSgdArgs planned;
  planned.gradient = gradient_of(request, 3);
  planned.rule = rule_of(request);
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.weights = in<float>(p, 0);
    args.velocity = in<float>(p, 1);
    args.low_weights = p.inputs[2];
    args.gradient.low = p.inputs[3];
    args.gradient.high = in<float>(p, 4);
    args.squares = in<float>(p, 5);
    args.lr = in<float>(p, 6);
    args.loss_scale = in<float>(p, 7);
    kernels::sgd_update_mixed(stream, args);
  });
}

StepPtr prepare_loss_scale_update(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<LossScaleAttrs>();
  kernels::LossScaleArgs planned;
  planned.growth = static_cast<float>(attrs.growth);
  planned.backoff = static_cast<float>(attrs.backoff);
  planned.least = static_cast<float>(attrs.least);
  planned.most = static_cast<float>(attrs.most);
  planned.interval = attrs.interval;
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.squares = in<float>(p, 0);
    args.loss_scale = in<float>(p, 1);
    args.counters = in<int32_t>(p, 2);
    kernels::loss_scale_update(stream, args);
  });
}

StepPtr prepare_advance_step(const PrepareRequest& request) {
  const Shape table = in_shape(request, 2);
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::advance_step(stream, {.key = in<int64_t>(p, 0),
                                   .row = in<float>(p, 1),
                                   .table = in<float>(p, 2),
                                   .rows = table[0],
                                   .columns = table[1]});
  });
}

}  // namespace kd::cuda
