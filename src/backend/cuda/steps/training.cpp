// gradient_squares, gradient_accumulate, ema_update, max_norm, loss_scale_update, advance_step.
#include "kernels/training.h"

#include "backend/cuda/cuda.h"
#include "kd/optimizer_ops.h"

namespace kd::cuda {

StepPtr prepare_gradient_squares(const PrepareRequest& request) {
  const size_t last = request.node.inputs.size() - 1;
  kernels::GradientArgs planned;
  planned.highs = in_shape(request, last).elements();
  if (last == 1) {
    planned.low_type = type_of(in_desc(request, 0).dtype);
    planned.lows = in_shape(request, 0).elements();
  }
  return make_step(
      [gradient = planned, last](kernels::StreamRef stream, const Pointers& p) mutable {
        gradient.low = last == 1 ? p.inputs[0] : nullptr;
        gradient.high = in<float>(p, last);
        kernels::gradient_squares(stream, gradient, out<float>(p, 0));
      });
}

StepPtr prepare_gradient_accumulate(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<AccumulateAttrs>();
  kernels::AccumulateArgs planned;
  planned.gradient_type = type_of(in_desc(request, 1).dtype);
  planned.count = in_shape(request, 0).elements();
  planned.keep = static_cast<float>(attrs.keep);
  planned.scale = static_cast<float>(attrs.scale);
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.sum = in<float>(p, 0);
    args.gradient = p.inputs[1];
    kernels::gradient_accumulate(stream, args);
  });
}

StepPtr prepare_ema_update(const PrepareRequest& request) {
  const auto take = static_cast<float>(1 - request.node.attr<EmaAttrs>().decay);
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::ema_update(stream, {in<float>(p, 0), in<float>(p, 1), count, take});
  });
}

StepPtr prepare_max_norm(const PrepareRequest& request) {
  kernels::MaxNormArgs planned;
  const bool copied = request.node.inputs.size() == 2;
  if (copied) planned.copy_type = type_of(in_desc(request, 1).dtype);
  planned.rows = in_shape(request, 0)[0];
  planned.columns = planned.rows == 0 ? 0 : in_shape(request, 0).elements() / planned.rows;
  planned.limit = static_cast<float>(request.node.attr<MaxNormAttrs>().limit);
  return make_step([args = planned, copied](kernels::StreamRef stream, const Pointers& p) mutable {
    args.weights = in<float>(p, 0);
    args.copies = copied ? p.inputs[1] : nullptr;
    kernels::max_norm(stream, args);
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
