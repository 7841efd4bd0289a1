#include "cases/conv_common.h"

namespace kd::test {

oracle::Convolution to_oracle(const Conv2dAttrs& attrs) {
  return {attrs.stride[0], attrs.stride[1], attrs.dilation[0], attrs.dilation[1], attrs.pad[0],
          attrs.pad[1],    attrs.pad[2],    attrs.pad[3],      attrs.groups};
}

Shape output_shape(const ConvSizes& sizes) {
  const auto side = [&](int axis) {
    const auto at = static_cast<size_t>(axis);
    const int64_t reach = sizes.attrs.dilation[at] * (sizes.w[axis + 1] - 1) + 1;
    const int64_t padded = sizes.x[axis + 1] + sizes.attrs.pad[at] + sizes.attrs.pad[at + 2];
    return (padded - reach) / sizes.attrs.stride[at] + 1;
  };
  return {sizes.x[0], side(0), side(1), sizes.w[0]};
}

int64_t reduction(const ConvSizes& sizes) { return sizes.w[1] * sizes.w[2] * sizes.w[3]; }

std::vector<ConvSizes> conv_sizes() {
  const std::array<int, 4> same{1, 1, 1, 1};
  return {
      {"1x1", {2, 5, 7, 16}, {10, 1, 1, 16}, {}},
      {"1x1_stride2", {1, 7, 5, 16}, {24, 1, 1, 16}, {.stride = {2, 2}}},
      {"one_pixel", {3, 1, 1, 10}, {7, 1, 1, 10}, {}},
      {"one_pixel_3x3", {1, 1, 1, 16}, {16, 3, 3, 16}, {.pad = same}},
      {"3x3", {2, 6, 5, 16}, {16, 3, 3, 16}, {.pad = same}},
      {"3x3_odd", {1, 7, 9, 3}, {5, 3, 3, 3}, {.pad = same}},
      {"3x3_stride2", {2, 9, 7, 10}, {16, 3, 3, 10}, {.stride = {2, 2}, .pad = same}},
      {"3x3_stride2_even", {1, 8, 8, 16}, {24, 3, 3, 16}, {.stride = {2, 2}, .pad = same}},
      {"3x3_no_pad", {1, 5, 6, 3}, {4, 3, 3, 3}, {}},
      {"7x7_stem", {1, 13, 11, 3}, {16, 7, 7, 3}, {.stride = {2, 2}, .pad = {3, 3, 3, 3}}},
      {"asymmetric_pad", {1, 6, 7, 3}, {10, 3, 3, 3}, {.stride = {2, 2}, .pad = {0, 0, 1, 1}}},
      {"uneven_pad", {1, 5, 5, 4}, {3, 3, 5, 4}, {.pad = {2, 0, 1, 3}}},
      {"dilated", {1, 9, 8, 3}, {10, 3, 3, 3}, {.dilation = {2, 3}, .pad = {2, 3, 2, 3}}},
      {"strides_differ", {1, 8, 9, 3}, {4, 2, 3, 3}, {.stride = {3, 1}}},
      {"groups", {2, 5, 6, 12}, {9, 3, 3, 4}, {.pad = same, .groups = 3}},
      {"groups_of_16", {1, 5, 5, 32}, {32, 3, 3, 16}, {.pad = same, .groups = 2}},
      {"depthwise", {2, 7, 6, 10}, {10, 3, 3, 1}, {.pad = same, .groups = 10}},
      {"depthwise_stride2",
       {1, 9, 9, 16},
       {16, 3, 3, 1},
       {.stride = {2, 2}, .pad = same, .groups = 16}},
      {"depthwise_multiplied", {1, 5, 5, 6}, {12, 3, 3, 1}, {.pad = same, .groups = 6}},
      {"depthwise_5x5", {1, 6, 7, 24}, {24, 5, 5, 1}, {.pad = {2, 2, 2, 2}, .groups = 24}},
      {"1x7", {1, 5, 9, 3}, {4, 1, 7, 3}, {.pad = {0, 3, 0, 3}}},
      {"downsample_1x1", {2, 10, 10, 16}, {32, 1, 1, 16}, {.stride = {2, 2}}},
      {"downsample_1x1_odd", {2, 9, 7, 10}, {20, 1, 1, 10}, {.stride = {2, 2}}},
      {"stride_beyond_kernel_8", {1, 9, 9, 4}, {8, 1, 1, 4}, {.stride = {3, 3}}},
      {"stride_beyond_kernel", {1, 9, 9, 4}, {6, 1, 1, 4}, {.stride = {3, 3}}},
  };
}

}  // namespace kd::test
