// conv2d_dgrad, conv2d_wgrad.
#include "cases/conv_common.h"

namespace kd::test {
namespace {

Case dgrad_case(const ConvSizes& sizes) {
  const Conv2dGradAttrs attrs{sizes.attrs,
                              {static_cast<int>(sizes.x[1]), static_cast<int>(sizes.x[2])}};
  Case made;
  made.name = "conv2d_dgrad_" + sizes.name;
  made.leaves = {f32("dy", output_shape(sizes)), f32("w", sizes.w)};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("conv2d_dgrad"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {
        oracle::conv2d_dgrad(in[0], in[1], to_oracle(attrs.conv), attrs.size[0], attrs.size[1])};
  };
  made.tolerance.length = sizes.w[0] / sizes.attrs.groups * sizes.w[1] * sizes.w[2];
  return made;
}

Case wgrad_case(const ConvSizes& sizes) {
  const Conv2dGradAttrs attrs{sizes.attrs,
                              {static_cast<int>(sizes.w[1]), static_cast<int>(sizes.w[2])}};
  const Shape y = output_shape(sizes);
  Case made;
  made.name = "conv2d_wgrad_" + sizes.name;
  made.leaves = {f32("x", sizes.x), f32("dy", y)};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("conv2d_wgrad"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {
        oracle::conv2d_wgrad(in[0], in[1], to_oracle(attrs.conv), attrs.size[0], attrs.size[1])};
  };
  made.tolerance.length = y[0] * y[1] * y[2];
  return made;
}

}  // namespace

std::vector<Case> conv_backward_cases() {
  std::vector<Case> cases;
  for (const ConvSizes& sizes : conv_sizes()) {
    cases.push_back(dgrad_case(sizes));
    cases.push_back(wgrad_case(sizes));
  }
  return cases;
}

}  // namespace kd::test
