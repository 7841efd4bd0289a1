// Pointwise arithmetic: each output element is read from memory once and written once.
//   binary  y = a + b, a * b or a / b, right-aligned broadcasting
//   affine  y = x factor + offset
//   exp     y = e^x
//   log     y = ln x: -inf at 0, NaN below
//   sqrt    y = x^(1/2): NaN below 0
//   cast    y = x in another float type, rounded to nearest even
//   fill    y = value
// y may be where a (or x) is, if both have the same shape and type. Bytes: those of the operands
// and of y; 1 FLOP an element. Threads: one 16-byte vector, twice (map.cuh), where pointers are
// aligned to 16 bytes and a broadcast operand is one element or has rows of whole vectors (a vector
// of channels, a gate for each picture), else element by element. NaN and infinities follow IEEE
// arithmetic in float.
#pragma once

#include "kernels/extents.h"

namespace kd::kernels {

enum class BinaryOp : uint8_t { add, mul, div };

struct BinaryArgs {
  Type type = Type::f32;
  BinaryOp op = BinaryOp::add;
  const void *a = nullptr, *b = nullptr;
  void* y = nullptr;
  Extents dims_a, dims_b, dims_y;
};
void binary(StreamRef stream, const BinaryArgs& args);

struct UnaryArgs {
  Type type = Type::f32;
  const void* x = nullptr;
  void* y = nullptr;
  int64_t count = 0;
};
void affine(StreamRef stream, const UnaryArgs& args, float factor, float offset);
void exp(StreamRef stream, const UnaryArgs& args);
void log(StreamRef stream, const UnaryArgs& args);
void sqrt(StreamRef stream, const UnaryArgs& args);
void cast(StreamRef stream, const UnaryArgs& args, Type to);  // to args.type is a copy
void fill(StreamRef stream, float* y, int64_t count, float value);
// y of dims_y is x of dims_x, repeated.
void broadcast(StreamRef stream, const UnaryArgs& args, const Extents& dims_x,
               const Extents& dims_y);

}  // namespace kd::kernels
