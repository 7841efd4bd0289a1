// Max, average and global average pooling, and their gradients.
#include "kernels/pool.h"

#include "backend/cuda/cuda.h"
#include "kd/fused_ops.h"
#include "kernels/norm_pool.h"

namespace kd::cuda {
namespace {

kernels::PoolSide side(const PoolAttrs& attrs, size_t axis, int64_t size, int64_t pooled) {
  return {static_cast<int>(size), static_cast<int>(pooled), attrs.window[axis],
          attrs.stride[axis],     attrs.pad[axis],          attrs.pad[axis + 2]};
}

kernels::PoolShape pool_shape(const PoolAttrs& attrs, const TensorDesc& x, const Shape& y) {
  const Shape& s = x.shape;
  return {
      type_of(x.dtype),       s[0], s[3], side(attrs, 0, s[1], y[1]), side(attrs, 1, s[2], y[2]),
      attrs.count_include_pad};
}

kernels::PoolShape forward_shape(const PrepareRequest& request) {
  return pool_shape(request.node.attr<PoolAttrs>(), in_desc(request, 0), out_shape(request, 0));
}
kernels::PoolShape backward_shape(const PrepareRequest& request) {
  return pool_shape(request.node.attr<PoolGradAttrs>().pool, out_desc(request, 0),
                    in_shape(request, 0));
}

kernels::GlobalPoolShape global_shape(const TensorDesc& x) {
  const Shape& s = x.shape;
  return {type_of(x.dtype), s[0], s[1] * s[2], s[3]};
}

}  // namespace

StepPtr prepare_max_pool(const PrepareRequest& request) {
  return make_step([shape = forward_shape(request)](kernels::StreamRef stream, const Pointers& p) {
    kernels::max_pool(stream, shape, p.inputs[0], p.outputs[0], out<uint8_t>(p, 1));
  });
}

StepPtr prepare_max_pool_backward(const PrepareRequest& request) {
  return make_step([shape = backward_shape(request)](kernels::StreamRef stream, const Pointers& p) {
    kernels::max_pool_backward(stream, shape, p.inputs[0], in<uint8_t>(p, 1), p.outputs[0]);
  });
}

StepPtr prepare_avg_pool(const PrepareRequest& request) {
  return make_step([shape = forward_shape(request)](kernels::StreamRef stream, const Pointers& p) {
    kernels::avg_pool(stream, shape, p.inputs[0], p.outputs[0]);
  });
}

StepPtr prepare_avg_pool_backward(const PrepareRequest& request) {
  return make_step([shape = backward_shape(request)](kernels::StreamRef stream, const Pointers& p) {
    kernels::avg_pool_backward(stream, shape, p.inputs[0], p.outputs[0]);
  });
}

StepPtr prepare_global_avg_pool(const PrepareRequest& request) {
  const auto shape = global_shape(in_desc(request, 0));
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::global_avg_pool(stream, shape, p.inputs[0], p.outputs[0]);
  });
}

StepPtr prepare_global_avg_pool_backward(const PrepareRequest& request) {
  const auto shape = global_shape(out_desc(request, 0));
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::global_avg_pool_backward(stream, shape, p.inputs[0], p.outputs[0]);
  });
}

StepPtr prepare_batch_norm_relu_max_pool_train(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<BatchNormPoolAttrs>();
  const auto shape = pool_shape(attrs.pool, in_desc(request, 0), out_shape(request, 0));
  return make_step(
      [shape, norm = attrs.norm](kernels::StreamRef stream, const Pointers& p) {
        kernels::NormPoolTrain args;
        args.shape = shape;
        args.x = p.inputs[0];
        args.gamma = in<float>(p, 1), args.beta = in<float>(p, 2);
        args.running_mean = in<float>(p, 3), args.running_var = in<float>(p, 4);
        args.eps = norm.eps, args.momentum = norm.momentum;
        args.y = p.outputs[0];
        args.mean = out<float>(p, 1), args.var = out<float>(p, 2);
        args.index = out<uint8_t>(p, 3);
        args.workspace = p.workspace;
        kernels::norm_pool_train(stream, args);
      },
      kernels::norm_workspace(kernels::norm_shape(shape)));
}

StepPtr prepare_batch_norm_relu_max_pool_backward(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<BatchNormPoolAttrs>();
  const auto shape = pool_shape(attrs.pool, in_desc(request, 3), in_shape(request, 0));
  return make_step(
      [shape, eps = attrs.norm.eps](kernels::StreamRef stream, const Pointers& p) {
        kernels::NormPoolBackward args;
        args.shape = shape;
        args.dy = p.inputs[0];
        args.index = in<uint8_t>(p, 1);
        args.y = p.inputs[2], args.x = p.inputs[3];
        args.gamma = in<float>(p, 4);
        args.mean = in<float>(p, 5), args.var = in<float>(p, 6);
        args.eps = eps;
        args.dx = p.outputs[0];
        args.dgamma = out<float>(p, 1), args.dbeta = out<float>(p, 2);
        args.workspace = p.workspace;
        kernels::norm_pool_backward(stream, args);
      },
      kernels::norm_workspace(kernels::norm_shape(shape)));
}

}  // namespace kd::cuda
