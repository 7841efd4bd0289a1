// batch_norm_backward, batch_norm_relu_backward and its masked form: mean and variance are those of
// x.
#include <algorithm>

#include "cases/norm_common.h"
#include "oracle/mask.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

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
  Case made;
  made.name = "batch_norm_relu_backward_" + sizes.name;
  made.leaves = {f32("dy", sizes.x),
                 f32("y", sizes.x, rectified()),
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

// The same, told by a bit mask.
Case mask_backward(const NormSizes& sizes) {
  const Case of_y = relu_backward(sizes);
  Case made = of_y;
  made.name = "batch_norm_relu_mask_backward_" + sizes.name;
  const Fill signs = [x = sizes.x](Array& leaf, Random& random, std::span<const Array>) {
    Array y = Array::zeros(dims_of(x));
    normal()(y, random, {});
    leaf = oracle::sign_mask(y);
  };
  made.leaves[1] = {"mask", {DType::u8, {(sizes.x.elements() + 7) / 8}}, signs};
  made.build = [attrs = BatchNormReluGradAttrs{sizes.attrs.eps, sizes.residual}](
                   Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("batch_norm_relu_mask_backward"), in, attrs);
  };
  made.oracle = [of_y](const Arrays& in) -> Arrays {
    Arrays gated = in;
    Array ones = in[0];
    std::ranges::fill(ones.data, 1.0);
    gated[1] = oracle::apply_mask(ones, in[1]);
    return of_y.oracle(gated);
  };
  return made;
}

}  // namespace

std::vector<Case> norm_backward_cases() {
  std::vector<Case> cases;
  for (const NormSizes& sizes : norm_sizes()) {
    cases.push_back(backward(sizes));
    cases.push_back(relu_backward(sizes));
    cases.push_back(mask_backward(sizes));
  }
  return cases;
}

}  // namespace kd::test
