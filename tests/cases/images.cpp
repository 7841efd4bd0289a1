// place_images.
#include "oracle/images.h"

#include "cases/case.h"
#include "kd/ops.h"

namespace kd::test {
namespace {

struct Placed {
  std::string name;
  Shape pixels;  // (N, h, w, C)
  ImagesAttrs attrs;
  std::vector<double> placements;  // top, left, mirrored of each picture, again and again
  std::vector<double> channels;    // where each channel goes
};

Case placed_case(const Placed& of) {
  Case made;
  made.name = "place_images_" + of.name;
  const int64_t channels = of.pixels[3];
  const Fill table = [of](Array& leaf, Random& random, std::span<const Array>) {
    normal()(leaf, random, {});
    for (size_t c = 0; c < of.channels.size(); ++c) leaf.data[c * 257 + 256] = of.channels[c];
  };
  made.leaves = {{"pixels", {DType::u8, of.pixels}, whole_numbers(0, 255)},
                 i32("placements", {of.pixels[0], 3}, listed(of.placements)),
                 f32("table", {channels, 257}, table)};
  made.build = [attrs = of.attrs](Graph& graph,
                                  const std::vector<Value>& in) -> std::vector<Value> {
    return {place_images(graph, in[0], in[1], in[2], attrs)};
  };
  made.oracle = [attrs = of.attrs](const Arrays& in) -> Arrays {
    Array y =
        oracle::place_images(in[0], in[1], in[2], {attrs.size[0], attrs.size[1], attrs.channels});
    for (double& value : y.data) value = rounded(attrs.to, value);
    return {y};
  };
  made.tolerance = {.a = 0, .b = 0};  // looked up, never computed
  made.f32_only = true;
  return made;
}

}  // namespace

std::vector<Case> images_cases() {
  const std::vector<double> rgb{0, 1, 2}, bgr{2, 1, 0};
  const std::vector<double> around{-4, -3, 0, 2, 1, 1, 4, 4, 1};
  std::vector<Case> cases;
  for (const Placed& of : {
           Placed{"f32", {3, 7, 9, 3}, {{5, 6}, 3, DType::f32}, {1, 2, 0, 0, 0, 1}, rgb},
           Placed{"f32_around", {3, 8, 8, 3}, {{8, 8}, 3, DType::f32}, around, bgr},
           Placed{"f16_padded_to_8", {3, 8, 8, 3}, {{8, 8}, 8, DType::f16}, around, bgr},
           Placed{"bf16_padded_to_4", {3, 7, 9, 3}, {{8, 5}, 4, DType::bf16}, around, rgb},
           Placed{"f32_padded_to_8", {2, 5, 5, 3}, {{5, 5}, 8, DType::f32}, {0, 0, 1}, rgb},
           Placed{"f32_padded_to_4", {2, 5, 5, 3}, {{3, 3}, 4, DType::f32}, {1, 1, 1}, {3, 0, 1}},
           Placed{"f16_three", {2, 6, 5, 3}, {{6, 5}, 3, DType::f16}, {0, 0, 0}, rgb},
           Placed{"grey", {4, 28, 28, 1}, {{28, 28}, 1, DType::f32}, {-2, 1, 0, 2, -1, 1}, {0}},
           Placed{"grey_bf16", {2, 9, 9, 1}, {{9, 9}, 8, DType::bf16}, {-2, 1, 1}, {0}},
           Placed{"one_pixel", {1, 1, 1, 3}, {{1, 1}, 4, DType::f16}, {0, 0, 0}, bgr},
           Placed{"several_tiles", {2, 40, 40, 3}, {{35, 37}, 8, DType::f16}, {3, 2, 1}, rgb},
           Placed{"far_outside", {1, 4, 4, 3}, {{4, 4}, 3, DType::f32}, {-90, 70, 1}, rgb},
           Placed{"many_channels",
                  {1, 4, 3, 6},
                  {{4, 3}, 7, DType::f32},
                  {0, 0, 1},
                  {6, 5, 4, 3, 2, 1}},
       }) {
    cases.push_back(placed_case(of));
  }
  return cases;
}

}  // namespace kd::test
