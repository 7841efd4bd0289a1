#include "kernels/activation.h"
#include "kernels/map.cuh"

namespace kd::kernels {
namespace {

__device__ inline float sigmoid_of(float x) { return 1.0f / (1.0f + ::expf(-x)); }
// Comparisons that keep a NaN, as fminf and fmaxf do not.
__device__ inline float hard_sigmoid_of(float x) {
  const float line = x / 6.0f + 0.5f;
  return line < 0 ? 0.0f : line > 1 ? 1.0f : line;
}

template <int kCount, class Each>
__device__ void for_each_pair(const float (&a)[kCount], const float (&b)[kCount],
                              float (&y)[kCount], const Each& each) {
#pragma unroll
  for (int k = 0; k < kCount; ++k) y[k] = each(a[k], b[k]);
}

// The kind is chosen once a vector: the branch is the same for all threads.
struct Forward {
  ActivationKind kind;

  template <int kCount>
  __device__ void operator()(const float (&in)[kCount], const float (&none)[kCount],
                             float (&y)[kCount]) const {
    const auto by = [&](const auto& each) { for_each_pair(in, none, y, each); };
    switch (kind) {
      case ActivationKind::relu:
        return by([](float x, float) { return x < 0 ? 0.0f : x; });
      case ActivationKind::relu6:
        return by([](float x, float) { return x < 0 ? 0.0f : x > 6 ? 6.0f : x; });
      case ActivationKind::silu:
        return by([](float x, float) { return x * sigmoid_of(x); });
      case ActivationKind::sigmoid:
        return by([](float x, float) { return sigmoid_of(x); });
      case ActivationKind::hard_swish:
        return by([](float x, float) { return x * hard_sigmoid_of(x); });
      case ActivationKind::hard_sigmoid:
        return by([](float x, float) { return hard_sigmoid_of(x); });
      default:
        return by([](float x, float) { return x; });
    }
  }
};

struct Backward {
  ActivationKind kind;

  template <int kCount>
  __device__ void operator()(const float (&dy)[kCount], const float (&saved)[kCount],
                             float (&dx)[kCount]) const {
    const auto by = [&](const auto& each) { for_each_pair(dy, saved, dx, each); };
    switch (kind) {
      case ActivationKind::relu:
        return by([](float d, float y) { return y > 0 ? d : 0.0f; });
      case ActivationKind::relu6:
        return by([](float d, float y) { return y > 0 && y < 6 ? d : 0.0f; });
      case ActivationKind::silu:
        return by([](float d, float x) {
          const float s = sigmoid_of(x);
          return d * (s + x * s * (1 - s));
        });
      case ActivationKind::sigmoid:
        return by([](float d, float y) { return d * y * (1 - y); });
      case ActivationKind::hard_swish:
        return by([](float d, float x) {
          return x <= -3 ? 0.0f : x >= 3 ? d : d * (x / 3 + 0.5f);
        });
      case ActivationKind::hard_sigmoid:
        return by([](float d, float y) { return y > 0 && y < 1 ? d / 6 : 0.0f; });
      default:
        return by([](float d, float) { return d; });
    }
  }
};

}  // namespace

void activation(StreamRef stream, const ActivationArgs& args) {
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const Flat<T> x{static_cast<const T*>(args.in)};
    auto* y = static_cast<T*>(args.out);
    if (is_aligned<kVec<T>>(x.data) && is_aligned<kVec<T>>(y)) {
      launch_map<kVec<T>>(stream, x, Nothing{}, y, args.count, Forward{args.kind});
    } else {
      launch_map<1>(stream, x, Nothing{}, y, args.count, Forward{args.kind});
    }
  });
}

void activation_backward(StreamRef stream, const ActivationArgs& args) {
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const Flat<T> dy{static_cast<const T*>(args.in)}, saved{static_cast<const T*>(args.saved)};
    auto* dx = static_cast<T*>(args.out);
    if (is_aligned<kVec<T>>(dy.data) && is_aligned<kVec<T>>(saved.data) &&
        is_aligned<kVec<T>>(dx)) {
      launch_map<kVec<T>>(stream, dy, saved, dx, args.count, Backward{args.kind});
    } else {
      launch_map<1>(stream, dy, saved, dx, args.count, Backward{args.kind});
    }
  });
}

}  // namespace kd::kernels
