// activation, activation_backward.
#include <cmath>

#include "cases/case.h"
#include "kd/ops.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

constexpr Activation kKinds[] = {
    Activation::none,    Activation::relu,       Activation::relu6,       Activation::silu,
    Activation::sigmoid, Activation::hard_swish, Activation::hard_sigmoid};

// Values on both sides of every bend: -3, 0, 3, 6.
Case forward(Activation kind, Shape shape, const std::string& what, bool blocked) {
  const std::string name(name_of(kind));
  Case made;
  made.name = "activation_" + name + "_" + what;
  made.leaves = {trained(f32("x", shape, normal(4, 1)))};
  made.build = [kind](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {activation(graph, in[0], kind)};
  };
  made.oracle = [name](const Arrays& in) -> Arrays { return {oracle::activation(in[0], name)}; };
  made.blocked = blocked;
  return made;
}

// Exactly at the bends and far out, where exp overflows.
Case extremes(Activation kind) {
  Case made = forward(kind, {3, 7}, "extremes", false);
  made.leaves = {
      f32("x", {3, 7},
          listed({-3, -0.0, 0, 3, 6, 100, -100, 1e-30, -1e-30, 2.5, -2.5, NAN, INFINITY}))};
  return made;
}

Case backward(Activation kind, Shape shape, const std::string& what, bool blocked) {
  const std::string name(name_of(kind));
  Case made;
  made.name = "activation_backward_" + name + "_" + what;
  made.leaves = {f32("dy", shape), f32("saved", shape)};
  if (!activation_gradient_needs_input(kind)) {  // what the forward op put out
    made.leaves[1].fill = [name](Array& leaf, Random& random, std::span<const Array>) {
      normal(4, 1)(leaf, random, {});
      leaf = oracle::activation(leaf, name);
    };
  }
  made.build = [kind](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("activation_backward"), in, ActivationAttrs{kind});
  };
  made.oracle = [name](const Arrays& in) -> Arrays {
    return {oracle::activation_backward(in[0], in[1], name)};
  };
  made.blocked = blocked;
  return made;
}

// Saved values exactly at the bends, and NaN.
Case backward_extremes(Activation kind) {
  Case made = backward(kind, {3, 7}, "extremes", false);
  made.leaves[1].fill = listed({-3, -0.0, 0, 1, 3, 6, 100, -100, 1e-30, -1e-30, 2.5, NAN});
  return made;
}

// Of vectors of 4 or 8 elements: around one, and several blocks with a tail.
void add_vector_sizes(std::vector<Case>& cases, Activation kind) {
  for (const int64_t n : {1, 3, 4, 5, 8, 9, 4103}) {
    const std::string what = "n" + std::to_string(n);
    cases.push_back(forward(kind, {1, n}, what, false));
    cases.back().leaves[0].differentiable = false;
    cases.push_back(backward(kind, {1, n}, what, false));
  }
}

}  // namespace

std::vector<Case> activation_cases() {
  std::vector<Case> cases;
  for (const Activation kind : kKinds) {
    cases.push_back(forward(kind, {2, 3, 5, 16}, "c16", true));
    cases.push_back(forward(kind, {1, 3, 3, 24}, "c24", true));
    cases.push_back(forward(kind, {7, 11}, "matrix", false));
    cases.push_back(extremes(kind));
    cases.push_back(backward(kind, {2, 3, 5, 16}, "c16", true));
    cases.push_back(backward(kind, {1, 2, 3, 10}, "c10", false));
    cases.push_back(backward_extremes(kind));
    add_vector_sizes(cases, kind);
  }
  return cases;
}

}  // namespace kd::test
