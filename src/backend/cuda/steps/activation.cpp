// activation, activation_backward.
#include "kernels/activation.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {
namespace {

kernels::ActivationArgs planned(const PrepareRequest& request) {
  return {.type = type_of(in_desc(request, 0).dtype),
          .kind = static_cast<kernels::ActivationKind>(request.node.attr<ActivationAttrs>().kind),
          .count = in_shape(request, 0).elements()};
}

}  // namespace

StepPtr prepare_activation(const PrepareRequest& request) {
  return make_step([args = planned(request)](kernels::StreamRef stream, const Pointers& p) mutable {
    args.in = p.inputs[0];
    args.out = p.outputs[0];
    kernels::activation(stream, args);
  });
}

StepPtr prepare_activation_backward(const PrepareRequest& request) {
  return make_step([args = planned(request)](kernels::StreamRef stream, const Pointers& p) mutable {
    args.in = p.inputs[0];
    args.saved = p.inputs[1];
    args.out = p.outputs[0];
    kernels::activation_backward(stream, args);
  });
}

}  // namespace kd::cuda
