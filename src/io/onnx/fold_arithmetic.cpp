// Folding of arithmetic on constants: shapes of exporters, weights in other numbers.
#include <algorithm>
#include <cmath>
#include <functional>
#include <map>

#include "io/onnx/fold.h"
#include "kd/dtype.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

using Arrays = std::vector<Array>;
using Binary = double (*)(double, double);
using Unary = double (*)(double);

void push(Array& y, double value) {
  if (y.integer) {
    y.integers.push_back(static_cast<int64_t>(std::clamp(value, -9.2e18, 9.2e18)));
  } else {
    y.reals.push_back(static_cast<float>(value));
  }
}

// Integers are exact below 2^53, which no shape exceeds.
Array zip(const FoldCall& call, const Array& a, const Array& b,
          const std::function<double(double, double)>& f) {
  Array y{broadcast_dims(call.node, a.dims, b.dims), a.integer && b.integer};
  const int64_t count = checked_count(y.dims, label(call.node));
  if (a.uniform() && b.uniform()) return Array::filled(y.dims, f(a.at(0), b.at(0)), y.integer);
  check_folded_size(call, count);
  const Array wide_a = broadcast(a, y.dims), wide_b = broadcast(b, y.dims);
  for (int64_t i = 0; i < count; ++i) push(y, f(wide_a.at(i), wide_b.at(i)));
  return y;
}

double modulo(double a, double b) { return b == 0 ? 0 : a - b * std::floor(a / b); }
double c_modulo(double a, double b) { return b == 0 ? 0 : std::fmod(a, b); }

const std::map<std::string, Binary>& binaries() {
  static const std::map<std::string, Binary> kTable{
      {"Add", [](double a, double b) { return a + b; }},
      {"Sub", [](double a, double b) { return a - b; }},
      {"Mul", [](double a, double b) { return a * b; }},
      {"Div", [](double a, double b) { return a / b; }},
      {"Pow", [](double a, double b) { return std::pow(a, b); }},
      {"Min", [](double a, double b) { return std::min(a, b); }},
      {"Max", [](double a, double b) { return std::max(a, b); }},
      {"Mod", modulo},
      {"Equal", [](double a, double b) { return a == b ? 1.0 : 0.0; }},
      {"Less", [](double a, double b) { return a < b ? 1.0 : 0.0; }},
      {"LessOrEqual", [](double a, double b) { return a <= b ? 1.0 : 0.0; }},
      {"Greater", [](double a, double b) { return a > b ? 1.0 : 0.0; }},
      {"GreaterOrEqual", [](double a, double b) { return a >= b ? 1.0 : 0.0; }},
      {"And", [](double a, double b) { return a != 0 && b != 0 ? 1.0 : 0.0; }},
      {"Or", [](double a, double b) { return a != 0 || b != 0 ? 1.0 : 0.0; }}};
  return kTable;
}

const std::map<std::string, Unary>& unaries() {
  static const std::map<std::string, Unary> kTable{
      {"Neg", [](double x) { return -x; }},
      {"Abs", [](double x) { return std::abs(x); }},
      {"Sqrt", [](double x) { return std::sqrt(x); }},
      {"Exp", [](double x) { return std::exp(x); }},
      {"Log", [](double x) { return std::log(x); }},
      {"Floor", [](double x) { return std::floor(x); }},
      {"Ceil", [](double x) { return std::ceil(x); }},
      {"Reciprocal", [](double x) { return 1 / x; }},
      {"Not", [](double x) { return x == 0 ? 1.0 : 0.0; }}};
  return kTable;
}

bool is_comparison(const std::string& op) {
  return op == "Equal" || op == "And" || op == "Or" || op.starts_with("Less") ||
         op.starts_with("Greater");
}

Arrays binary(const FoldCall& call) {
  const std::string& op = call.node.op_type();
  const bool of_c = op == "Mod" && call.attributes.integer("fmod", 0) != 0;
  const Binary f = of_c ? c_modulo : binaries().at(op);
  Array y = call.in(0);
  for (size_t i = 1; i < call.inputs.size(); ++i) {
    const bool integers = y.integer && call.in(i).integer;
    y = zip(call, y, call.in(i), [&](double a, double b) {
      KD_CHECK(!integers || b != 0 || (op != "Div" && op != "Mod"), "{}: division by zero",
               label(call.node));
      const double value = f(a, b);
      return integers && op == "Div" ? std::trunc(value) : value;
    });
  }
  if (is_comparison(op) && !y.integer) {
    y.integers.assign(y.reals.begin(), y.reals.end());
    y.reals.clear();
    y.integer = true;
  }
  return {y};
}

Arrays unary(const FoldCall& call) {
  const Unary f = unaries().at(call.node.op_type());
  Array y = call.in(0);
  for (float& x : y.reals) x = static_cast<float>(f(x));
  for (int64_t& x : y.integers) x = static_cast<int64_t>(f(static_cast<double>(x)));
  return {y};
}

Arrays where(const FoldCall& call) {
  const Array &condition = call.in(0), &a = call.in(1), &b = call.in(2);
  Array y{broadcast_dims(call.node, condition.dims, broadcast_dims(call.node, a.dims, b.dims)),
          a.integer};
  const int64_t count = checked_count(y.dims, label(call.node));
  check_folded_size(call, count);
  const Array c = broadcast(condition, y.dims), p = broadcast(a, y.dims), q = broadcast(b, y.dims);
  for (int64_t i = 0; i < count; ++i) push(y, c.at(i) != 0 ? p.at(i) : q.at(i));
  return {y};
}

Arrays cast(const FoldCall& call) {
  Array y = call.in(0);
  const auto to = static_cast<int>(call.attributes.integer("to", onnx::TensorProto::FLOAT));
  const bool boolean = to == onnx::TensorProto::BOOL;
  if (is_integer_type(to) && !y.integer) {
    Array whole{y.dims, true};
    for (const float x : y.reals) push(whole, boolean ? (x != 0 ? 1 : 0) : std::trunc(x));
    y = whole;
  } else if (!is_integer_type(to) && y.integer) {
    y.reals.assign(y.integers.begin(), y.integers.end());
    y.integers.clear();
    y.integer = false;
  }
  for (float& x : y.reals) {
    if (to == onnx::TensorProto::FLOAT16) x = f16_to_f32(f32_to_f16(x));
    if (to == onnx::TensorProto::BFLOAT16) x = bf16_to_f32(f32_to_bf16(x));
  }
  if (boolean) {
    for (int64_t& x : y.integers) x = x != 0 ? 1 : 0;
  }
  return {y};
}

Arrays range(const FoldCall& call) {
  const double start = call.in(0).at(0), limit = call.in(1).at(0), delta = call.in(2).at(0);
  const double count = delta == 0 ? 0 : std::max(0.0, std::ceil((limit - start) / delta));
  KD_CHECK(count < 1 << 22, "{}: {} elements", label(call.node), count);
  Array y{{static_cast<int64_t>(count)}, call.in(0).integer};
  for (int64_t i = 0; i < y.dims[0]; ++i) push(y, start + static_cast<double>(i) * delta);
  return {y};
}

Arrays reduce(const FoldCall& call) {
  const Array& x = call.in(0);
  const std::string& op = call.node.op_type();
  std::vector<int> axes = axes_of(call.node, call.list(1, "axes"), x.dims.size());
  if (axes.empty() && call.attributes.integer("noop_with_empty_axes", 0) != 0) return {x};
  const bool keep = call.attributes.integer("keepdims", 1) != 0;
  std::vector<int> order;  // the kept axes, then the reduced ones
  std::vector<int64_t> dims, kept;
  int64_t group = 1;
  for (size_t i = 0; i < x.dims.size(); ++i) {
    const bool gone = axes.empty() || std::ranges::find(axes, static_cast<int>(i)) != axes.end();
    if (!gone) order.push_back(static_cast<int>(i));
    if (!gone || keep) dims.push_back(gone ? 1 : x.dims[i]);
  }
  for (size_t i = 0; i < x.dims.size(); ++i) {
    if (std::ranges::find(order, static_cast<int>(i)) != order.end()) continue;
    order.push_back(static_cast<int>(i));
    group *= x.dims[i];
  }
  KD_CHECK(group > 0, "{}: over no elements", label(call.node));
  check_folded_size(call, x.count());
  const Array sorted = permuted(x, order);
  Array y{dims, x.integer};
  const int64_t results = x.count() / group;
  for (int64_t i = 0; i < results; ++i) {
    double value = sorted.at(i * group);
    for (int64_t k = 1; k < group; ++k) {
      const double next = sorted.at(i * group + k);
      value = op == "ReduceProd"  ? value * next
              : op == "ReduceMax" ? std::max(value, next)
              : op == "ReduceMin" ? std::min(value, next)
                                  : value + next;
    }
    push(y, op == "ReduceMean" ? value / static_cast<double>(group) : value);
  }
  return {y};
}

// (x - zero point) * scale, per tensor or along an axis.
Arrays dequantize(const FoldCall& call) {
  const Array &x = call.in(0), &scale = call.in(1);
  const int64_t axis = call.attributes.integer("axis", 1);
  KD_CHECK(call.attributes.integer("block_size", 0) == 0,
           "{}: blocked quantisation is not supported", label(call.node));
  const auto along = [&](const Array& vector) {
    if (vector.count() == 1) return broadcast(reshaped(vector, {}), x.dims);
    const auto at = static_cast<size_t>(axis_of(call.node, axis, x.dims.size()));
    KD_CHECK(vector.dims.size() == 1 && vector.dims[0] == x.dims[at],
             "{}: {} scales for an axis of {}", label(call.node), vector.count(), x.dims[at]);
    std::vector<int64_t> dims(x.dims.size() - at, 1);
    dims[0] = vector.dims[0];
    return broadcast(reshaped(vector, dims), x.dims);
  };
  check_folded_size(call, x.count());
  const Array factor = along(scale);
  const Array zero = call.has(2) ? along(call.in(2)) : Array::filled(x.dims, 0, true);
  Array y{x.dims, false};
  for (int64_t i = 0; i < x.count(); ++i) push(y, (x.at(i) - zero.at(i)) * factor.at(i));
  return {y};
}

const std::map<std::string, FoldFunction>& others() {
  static const std::map<std::string, FoldFunction> kTable{
      {"Where", where},      {"Cast", cast},         {"Range", range},
      {"ReduceSum", reduce}, {"ReduceProd", reduce}, {"ReduceMax", reduce},
      {"ReduceMin", reduce}, {"ReduceMean", reduce}, {"DequantizeLinear", dequantize}};
  return kTable;
}

}  // namespace

FoldFunction find_arithmetic(const std::string& op) {
  if (binaries().contains(op)) return binary;
  if (unaries().contains(op)) return unary;
  const auto at = others().find(op);
  return at == others().end() ? nullptr : at->second;
}

std::vector<std::string> arithmetic_names() {
  std::vector<std::string> names;
  for (const auto& [name, f] : binaries()) names.push_back(name);
  for (const auto& [name, f] : unaries()) names.push_back(name);
  for (const auto& [name, f] : others()) names.push_back(name);
  return names;
}

}  // namespace kd::onnx_import
