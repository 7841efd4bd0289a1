#include "kernels/map.cuh"
#include "kernels/pointwise.h"

namespace kd::kernels {
namespace {

// The operation is chosen once a vector: the branch is the same for all threads.
enum class Arithmetic : uint8_t { add, mul, div, divided_into };

struct Binary {
  Arithmetic op;

  template <int kCount>
  __device__ void operator()(const float (&a)[kCount], const float (&b)[kCount],
                             float (&y)[kCount]) const {
    switch (op) {
      case Arithmetic::add:
#pragma unroll
        for (int k = 0; k < kCount; ++k) y[k] = a[k] + b[k];
        break;
      case Arithmetic::mul:
#pragma unroll
        for (int k = 0; k < kCount; ++k) y[k] = a[k] * b[k];
        break;
      case Arithmetic::div:
#pragma unroll
        for (int k = 0; k < kCount; ++k) y[k] = a[k] / b[k];
        break;
      default:  // divided_into
#pragma unroll
        for (int k = 0; k < kCount; ++k) y[k] = b[k] / a[k];
        break;
    }
  }
};

struct Affine {
  float factor, offset;

  template <int kCount>
  __device__ void operator()(const float (&x)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = x[k] * factor + offset;
  }
};

struct Exp {
  template <int kCount>
  __device__ void operator()(const float (&x)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = ::expf(x[k]);
  }
};

struct Log {
  template <int kCount>
  __device__ void operator()(const float (&x)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = ::logf(x[k]);
  }
};

struct Sqrt {
  template <int kCount>
  __device__ void operator()(const float (&x)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = ::sqrtf(x[k]);
  }
};

struct Constant {
  float value;

  template <int kCount>
  __device__ void operator()(const float (&)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = value;
  }
};

struct Same {
  template <int kCount>
  __device__ void operator()(const float (&x)[kCount], const float (&)[kCount],
                             float (&y)[kCount]) const {
#pragma unroll
    for (int k = 0; k < kCount; ++k) y[k] = x[k];
  }
};

template <class X, class Y, class Function>
void unary(StreamRef stream, const UnaryArgs& args, const Function& function) {
  constexpr int kCount = kVec<X> < kVec<Y> ? kVec<X> : kVec<Y>;
  const Flat<X> x{static_cast<const X*>(args.x)};
  auto* y = static_cast<Y*>(args.y);
  if (is_aligned<kCount>(x.data) && is_aligned<kCount>(y)) {
    launch_map<kCount>(stream, x, Nothing{}, y, args.count, function);
  } else {
    launch_map<1>(stream, x, Nothing{}, y, args.count, function);
  }
}

template <class Function>
void same_type(StreamRef stream, const UnaryArgs& args, const Function& function) {
  with_float_type(args.type,
                  [&](auto of) { unary<decltype(of), decltype(of)>(stream, args, function); });
}

// `large` is like y, `small` is broadcast to it.
template <class T>
struct Operands {
  const T *large, *small;
  Strided of_small;
  T* y;
  int64_t count;
  Binary function;
};

template <int kCount, class T, class Small>
void with(StreamRef stream, const Operands<T>& o, const Small& small) {
  launch_map<kCount>(stream, Flat<T>{o.large}, small, o.y, o.count, o.function);
}

template <class T>
void one_is_like_y(StreamRef stream, Operands<T> o) {
  constexpr int kCount = kVec<T>;
  const bool aligned = is_aligned<kCount>(o.large) && is_aligned<kCount>(o.y);
  const bool all_aligned = aligned && is_aligned<kCount>(o.small);
  const Single<T> single{o.small};
  const Flat<T> flat{o.small};
  if (o.of_small.is_constant()) {
    return aligned ? with<kCount>(stream, o, single) : with<1>(stream, o, single);
  }
  if (o.of_small.is_dense()) {
    return all_aligned ? with<kCount>(stream, o, flat) : with<1>(stream, o, flat);
  }
  const bool vectors = all_aligned && o.of_small.to_vectors(kCount);
  const Anywhere<T> anywhere{o.small, o.of_small};
  return vectors ? with<kCount>(stream, o, anywhere) : with<1>(stream, o, anywhere);
}

template <class T>
void binary_of(StreamRef stream, const BinaryArgs& args) {
  const auto *a = static_cast<const T*>(args.a), *b = static_cast<const T*>(args.b);
  auto* y = static_cast<T*>(args.y);
  const int64_t count = args.dims_y.elements();
  const Strided of_a(args.dims_y, broadcast_strides(args.dims_a));
  const Strided of_b(args.dims_y, broadcast_strides(args.dims_b));
  const auto op = static_cast<Arithmetic>(args.op);
  if (of_a.is_dense()) return one_is_like_y<T>(stream, {a, b, of_b, y, count, {op}});
  if (of_b.is_dense()) {
    const auto swapped = op == Arithmetic::div ? Arithmetic::divided_into : op;
    return one_is_like_y<T>(stream, {b, a, of_a, y, count, {swapped}});
  }
  launch_map<1>(stream, Anywhere<T>{a, of_a}, Anywhere<T>{b, of_b}, y, count, Binary{op});
}

}  // namespace

void binary(StreamRef stream, const BinaryArgs& args) {
  static_assert(static_cast<int>(BinaryOp::div) == static_cast<int>(Arithmetic::div));
  with_float_type(args.type, [&](auto of) { binary_of<decltype(of)>(stream, args); });
}

void affine(StreamRef stream, const UnaryArgs& args, float factor, float offset) {
  same_type(stream, args, Affine{factor, offset});
}

void exp(StreamRef stream, const UnaryArgs& args) { same_type(stream, args, Exp{}); }
void log(StreamRef stream, const UnaryArgs& args) { same_type(stream, args, Log{}); }
void sqrt(StreamRef stream, const UnaryArgs& args) { same_type(stream, args, Sqrt{}); }

void cast(StreamRef stream, const UnaryArgs& args, Type to) {
  with_float_type(args.type, [&](auto x) {
    with_float_type(to, [&](auto y) { unary<decltype(x), decltype(y)>(stream, args, Same{}); });
  });
}

void fill(StreamRef stream, float* y, int64_t count, float value) {
  const Constant constant{value};
  if (is_aligned<kVec<float>>(y)) {
    launch_map<kVec<float>>(stream, Nothing{}, Nothing{}, y, count, constant);
  } else {
    launch_map<1>(stream, Nothing{}, Nothing{}, y, count, constant);
  }
}

void broadcast(StreamRef stream, const UnaryArgs& args, const Extents& dims_x,
               const Extents& dims_y) {
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const auto* x = static_cast<const T*>(args.x);
    auto* y = static_cast<T*>(args.y);
    Strided of_x(dims_y, broadcast_strides(dims_x));
    const int64_t count = dims_y.elements();
    const bool aligned = is_aligned<kVec<T>>(y);
    if (of_x.is_constant() && aligned) {
      launch_map<kVec<T>>(stream, Single<T>{x}, Nothing{}, y, count, Same{});
    } else if (aligned && is_aligned<kVec<T>>(x) && of_x.to_vectors(kVec<T>)) {
      launch_map<kVec<T>>(stream, Anywhere<T>{x, of_x}, Nothing{}, y, count, Same{});
    } else {
      launch_map<1>(stream, Anywhere<T>{x, of_x}, Nothing{}, y, count, Same{});
    }
  });
}

}  // namespace kd::kernels
