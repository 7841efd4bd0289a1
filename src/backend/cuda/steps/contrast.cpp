// gather_dot, gather_dot_backward, sample_negatives, bank_update.
#include "kernels/contrast.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {
namespace {

static_assert(kernels::kNegativeDraws == kNegativeTries);

template <class Launch>
StepPtr gather_step(const PrepareRequest& request, Launch launch) {
  const Shape &bank = in_shape(request, 1), &index = in_shape(request, 2);
  const kernels::GatherArgs planned{
      .batch = index[0], .each = index[1], .rows = bank[0], .features = bank[1]};
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::GatherArgs args = planned;
    args.from = in<float>(p, 0), args.bank = in<float>(p, 1), args.index = in<int32_t>(p, 2);
    args.to = out<float>(p, 0);
    launch(stream, args);
  });
}

}  // namespace

StepPtr prepare_gather_dot(const PrepareRequest& request) {
  return gather_step(request, kernels::gather_dot);
}
StepPtr prepare_gather_dot_backward(const PrepareRequest& request) {
  return gather_step(request, kernels::gather_dot_backward);
}

StepPtr prepare_sample_negatives(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<NegativesAttrs>();
  const kernels::NegativesArgs planned{.batch = in_shape(request, 1)[0],
                                       .count = attrs.count,
                                       .population = attrs.population,
                                       .tensor_id = attrs.tensor_id};
  const bool labelled = request.node.inputs.size() == 3;
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::NegativesArgs args = planned;
    args.key = in<int64_t>(p, 0), args.own = in<int32_t>(p, 1);
    args.labels = labelled ? in<int32_t>(p, 2) : nullptr;
    args.ids = out<int32_t>(p, 0);
    kernels::sample_negatives(stream, args);
  });
}

StepPtr prepare_bank_update(const PrepareRequest& request) {
  const Shape& bank = in_shape(request, 0);
  const kernels::BankUpdateArgs planned{
      .batch = in_shape(request, 1)[0],
      .rows = bank[0],
      .features = bank[1],
      .momentum = static_cast<float>(request.node.attr<BankUpdateAttrs>().momentum)};
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::BankUpdateArgs args = planned;
    args.bank = in<float>(p, 0), args.ids = in<int32_t>(p, 1), args.values = in<float>(p, 2);
    kernels::bank_update(stream, args);
  });
}

}  // namespace kd::cuda
