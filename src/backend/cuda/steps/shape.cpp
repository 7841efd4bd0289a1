// reshape, stop_gradient, transpose, concat, slice, slice_backward, pad, channel_shuffle.
#include "kernels/shape.h"

#include "backend/cuda/cuda.h"
#include "backend/cuda/steps/extents.h"
#include "kd/dtype.h"

namespace kd::cuda {
namespace {

int64_t element_size(const PrepareRequest& request) {
  return static_cast<int64_t>(size_of(in_desc(request, 0).dtype));
}

// A copy of a box: from where in the input, to where in the output, in bytes.
struct BoxCopy {
  kernels::CopyBoxArgs args;
  size_t input = 0;
  int64_t src_offset = 0, dst_offset = 0;

  void run(kernels::StreamRef stream, const Pointers& p) const {
    kernels::CopyBoxArgs placed = args;
    placed.src = in<std::byte>(p, input) + src_offset;
    placed.dst = out<std::byte>(p, 0) + dst_offset;
    kernels::copy_box(stream, placed);
  }
};

StepPtr place_step(const kernels::PlaceBoxArgs& planned) {
  return make_step([args = planned](kernels::StreamRef stream, const Pointers& p) mutable {
    args.src = p.inputs[0];
    args.dst = p.outputs[0];
    kernels::place_box(stream, args);
  });
}

// All of the input into the output, with nothing between or around.
kernels::PlaceBoxArgs whole(const PrepareRequest& request) {
  kernels::PlaceBoxArgs args;
  args.element = element_size(request);
  args.dims = extents_of(out_shape(request, 0));
  args.count = extents_of(in_shape(request, 0));
  return args;
}

}  // namespace

StepPtr prepare_reshape(const PrepareRequest& request) {
  const auto bytes = static_cast<int64_t>(in_desc(request, 0).bytes());
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    if (p.outputs[0] != p.inputs[0]) kernels::copy(stream, p.inputs[0], p.outputs[0], bytes);
  });
}

StepPtr prepare_stop_gradient(const PrepareRequest& request) { return prepare_reshape(request); }

StepPtr prepare_transpose(const PrepareRequest& request) {
  const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
  const auto& axes = request.node.attr<PermuteAttrs>().axes;
  const kernels::Extents dims = extents_of(y);
  const kernels::Strides strides = kernels::broadcast_strides(extents_of(x));
  BoxCopy copy{{.element = element_size(request),
                .dims = dims,
                .src_strides = {},
                .dst_strides = kernels::broadcast_strides(dims)}};
  for (size_t i = 0; i < axes.size(); ++i) {
    copy.args.src_strides.at[place_of(y, static_cast<int64_t>(i))] =
        strides.at[place_of(x, axes[i])];
  }
  return make_step([=](kernels::StreamRef stream, const Pointers& p) { copy.run(stream, p); });
}

StepPtr prepare_slice(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<SliceAttrs>();
  const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
  const kernels::Extents dims = extents_of(y);
  BoxCopy copy{{.element = element_size(request),
                .dims = dims,
                .src_strides = kernels::broadcast_strides(extents_of(x)),
                .dst_strides = kernels::broadcast_strides(dims)}};
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    int64_t& stride = copy.args.src_strides.at[place_of(x, attrs.axes[i])];
    copy.src_offset += attrs.begin[i] * stride * copy.args.element;
    stride *= attrs.step[i];
  }
  return make_step([=](kernels::StreamRef stream, const Pointers& p) { copy.run(stream, p); });
}

StepPtr prepare_slice_backward(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<SliceGradAttrs>().slice;
  const Shape& x = out_shape(request, 0);
  kernels::PlaceBoxArgs args = whole(request);
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    const int axis = place_of(x, attrs.axes[i]);
    args.begin.at[axis] = attrs.begin[i];
    args.step.at[axis] = attrs.step[i];
  }
  return place_step(args);
}

StepPtr prepare_pad(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<PadAttrs>();
  kernels::PlaceBoxArgs args = whole(request);
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    args.begin.at[place_of(out_shape(request, 0), attrs.axes[i])] = attrs.before[i];
  }
  return place_step(args);
}

StepPtr prepare_concat(const PrepareRequest& request) {
  const Shape& y = out_shape(request, 0);
  const int axis = place_of(y, request.node.attr<AxisAttrs>().axis);
  const kernels::Strides strides = kernels::broadcast_strides(extents_of(y));
  std::vector<BoxCopy> copies;
  int64_t begin = 0;
  for (size_t i = 0; i < request.node.inputs.size(); ++i) {
    const kernels::Extents dims = extents_of(in_shape(request, i));
    copies.push_back({{.element = element_size(request),
                       .dims = dims,
                       .src_strides = kernels::broadcast_strides(dims),
                       .dst_strides = strides},
                      i,
                      0,
                      begin * strides.at[axis] * element_size(request)});
    begin += dims.at[axis];
  }
  return make_step([=](kernels::StreamRef stream, const Pointers& p) {
    for (const BoxCopy& copy : copies) copy.run(stream, p);
  });
}

// Channel k groups + g is channel g each + k of the input.
StepPtr prepare_channel_shuffle(const PrepareRequest& request) {
  const Shape& x = in_shape(request, 0);
  const int64_t groups = request.node.attr<ShuffleAttrs>().groups, each = x[3] / groups;
  const BoxCopy copy{{.element = element_size(request),
                      .dims = {{1, 1, x[0] * x[1] * x[2], each, groups}},
                      .src_strides = {{0, 0, x[3], 1, each}},
                      .dst_strides = {{0, 0, x[3], groups, 1}}}};
  return make_step([=](kernels::StreamRef stream, const Pointers& p) { copy.run(stream, p); });
}

}  // namespace kd::cuda
