// Batch norm: inference, training, gradients, with and without the ReLU's bit mask.
#include "kernels/norm.h"

#include "backend/cuda/cuda.h"
#include "kernels/norm_backward.h"

namespace kd::cuda {
namespace {

kernels::NormShape norm_shape(const TensorDesc& x) {
  const Shape& s = x.shape;
  return {type_of(x.dtype), s[0] * s[1] * s[2], s[3]};
}

// in: x, gamma, beta, running_mean, running_var (, residual) -> y, mean, var (, mask)
StepPtr prepare_train(const PrepareRequest& request, bool relu, bool mask) {
  const auto attrs = request.node.attr<BatchNormAttrs>();
  const bool residual = request.node.inputs.size() == 6;
  kernels::NormTrain args;
  args.shape = norm_shape(in_desc(request, 0));
  args.eps = attrs.eps, args.momentum = attrs.momentum;
  args.relu = relu;
  return make_step(
      [=](kernels::StreamRef stream, const Pointers& p) {
        kernels::NormTrain now = args;
        now.x = p.inputs[0];
        now.gamma = in<float>(p, 1), now.beta = in<float>(p, 2);
        now.running_mean = in<float>(p, 3), now.running_var = in<float>(p, 4);
        if (residual) now.residual = p.inputs[5];
        now.y = p.outputs[0];
        now.mean = out<float>(p, 1), now.var = out<float>(p, 2);
        if (mask) now.mask = out<uint8_t>(p, 3);
        now.workspace = p.workspace;
        kernels::norm_train(stream, now);
      },
      kernels::norm_workspace(args.shape));
}

enum class Gate : uint8_t { open, output, mask };

// in: dy (, y or mask), x, gamma, mean, var -> dx, dgamma, dbeta (, dresidual)
StepPtr prepare_backward(const PrepareRequest& request, Gate gate, double eps, bool residual) {
  const kernels::NormShape shape = norm_shape(in_desc(request, 0));
  const size_t x = gate == Gate::open ? 1 : 2;
  return make_step(
      [=](kernels::StreamRef stream, const Pointers& p) {
        kernels::NormBackward args;
        args.shape = shape;
        args.dy = p.inputs[0];
        if (gate == Gate::output) args.y = p.inputs[1];
        if (gate == Gate::mask) args.mask = in<uint8_t>(p, 1);
        args.x = p.inputs[x];
        args.gamma = in<float>(p, x + 1);
        args.mean = in<float>(p, x + 2), args.var = in<float>(p, x + 3);
        args.eps = eps;
        args.dx = p.outputs[0];
        args.dgamma = out<float>(p, 1), args.dbeta = out<float>(p, 2);
        if (residual) args.dresidual = p.outputs[3];
        args.workspace = p.workspace;
        kernels::norm_backward(stream, args);
      },
      kernels::norm_workspace(shape));
}

}  // namespace

StepPtr prepare_batch_norm(const PrepareRequest& request) {
  const kernels::NormShape shape = norm_shape(in_desc(request, 0));
  const double eps = request.node.attr<BatchNormAttrs>().eps;
  return make_step(
      [=](kernels::StreamRef stream, const Pointers& p) {
        kernels::norm_inference(
            stream, {shape, p.inputs[0], in<float>(p, 1), in<float>(p, 2), in<float>(p, 3),
                     in<float>(p, 4), eps, p.outputs[0], static_cast<float*>(p.workspace)});
      },
      static_cast<size_t>(shape.channels) * sizeof(float));
}

StepPtr prepare_batch_norm_train(const PrepareRequest& request) {
  return prepare_train(request, false, false);
}
StepPtr prepare_batch_norm_relu_train(const PrepareRequest& request) {
  return prepare_train(request, true, false);
}
StepPtr prepare_batch_norm_backward(const PrepareRequest& request) {
  return prepare_backward(request, Gate::open, request.node.attr<BatchNormAttrs>().eps, false);
}
StepPtr prepare_batch_norm_relu_backward(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<BatchNormReluGradAttrs>();
  return prepare_backward(request, Gate::output, attrs.eps, attrs.residual);
}

StepPtr prepare_batch_norm_relu_mask_train(const PrepareRequest& request) {
  return prepare_train(request, true, true);
}
StepPtr prepare_batch_norm_relu_mask_backward(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<BatchNormReluGradAttrs>();
  return prepare_backward(request, Gate::mask, attrs.eps, attrs.residual);
}

}  // namespace kd::cuda
