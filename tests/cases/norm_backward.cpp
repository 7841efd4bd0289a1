// batch_norm_backward, batch_norm_relu_backward: mean and variance are those of x.
#include "cases/norm_common.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

Fill mean_of(size_t x) {
  return [x](Array& leaf, Random&, std::span<const Array> earlier) {
    leaf = oracle::batch_statistics(earlier[x]).mean;
  };
}
Fill variance_of(size_t x) {
  return [x](Array& leaf, Random&, std::span<const Array> earlier) {
    leaf = oracle::batch_statistics(earlier[x]).var;
  };
}

Case backward(const NormSizes& sizes) {
  const BatchNormAttrs attrs = sizes.attrs;
  const Shape c{sizes.x[3]};
  Case made;
  made.name = "batch_norm_backward_" + sizes.name;
  made.leaves = {f32("dy", sizes.x), f32("x", sizes.x, sizes.fill),
                 f32("gamma", c, uniform(0.5, 2)), f32("mean", c, mean_of(1)),
                 f32("var", c, variance_of(1))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("batch_norm_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const auto made_gradient =
        oracle::batch_norm_backward(in[0], in[1], {in[2], in[2], in[3], in[4], attrs.eps});
    return {made_gradient.dx, made_gradient.dgamma, made_gradient.dbeta};
  };
  made.tolerance = {.a = 16, .b = 2, .length = sizes.rows()};
  made.blocked = sizes.blocked();
  return made;
}

// y's sign tells where the ReLU let the gradient through; y > 0 for about half of the elements.
Case relu_backward(const NormSizes& sizes) {
  const BatchNormReluGradAttrs attrs{sizes.attrs.eps, sizes.residual};
  const Shape c{sizes.x[3]};
  const Fill rectified = [](Array& leaf, Random& random, std::span<const Array>) {
    normal()(leaf, random, {});
    leaf = oracle::activation(leaf, "relu");
  };
  Case made;
  made.name = "batch_norm_relu_backward_" + sizes.name;
  made.leaves = {f32("dy", sizes.x),
                 f32("y", sizes.x, rectified),
                 f32("x", sizes.x, sizes.fill),
                 f32("gamma", c, uniform(0.5, 2)),
                 f32("mean", c, mean_of(2)),
                 f32("var", c, variance_of(2))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("batch_norm_relu_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const Array dy = oracle::activation_backward(in[0], in[1], "relu");
    const auto through =
        oracle::batch_norm_backward(dy, in[2], {in[3], in[3], in[4], in[5], attrs.eps});
    Arrays results{through.dx, through.dgamma, through.dbeta};
    if (attrs.residual) results.push_back(dy);
    return results;
  };
  made.tolerance = {.a = 16, .b = 2, .length = sizes.rows()};
  made.blocked = sizes.blocked();
  return made;
}

}  // namespace

std::vector<Case> norm_backward_cases() {
  std::vector<Case> cases;
  for (const NormSizes& sizes : norm_sizes()) {
    cases.push_back(backward(sizes));
    cases.push_back(relu_backward(sizes));
  }
  return cases;
}

}  // namespace kd::test
