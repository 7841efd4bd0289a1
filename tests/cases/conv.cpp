// conv2d.
#include "cases/conv_common.h"

namespace kd::test {
namespace {

Case conv_case(const ConvSizes& sizes, Fill fill) {
  const Conv2dAttrs attrs = sizes.attrs;
  Case made;
  made.name = "conv2d_" + sizes.name;
  made.leaves = {trained(f32("x", sizes.x, std::move(fill))), trained(f32("w", sizes.w))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {conv2d(graph, in[0], in[1], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::conv2d(in[0], in[1], to_oracle(attrs))};
  };
  const Shape y = output_shape(sizes);
  made.tolerance.length = reduction(sizes);
  made.tolerance.gradient_length = std::max(y[0] * y[1] * y[2], y[3] * sizes.w[1] * sizes.w[2]);
  return made;
}

}  // namespace

std::vector<Case> conv_cases() {
  std::vector<Case> cases;
  for (const ConvSizes& sizes : conv_sizes()) cases.push_back(conv_case(sizes, normal()));
  cases.push_back(
      conv_case({"outliers", {2, 6, 6, 16}, {16, 3, 3, 16}, {.pad = {1, 1, 1, 1}}}, outliers()));
  return cases;
}

}  // namespace kd::test
