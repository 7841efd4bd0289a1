// Pointwise ops, activations, broadcasting and its adjoint.
#include <algorithm>
#include <array>
#include <cmath>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

using Index = std::array<int64_t, Shape::kMaxRank>;

// Strides of `shape`, right-aligned: 0 along what is broadcast.
Index broadcast_strides(const Shape& shape) {
  Index strides{};
  int64_t stride = 1;
  for (int axis = shape.rank() - 1; axis >= 0; --axis) {
    const auto at = static_cast<size_t>(axis + Shape::kMaxRank - shape.rank());
    strides[at] = shape[axis] == 1 ? 0 : stride;
    stride *= shape[axis];
  }
  return strides;
}

Index padded_dims(const Shape& shape) {
  Index dims;
  dims.fill(1);
  for (int axis = 0; axis < shape.rank(); ++axis) {
    dims[static_cast<size_t>(axis + Shape::kMaxRank - shape.rank())] = shape[axis];
  }
  return dims;
}

// Calls row(offset in y, offset in a, offset in b) for each innermost row, in order.
template <class Row>
void for_each_row(const Index& dims, const Index& a, const Index& b, const Row& row) {
  const int64_t rows = dims[0] * dims[1] * dims[2] * dims[3];
#pragma omp parallel for schedule(static) if (rows * dims[4] > 4096)
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t i3 = r % dims[3], i2 = r / dims[3] % dims[2];
    const int64_t i1 = r / (dims[3] * dims[2]) % dims[1], i0 = r / (dims[3] * dims[2] * dims[1]);
    row(r * dims[4], i0 * a[0] + i1 * a[1] + i2 * a[2] + i3 * a[3],
        i0 * b[0] + i1 * b[1] + i2 * b[2] + i3 * b[3]);
  }
}

template <class Function>
StepPtr prepare_binary(const PrepareRequest& request, Function function) {
  const Shape a = in_shape(request, 0), b = in_shape(request, 1), y = out_shape(request, 0);
  if (a == b) {
    const int64_t count = y.elements();
    return make_step([=](const Pointers& p) {
      const auto *pa = in<float>(p, 0), *pb = in<float>(p, 1);
      auto* py = out<float>(p, 0);
#pragma omp parallel for simd schedule(static) if (count > 4096)
      for (int64_t i = 0; i < count; ++i) py[i] = function(pa[i], pb[i]);
    });
  }
  const Index dims = padded_dims(y);
  const Index sa = broadcast_strides(a), sb = broadcast_strides(b);
  return make_step([=](const Pointers& p) {
    const auto *pa = in<float>(p, 0), *pb = in<float>(p, 1);
    auto* py = out<float>(p, 0);
    for_each_row(dims, sa, sb, [&](int64_t at, int64_t in_a, int64_t in_b) {
      for (int64_t i = 0; i < dims[4]; ++i) {
        py[at + i] = function(pa[in_a + i * sa[4]], pb[in_b + i * sb[4]]);
      }
    });
  });
}

template <class Function>
StepPtr prepare_unary(const PrepareRequest& request, Function function) {
  const int64_t count = out_shape(request, 0).elements();
  return make_step([=](const Pointers& p) {
    const auto* x = in<float>(p, 0);
    auto* y = out<float>(p, 0);
#pragma omp parallel for schedule(static) if (count > 4096)
    for (int64_t i = 0; i < count; ++i) y[i] = function(x[i]);
  });
}

template <class Function>
StepPtr prepare_gradient(const PrepareRequest& request, Function function) {  // dy, saved
  return prepare_binary(request, function);
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }
float hard_sigmoid(float x) { return std::min(std::max(x / 6.0f + 0.5f, 0.0f), 1.0f); }

}  // namespace

StepPtr prepare_activation(const PrepareRequest& request) {
  switch (request.node.attr<ActivationAttrs>().kind) {
    case Activation::relu:
      return prepare_unary(request, [](float x) { return x < 0 ? 0.0f : x; });
    case Activation::relu6:
      return prepare_unary(request, [](float x) { return x < 0 ? 0.0f : x > 6 ? 6.0f : x; });
    case Activation::silu:
      return prepare_unary(request, [](float x) { return x * sigmoid(x); });
    case Activation::sigmoid:
      return prepare_unary(request, sigmoid);
    case Activation::hard_swish:
      return prepare_unary(request, [](float x) { return x * hard_sigmoid(x); });
    case Activation::hard_sigmoid:
      return prepare_unary(request, hard_sigmoid);
    case Activation::none:
      break;
  }
  return prepare_unary(request, [](float x) { return x; });
}

StepPtr prepare_activation_backward(const PrepareRequest& request) {
  switch (request.node.attr<ActivationAttrs>().kind) {
    case Activation::relu:
      return prepare_gradient(request, [](float d, float y) { return y > 0 ? d : 0.0f; });
    case Activation::relu6:
      return prepare_gradient(request, [](float d, float y) { return y > 0 && y < 6 ? d : 0.0f; });
    case Activation::silu:
      return prepare_gradient(request, [](float d, float x) {
        const float s = sigmoid(x);
        return d * (s + x * s * (1 - s));
      });
    case Activation::sigmoid:
      return prepare_gradient(request, [](float d, float y) { return d * y * (1 - y); });
    case Activation::hard_swish:
      return prepare_gradient(request, [](float d, float x) {
        return x <= -3 ? 0.0f : x >= 3 ? d : d * (x / 3 + 0.5f);
      });
    case Activation::hard_sigmoid:
      return prepare_gradient(request,
                              [](float d, float y) { return y > 0 && y < 1 ? d / 6 : 0.0f; });
    case Activation::none:
      break;
  }
  return prepare_gradient(request, [](float d, float) { return d; });
}

StepPtr prepare_add(const PrepareRequest& request) {
  return prepare_binary(request, [](float a, float b) { return a + b; });
}
StepPtr prepare_mul(const PrepareRequest& request) {
  return prepare_binary(request, [](float a, float b) { return a * b; });
}
StepPtr prepare_div(const PrepareRequest& request) {
  return prepare_binary(request, [](float a, float b) { return a / b; });
}
StepPtr prepare_affine(const PrepareRequest& request) {
  const auto& attrs = request.node.attr<AffineAttrs>();
  const auto factor = static_cast<float>(attrs.factor), offset = static_cast<float>(attrs.offset);
  return prepare_unary(request, [=](float x) { return x * factor + offset; });
}
StepPtr prepare_log(const PrepareRequest& request) {
  return prepare_unary(request, [](float x) { return std::log(x); });
}
StepPtr prepare_sqrt(const PrepareRequest& request) {
  return prepare_unary(request, [](float x) { return std::sqrt(x); });
}

StepPtr prepare_exp(const PrepareRequest& request) {
  return prepare_unary(request, [](float x) { return std::exp(x); });
}

// In index order with double sums: the same bits on any number of threads.
StepPtr prepare_sum_to(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0), y = out_shape(request, 0);
  const Index dims = padded_dims(x), strides = broadcast_strides(y);
  const int64_t count = y.elements(), rows = x.elements() / std::max<int64_t>(dims[4], 1);
  return make_step(
      [=](const Pointers& p) {
        const auto* px = in<float>(p, 0);
        auto* sums = static_cast<double*>(p.workspace);
        std::fill_n(sums, count, 0.0);
        for (int64_t r = 0; r < rows; ++r) {
          const int64_t i3 = r % dims[3], i2 = r / dims[3] % dims[2];
          const int64_t i1 = r / (dims[3] * dims[2]) % dims[1];
          const int64_t i0 = r / (dims[3] * dims[2] * dims[1]);
          double* to = sums + i0 * strides[0] + i1 * strides[1] + i2 * strides[2] + i3 * strides[3];
          for (int64_t i = 0; i < dims[4]; ++i) to[i * strides[4]] += px[r * dims[4] + i];
        }
        auto* py = out<float>(p, 0);
        for (int64_t i = 0; i < count; ++i) py[i] = static_cast<float>(sums[i]);
      },
      static_cast<size_t>(count) * sizeof(double));
}

StepPtr prepare_broadcast_to(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0), y = out_shape(request, 0);
  const Index dims = padded_dims(y), strides = broadcast_strides(x);
  return make_step([=](const Pointers& p) {
    const auto* px = in<float>(p, 0);
    auto* py = out<float>(p, 0);
    for_each_row(dims, strides, strides, [&](int64_t at, int64_t from, int64_t) {
      for (int64_t i = 0; i < dims[4]; ++i) py[at + i] = px[from + i * strides[4]];
    });
  });
}

StepPtr prepare_fill(const PrepareRequest& request) {
  const int64_t count = out_shape(request, 0).elements();
  const auto value = static_cast<float>(request.node.attr<FillAttrs>().value);
  return make_step([=](const Pointers& p) { std::fill_n(out<float>(p, 0), count, value); });
}

StepPtr prepare_cast(const PrepareRequest& request) {
  const int64_t count = in_shape(request, 0).elements();
  const DType from = request.graph.desc(request.node.inputs[0]).dtype;
  const DType to = request.graph.desc(request.node.outputs[0]).dtype;
  const auto widened = [=](const void* at, int64_t i) {
    if (from == DType::f32) return static_cast<const float*>(at)[i];
    const uint16_t bits = static_cast<const uint16_t*>(at)[i];
    return from == DType::f16 ? f16_to_f32(bits) : bf16_to_f32(bits);
  };
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < count; ++i) {
      const float value = widened(p.inputs[0], i);
      if (to == DType::f32) {
        out<float>(p, 0)[i] = value;
      } else {
        out<uint16_t>(p, 0)[i] = to == DType::f16 ? f32_to_f16(value) : f32_to_bf16(value);
      }
    }
  });
}

}  // namespace kd::cpu
