// Rows of logits: softmax and its logarithm, their gradients, one-hot labels, the largest, top-k.
#include "kernels/rows.h"

#include "backend/cuda/cuda.h"

namespace kd::cuda {
namespace {

kernels::SoftmaxArgs softmax_args(const PrepareRequest& request, bool logarithm) {
  const TensorDesc& x = in_desc(request, 0);
  kernels::SoftmaxArgs args;
  args.type = type_of(x.dtype);
  args.rows = x.shape[0], args.classes = x.shape[1];
  args.temperature = request.node.attr<SoftmaxAttrs>().temperature;
  args.logarithm = logarithm;
  return args;
}

StepPtr forward(const PrepareRequest& request, bool logarithm) {
  const kernels::SoftmaxArgs args = softmax_args(request, logarithm);
  return make_step([args](kernels::StreamRef stream, const Pointers& p) {
    kernels::SoftmaxArgs call = args;
    call.x = p.inputs[0], call.y = p.outputs[0];
    kernels::softmax(stream, call);
  });
}

StepPtr backward(const PrepareRequest& request, bool logarithm) {
  const kernels::SoftmaxArgs args = softmax_args(request, logarithm);
  return make_step([args](kernels::StreamRef stream, const Pointers& p) {
    kernels::SoftmaxArgs call = args;
    call.dy = p.inputs[0], call.saved_y = p.inputs[1], call.dx = p.outputs[0];
    kernels::softmax_backward(stream, call);
  });
}

}  // namespace

StepPtr prepare_softmax(const PrepareRequest& request) { return forward(request, false); }
StepPtr prepare_log_softmax(const PrepareRequest& request) { return forward(request, true); }
StepPtr prepare_softmax_backward(const PrepareRequest& request) { return backward(request, false); }
StepPtr prepare_log_softmax_backward(const PrepareRequest& request) {
  return backward(request, true);
}

StepPtr prepare_one_hot(const PrepareRequest& request) {
  const Shape& y = out_shape(request, 0);
  const double smoothing = request.node.attr<OneHotAttrs>().smoothing;
  const kernels::OneHotArgs args{.rows = y[0], .classes = y[1], .smoothing = smoothing};
  return make_step([args](kernels::StreamRef stream, const Pointers& p) {
    kernels::OneHotArgs call = args;
    call.labels = in<const int32_t>(p, 0), call.y = out<float>(p, 0);
    kernels::one_hot(stream, call);
  });
}

StepPtr prepare_arg_max(const PrepareRequest& request) {
  const TensorDesc& x = in_desc(request, 0);
  const kernels::ArgMaxArgs planned{
      .type = type_of(x.dtype), .rows = x.shape[0], .classes = x.shape[1]};
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    kernels::ArgMaxArgs args = planned;
    args.x = p.inputs[0], args.largest = out<int32_t>(p, 0);
    kernels::arg_max(stream, args);
  });
}

StepPtr prepare_top_k_correct(const PrepareRequest& request) {
  const TensorDesc& x = in_desc(request, 0);
  kernels::TopKArgs args;
  args.type = type_of(x.dtype);
  args.rows = x.shape[0], args.classes = x.shape[1];
  args.k = request.node.attr<TopKAttrs>().k;
  return make_step([args](kernels::StreamRef stream, const Pointers& p) {
    kernels::TopKArgs call = args;
    call.logits = p.inputs[0];
    call.labels = in<const int32_t>(p, 1);
    call.correct = out<int32_t>(p, 0);
    kernels::top_k_correct(stream, call);
  });
}

}  // namespace kd::cuda
