// add, mul, div, affine, exp, log, sqrt, cast, fill, broadcast_to.
#include "kernels/pointwise.h"

#include "backend/cuda/cuda.h"
#include "backend/cuda/steps/extents.h"

namespace kd::cuda {
namespace {

StepPtr prepare_binary(const PrepareRequest& request, kernels::BinaryOp op) {
  const kernels::BinaryArgs planned{.type = type_of(out_desc(request, 0).dtype),
                                    .op = op,
                                    .dims_a = extents_of(in_shape(request, 0)),
                                    .dims_b = extents_of(in_shape(request, 1)),
                                    .dims_y = extents_of(out_shape(request, 0))};
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.a = p.inputs[0];
    args.b = p.inputs[1];
    args.y = p.outputs[0];
    kernels::binary(stream, args);
  });
}

// Calls launch(stream, args) for the first input and the output.
template <class Launch>
StepPtr prepare_unary(const PrepareRequest& request, Launch launch) {
  const kernels::Type type = type_of(in_desc(request, 0).dtype);
  const int64_t count = in_shape(request, 0).elements();
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    launch(stream, kernels::UnaryArgs{type, p.inputs[0], p.outputs[0], count});
  });
}

}  // namespace

StepPtr prepare_add(const PrepareRequest& request) {
  return prepare_binary(request, kernels::BinaryOp::add);
}
StepPtr prepare_mul(const PrepareRequest& request) {
  return prepare_binary(request, kernels::BinaryOp::mul);
}
StepPtr prepare_div(const PrepareRequest& request) {
  return prepare_binary(request, kernels::BinaryOp::div);
}

StepPtr prepare_affine(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<AffineAttrs>();
  const auto factor = static_cast<float>(attrs.factor), offset = static_cast<float>(attrs.offset);
  return prepare_unary(request, [=](kernels::StreamRef stream, const kernels::UnaryArgs& args) {
    kernels::affine(stream, args, factor, offset);
  });
}

StepPtr prepare_exp(const PrepareRequest& request) { return prepare_unary(request, kernels::exp); }
StepPtr prepare_log(const PrepareRequest& request) { return prepare_unary(request, kernels::log); }
StepPtr prepare_sqrt(const PrepareRequest& request) {
  return prepare_unary(request, kernels::sqrt);
}

StepPtr prepare_cast(const PrepareRequest& request) {
  const kernels::Type to = type_of(out_desc(request, 0).dtype);
  return prepare_unary(request, [=](kernels::StreamRef stream, const kernels::UnaryArgs& args) {
    kernels::cast(stream, args, to);
  });
}

StepPtr prepare_fill(const PrepareRequest& request) {
  const int64_t count = out_shape(request, 0).elements();
  const auto value = static_cast<float>(request.node.attr<FillAttrs>().value);
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::fill(stream, out<float>(p, 0), count, value);
  });
}

StepPtr prepare_broadcast_to(const PrepareRequest& request) {
  const kernels::Extents from = extents_of(in_shape(request, 0)),
                         to = extents_of(out_shape(request, 0));
  return prepare_unary(request, [=](kernels::StreamRef stream, const kernels::UnaryArgs& args) {
    kernels::broadcast(stream, args, from, to);
  });
}

}  // namespace kd::cuda
