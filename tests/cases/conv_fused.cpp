// conv2d_bias_act.
#include "cases/conv_common.h"
#include "oracle/pointwise.h"

namespace kd::test {
namespace {

Case fused_case(const ConvSizes& sizes, Activation kind, bool with_residual) {
  const ConvBiasActAttrs attrs{sizes.attrs, kind};
  Case made;
  made.name = "conv2d_bias_act_" + sizes.name + "_" + std::string(name_of(kind)) +
              (with_residual ? "_residual" : "");
  made.leaves = {f32("x", sizes.x), f32("w", sizes.w), f32("bias", {sizes.w[0]})};
  if (with_residual) made.leaves.push_back(f32("residual", output_shape(sizes)));
  made.build = [=](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const Value residual = with_residual ? in[3] : Value{};
    return {conv2d_bias_act(graph, in[0], in[1], in[2], residual, attrs)};
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    Array y = oracle::conv2d(in[0], in[1], to_oracle(attrs.conv));
    y = oracle::add(y, in[2]);
    if (with_residual) y = oracle::add(y, in[3]);
    return {oracle::activation(y, std::string(name_of(kind)))};
  };
  made.tolerance.length = reduction(sizes) + 2;
  made.stays_f32 = {"-"};  // none: the bias has the type of the rest
  made.blocked = sizes.w[0] == 16 || sizes.w[0] == 24;
  return made;
}

}  // namespace

std::vector<Case> conv_fused_cases() {
  const std::array<int, 4> same{1, 1, 1, 1};
  const ConvSizes three{"3x3", {2, 6, 5, 16}, {16, 3, 3, 16}, {.pad = same}};
  const ConvSizes depthwise{"depthwise", {1, 7, 5, 24}, {24, 3, 3, 1}, {.pad = same, .groups = 24}};
  std::vector<Case> cases;
  for (const Activation kind :
       {Activation::none, Activation::relu, Activation::relu6, Activation::silu,
        Activation::sigmoid, Activation::hard_swish, Activation::hard_sigmoid}) {
    cases.push_back(fused_case(three, kind, false));
    cases.push_back(fused_case(depthwise, kind, false));
  }
  for (const Activation kind : {Activation::none, Activation::relu, Activation::silu}) {
    cases.push_back(fused_case(three, kind, true));
  }
  cases.push_back(
      fused_case({"odd", {1, 5, 7, 3}, {5, 3, 3, 3}, {.stride = {2, 1}, .pad = {0, 1, 1, 0}}},
                 Activation::relu, true));
  cases.push_back(fused_case({"1x1", {1, 1, 1, 10}, {24, 1, 1, 10}, {}}, Activation::relu, true));
  cases.push_back(fused_case({"groups", {2, 4, 4, 6}, {8, 3, 3, 3}, {.pad = same, .groups = 2}},
                             Activation::relu6, true));
  return cases;
}

}  // namespace kd::test
