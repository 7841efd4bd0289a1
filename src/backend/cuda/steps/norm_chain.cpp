// norm_finalize, scale_bias_relu, norm_input_grad.
#include "kernels/norm_chain.h"

#include "backend/cuda/cuda.h"
#include "kernels/norm.h"

namespace kd::cuda {

StepPtr prepare_norm_finalize(const PrepareRequest& request) {
  const auto attrs = request.node.attr<NormFinalizeAttrs>();
  const int64_t channels = in_shape(request, 0)[0];
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::NormFinalize args;
    args.sums = {in<float>(p, 0), in<float>(p, 1), nullptr, 1, channels};
    args.rows = attrs.count, args.channels = channels;
    args.gamma = in<float>(p, 2), args.beta = in<float>(p, 3);
    args.eps = attrs.eps, args.momentum = attrs.momentum;
    args.running_mean = in<float>(p, 4), args.running_var = in<float>(p, 5);
    args.mean = out<float>(p, 0), args.var = out<float>(p, 1);
    args.scale = out<float>(p, 2), args.bias = out<float>(p, 3);
    kernels::norm_finalize(stream, args);
  });
}

StepPtr prepare_scale_bias_relu(const PrepareRequest& request) {
  const TensorDesc x = in_desc(request, 0);
  const size_t count = request.node.inputs.size();
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::scale_bias_relu(
        stream, {type_of(x.dtype), p.inputs[0], in<float>(p, 1), in<float>(p, 2),
                 count > 3 ? p.inputs[3] : nullptr, count > 4 ? in<float>(p, 4) : nullptr,
                 count > 4 ? in<float>(p, 5) : nullptr, p.outputs[0],
                 x.shape[0] * x.shape[1] * x.shape[2], x.shape[3]});
  });
}

StepPtr prepare_norm_input_grad(const PrepareRequest& request) {
  const TensorDesc x = in_desc(request, 0);
  const double eps = request.node.attr<NormInputGradAttrs>().eps;
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::norm_input_grad(
        stream, {type_of(x.dtype), p.inputs[0], p.inputs[1], in<float>(p, 2), in<float>(p, 3),
                 in<float>(p, 4), in<float>(p, 5), in<float>(p, 6), p.outputs[0],
                 x.shape[0] * x.shape[1] * x.shape[2], x.shape[3], eps});
  });
}

}  // namespace kd::cuda
