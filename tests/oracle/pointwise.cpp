#include "oracle/pointwise.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <stdexcept>

namespace kd::oracle {
namespace {

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

double derivative(double saved, const std::string& kind) {
  if (kind == "none") return 1;
  if (kind == "relu") return saved > 0 ? 1 : 0;
  if (kind == "relu6") return saved > 0 && saved < 6 ? 1 : 0;
  if (kind == "sigmoid") return saved * (1 - saved);
  if (kind == "hard_sigmoid") return saved > 0 && saved < 1 ? 1.0 / 6 : 0;
  if (kind == "silu") return sigmoid(saved) * (1 + saved * (1 - sigmoid(saved)));
  if (kind == "hard_swish") return saved <= -3 ? 0 : saved >= 3 ? 1 : (2 * saved + 3) / 6;
  throw std::invalid_argument("no activation " + kind);
}

// The element of an operand that meets element `index` of the broadcast result.
int64_t operand_index(const std::vector<int64_t>& result, int64_t index,
                      const std::vector<int64_t>& operand) {
  const std::vector<int64_t> where = coordinates(result, index);
  const size_t missing = result.size() - operand.size();
  int64_t at = 0;
  for (size_t axis = 0; axis < operand.size(); ++axis) {
    at = at * operand[axis] + (operand[axis] == 1 ? 0 : where[axis + missing]);
  }
  return at;
}

std::vector<int64_t> broadcast(std::vector<int64_t> a, std::vector<int64_t> b) {
  if (a.size() < b.size()) std::swap(a, b);
  const size_t missing = a.size() - b.size();
  for (size_t axis = 0; axis < b.size(); ++axis) {
    if (a[axis + missing] == 1) a[axis + missing] = b[axis];
  }
  return a;
}

template <class Function>
Array combined(const Array& a, const Array& b, const Function& function) {
  Array y = Array::zeros(broadcast(a.shape, b.shape));
  for (int64_t i = 0; i < y.size(); ++i) {
    y.at(i) = function(a.at(operand_index(y.shape, i, a.shape)),
                       b.at(operand_index(y.shape, i, b.shape)));
  }
  return y;
}

}  // namespace

double activation(double x, const std::string& kind) {
  const double hard = std::min(std::max(x / 6 + 0.5, 0.0), 1.0);
  if (kind == "none") return x;
  if (kind == "relu") return std::max(x, 0.0);
  if (kind == "relu6") return std::min(std::max(x, 0.0), 6.0);
  if (kind == "silu") return x * sigmoid(x);
  if (kind == "sigmoid") return sigmoid(x);
  if (kind == "hard_swish") return x * hard;
  if (kind == "hard_sigmoid") return hard;
  throw std::invalid_argument("no activation " + kind);
}

Array activation(const Array& x, const std::string& kind) {
  Array y = x;
  for (double& value : y.data) value = activation(value, kind);
  return y;
}

Array activation_backward(const Array& dy, const Array& saved, const std::string& kind) {
  Array dx = dy;
  for (int64_t i = 0; i < dx.size(); ++i) dx.at(i) *= derivative(saved.at(i), kind);
  return dx;
}

Array add(const Array& a, const Array& b) { return combined(a, b, std::plus<>()); }
Array mul(const Array& a, const Array& b) { return combined(a, b, std::multiplies<>()); }
Array div(const Array& a, const Array& b) { return combined(a, b, std::divides<>()); }

Array affine(const Array& x, double factor, double offset) {
  Array y = x;
  for (double& value : y.data) value = factor * value + offset;
  return y;
}

Array exp(const Array& x) {
  Array y = x;
  for (double& value : y.data) value = std::exp(value);
  return y;
}

Array log(const Array& x) {
  Array y = x;
  for (double& value : y.data) value = std::log(value);
  return y;
}

Array sqrt(const Array& x) {
  Array y = x;
  for (double& value : y.data) value = std::sqrt(value);
  return y;
}

Array sum_to(const Array& x, const std::vector<int64_t>& shape) {
  Array y = Array::zeros(shape);
  for (int64_t i = 0; i < x.size(); ++i) y.at(operand_index(x.shape, i, shape)) += x.at(i);
  return y;
}

Array broadcast_to(const Array& x, const std::vector<int64_t>& shape) {
  Array y = Array::zeros(shape);
  for (int64_t i = 0; i < y.size(); ++i) y.at(i) = x.at(operand_index(shape, i, x.shape));
  return y;
}

Array fill(const std::vector<int64_t>& shape, double value) {
  Array y = Array::zeros(shape);
  for (double& element : y.data) element = value;
  return y;
}

}  // namespace kd::oracle
