// Pointwise functions, broadcasting and its adjoint.
#pragma once

#include <string>

#include "oracle/array.h"

namespace kd::oracle {

// kind: none, relu, relu6, silu, sigmoid, hard_swish, hard_sigmoid.
double activation(double x, const std::string& kind);
Array activation(const Array& x, const std::string& kind);
// dy times the derivative, read off `saved`: x for silu and hard_swish, the output for the others.
Array activation_backward(const Array& dy, const Array& saved, const std::string& kind);

Array add(const Array& a, const Array& b);  // right-aligned broadcasting
Array mul(const Array& a, const Array& b);
Array div(const Array& a, const Array& b);
Array affine(const Array& x, double factor, double offset);
Array exp(const Array& x);
Array log(const Array& x);
Array sqrt(const Array& x);
Array sum_to(const Array& x, const std::vector<int64_t>& shape);
Array broadcast_to(const Array& x, const std::vector<int64_t>& shape);
Array fill(const std::vector<int64_t>& shape, double value);

}  // namespace kd::oracle
