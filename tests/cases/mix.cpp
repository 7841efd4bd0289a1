// mix_images, resize_images.
#include "oracle/mix.h"

#include "cases/case.h"
#include "kd/mix_ops.h"

namespace kd::test {
namespace {

struct Mixed {
  std::string name;
  Shape x;                                      // (N, H, W, C)
  std::vector<double> partners, shares, boxes;  // again and again
};

Case mixed_case(const Mixed& of) {
  Case made;
  made.name = "mix_images_" + of.name;
  const int64_t images = of.x[0];
  made.leaves = {f32("x", of.x, outliers()), i32("partners", {images}, listed(of.partners)),
                 f32("shares", {images}, listed(of.shares)),
                 i32("boxes", {images, 4}, listed(of.boxes))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {mix_images(graph, in[0], in[1], in[2], in[3])};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    return {oracle::mix_images(in[0], in[1], in[2], in[3])};
  };
  const bool copied = of.boxes.size() == 4 && of.boxes[2] > 0;  // every picture has a box
  made.tolerance = copied ? Tolerance{.a = 0, .b = 0, .roundings = 0} : Tolerance{};
  return made;
}

struct Resized {
  std::string name;
  Shape x;                  // (N, H, W, C)
  std::array<int, 2> size;  // h, w
};

Case resized_case(const Resized& of) {
  Case made;
  made.name = "resize_images_" + of.name;
  made.leaves = {f32("x", of.x, outliers())};
  made.build = [of](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {resize_images(graph, in[0], {of.size})};
  };
  made.oracle = [of](const Arrays& in) -> Arrays {
    return {oracle::resize_images(in[0], of.size[0], of.size[1])};
  };
  const bool copied = of.x[1] == of.size[0] && of.x[2] == of.size[1];
  made.tolerance = copied ? Tolerance{.a = 0, .b = 0, .roundings = 0} : Tolerance{};
  return made;
}

}  // namespace

std::vector<Case> mix_cases() {
  const std::vector<double> none{0, 0, 0, 0};
  std::vector<Case> cases;
  for (const Mixed& of : {
           Mixed{"blended", {3, 5, 7, 3}, {1, 2, 0}, {0.25, 0.8, 0.5}, none},
           Mixed{"blended_with_itself", {2, 4, 4, 8}, {0, 1}, {0.3}, none},
           Mixed{"left_alone", {3, 4, 4, 3}, {0, 1, 2}, {1}, none},
           Mixed{"share_zero", {2, 8, 8, 3}, {1, 0}, {0}, none},
           Mixed{"pasted", {3, 8, 8, 3}, {2, 0, 1}, {0.5}, {2, 1, 3, 5}},
           Mixed{"pasted_odd", {3, 5, 7, 3}, {2, 0, 1}, {0.5}, {0, 2, 5, 1}},
           Mixed{"pasted_whole", {2, 8, 4, 8}, {1, 0}, {0}, {0, 0, 8, 4}},
           Mixed{"over_the_edges", {2, 6, 8, 4}, {1, 0}, {0.5}, {-2, -3, 5, 100}},
           Mixed{"box_of_no_width", {2, 4, 4, 4}, {1, 0}, {0.5}, {1, 1, 2, 0}},
           Mixed{"one_pixel_box", {2, 9, 5, 1}, {1, 1}, {0.5}, {8, 4, 1, 1}},
           Mixed{"both", {4, 8, 6, 8}, {3, 3, 0, 1}, {0.1, 0.9}, {1, 1, 4, 2, 0, 0, 0, 0}},
           Mixed{"one_picture", {1, 1, 1, 1}, {0}, {0.5}, none},
           Mixed{"several_tiles", {2, 40, 33, 8}, {1, 0}, {0.6, 0.4}, {5, 7, 21, 19, 0, 0, 0, 0}},
       }) {
    cases.push_back(mixed_case(of));
  }
  for (const Resized& of : {
           Resized{"doubled", {2, 8, 8, 3}, {16, 16}},
           Resized{"halved", {3, 8, 10, 3}, {4, 5}},
           Resized{"equal", {2, 7, 49, 3}, {7, 49}},
           Resized{"one_side", {2, 6, 5, 8}, {6, 13}},
           Resized{"larger_and_smaller", {2, 5, 23, 4}, {11, 7}},
           Resized{"odd", {2, 13, 7, 3}, {9, 17}},
           Resized{"shrunk_by_less_than_two", {1, 17, 19, 8}, {16, 13}},
           Resized{"shrunk_much", {2, 40, 33, 3}, {3, 2}},
           Resized{"one_pixel_made", {2, 9, 5, 4}, {1, 1}},
           Resized{"of_one_pixel", {3, 1, 1, 3}, {5, 4}},
           Resized{"one_row", {2, 1, 12, 1}, {3, 4}},
           Resized{"several_tiles", {2, 24, 20, 4}, {33, 40}},
           Resized{"many_channels", {1, 6, 6, 24}, {4, 9}},
       }) {
    cases.push_back(resized_case(of));
  }
  return cases;
}

}  // namespace kd::test
