// Ops that only move elements.
#include <algorithm>
#include <array>
#include <cstring>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

using Index = std::array<int64_t, Shape::kMaxRank>;

// A box inside a dense tensor: element i of the box is at offset + sum i_k stride_k. Elements are
// copied as bytes of `size`, so any dtype goes.
struct Box {
  Index dims{1, 1, 1, 1, 1}, stride{};
  int64_t offset = 0;
};

Box whole(const Shape& shape) {
  Box box;
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto at = static_cast<size_t>(axis + Shape::kMaxRank - shape.rank());
    box.dims[at] = shape[axis];
    box.stride[at] = stride;
    stride *= shape[axis];
  }
  return box;
}

// The box begin, begin + step, ... of `count` places along one axis.
void restrict_axis(Box& box, const Shape& shape, int64_t axis, int64_t begin, int64_t step,
                   int64_t count) {
  const auto at = static_cast<size_t>(axis + Shape::kMaxRank - shape.rank());
  box.offset += begin * box.stride[at];
  box.stride[at] *= step;
  box.dims[at] = count;
}

// Elements with gaps between them, from and to.
struct Run {
  std::byte* dst;
  const std::byte* src;
  int64_t dst_stride, src_stride, count;
};
// kSize 0: of `size`, which is not known beforehand.
template <size_t kSize>
void copy_run(const Run& run, size_t size) {
  const size_t bytes = kSize == 0 ? size : kSize;
  for (int64_t k = 0; k < run.count; ++k) {
    std::memcpy(run.dst + static_cast<size_t>(k * run.dst_stride) * bytes,
                run.src + static_cast<size_t>(k * run.src_stride) * bytes, bytes);
  }
}

// Copies a box to a box of the same dimensions.
void copy_box(const Box& from, const std::byte* src, const Box& to, std::byte* dst, size_t size) {
  const Index& d = from.dims;
  const int64_t rows = d[0] * d[1] * d[2] * d[3];
  const bool dense = from.stride[4] == 1 && to.stride[4] == 1;
#pragma omp parallel for schedule(static) if (rows * d[4] > 4096)
  for (int64_t r = 0; r < rows; ++r) {
    const Index i{r / (d[3] * d[2] * d[1]), r / (d[3] * d[2]) % d[1], r / d[3] % d[2], r % d[3], 0};
    int64_t a = from.offset, b = to.offset;
    for (size_t k = 0; k < 4; ++k) {
      a += i[k] * from.stride[k];
      b += i[k] * to.stride[k];
    }
    if (dense) {
      std::memcpy(dst + static_cast<size_t>(b) * size, src + static_cast<size_t>(a) * size,
                  static_cast<size_t>(d[4]) * size);
      continue;
    }
    const Run run{dst + static_cast<size_t>(b) * size, src + static_cast<size_t>(a) * size,
                  to.stride[4], from.stride[4], d[4]};
    size == sizeof(float) ? copy_run<sizeof(float)>(run, size) : copy_run<0>(run, size);
  }
}

size_t element_size(const PrepareRequest& request) {
  return size_of(request.graph.desc(request.node.inputs[0]).dtype);
}

Box sliced(const SliceAttrs& attrs, const Shape& x, const Shape& y) {
  Box box = whole(x);
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    restrict_axis(box, x, attrs.axes[i], attrs.begin[i], attrs.step[i],
                  y[static_cast<int>(attrs.axes[i])]);
  }
  return box;
}

// Copies all of the input into a box of an output that is zero elsewhere.
StepPtr scatter(const PrepareRequest& request, const Box& to) {
  const Box from = whole(in_shape(request, 0));
  const size_t size = element_size(request);
  const size_t bytes = static_cast<size_t>(out_shape(request, 0).elements()) * size;
  return make_step([=](const Pointers& p) {
    std::memset(p.outputs[0], 0, bytes);
    copy_box(from, in<std::byte>(p, 0), to, out<std::byte>(p, 0), size);
  });
}

}  // namespace

StepPtr prepare_reshape(const PrepareRequest& request) {
  const size_t bytes = request.graph.desc(request.node.inputs[0]).bytes();
  return make_step([=](const Pointers& p) {
    if (p.outputs[0] != p.inputs[0]) std::memcpy(p.outputs[0], p.inputs[0], bytes);
  });
}

StepPtr prepare_stop_gradient(const PrepareRequest& request) { return prepare_reshape(request); }

StepPtr prepare_transpose(const PrepareRequest& request) {
  const Box x = whole(in_shape(request, 0)), to = whole(out_shape(request, 0));
  const auto& axes = request.node.attr<PermuteAttrs>().axes;
  Box from = to;
  for (size_t i = 0; i < axes.size(); ++i) {
    const size_t first = Index().size() - axes.size();
    from.stride[first + i] = x.stride[first + static_cast<size_t>(axes[i])];
  }
  const size_t size = element_size(request);
  return make_step([=](const Pointers& p) {
    copy_box(from, in<std::byte>(p, 0), to, out<std::byte>(p, 0), size);
  });
}

StepPtr prepare_slice(const PrepareRequest& request) {
  const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
  const Box from = sliced(request.node.attr<SliceAttrs>(), x, y), to = whole(y);
  const size_t size = element_size(request);
  return make_step([=](const Pointers& p) {
    copy_box(from, in<std::byte>(p, 0), to, out<std::byte>(p, 0), size);
  });
}

StepPtr prepare_slice_backward(const PrepareRequest& request) {
  return scatter(request, sliced(request.node.attr<SliceGradAttrs>().slice, out_shape(request, 0),
                                 in_shape(request, 0)));
}

StepPtr prepare_pad(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<PadAttrs>();
  const Shape &x = in_shape(request, 0), &y = out_shape(request, 0);
  Box to = whole(y);
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    restrict_axis(to, y, attrs.axes[i], attrs.before[i], 1, x[static_cast<int>(attrs.axes[i])]);
  }
  return scatter(request, to);
}

StepPtr prepare_concat(const PrepareRequest& request) {
  const int axis = request.node.attr<AxisAttrs>().axis;
  const Shape& y = out_shape(request, 0);
  std::vector<Box> from, to;
  int64_t begin = 0;
  for (size_t i = 0; i < request.node.inputs.size(); ++i) {
    const Shape& part = in_shape(request, i);
    from.push_back(whole(part));
    to.push_back(whole(y));
    restrict_axis(to.back(), y, axis, begin, 1, part[axis]);
    begin += part[axis];
  }
  const size_t size = element_size(request);
  return make_step([=](const Pointers& p) {
    for (size_t i = 0; i < from.size(); ++i) {
      copy_box(from[i], in<std::byte>(p, i), to[i], out<std::byte>(p, 0), size);
    }
  });
}

StepPtr prepare_channel_shuffle(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  const int64_t groups = request.node.attr<ShuffleAttrs>().groups, each = x[3] / groups;
  const int64_t rows = x[0] * x[1] * x[2], channels = x[3];
  return make_step([=](const Pointers& p) {
    const auto* from = in<float>(p, 0);
    auto* to = out<float>(p, 0);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; ++row) {
      for (int64_t g = 0; g < groups; ++g) {
        for (int64_t k = 0; k < each; ++k) {
          to[row * channels + k * groups + g] = from[row * channels + g * each + k];
        }
      }
    }
  });
}

}  // namespace kd::cpu
