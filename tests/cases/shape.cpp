// reshape, stop_gradient, transpose, concat, slice, slice_backward, pad, channel_shuffle: they move
// elements exactly.
#include "oracle/shape.h"

#include "cases/case.h"
#include "kd/term_ops.h"

namespace kd::test {
namespace {

constexpr Tolerance kExact{.a = 0, .b = 0};

bool blocked_channels(const Shape& x) { return x.rank() == 4 && (x[3] == 16 || x[3] == 24); }

Case reshape_case(std::string name, Shape x, std::vector<int64_t> dims,
                  std::vector<int64_t> made_dims) {
  Case made;
  made.name = "reshape_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [dims](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {reshape(graph, in[0], dims)};
  };
  made.oracle = [made_dims](const Arrays& in) -> Arrays {
    return {oracle::reshape(in[0], made_dims)};
  };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

Case transpose_case(std::string name, Shape x, std::vector<int64_t> axes) {
  Case made;
  made.name = "transpose_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [axes](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {transpose(graph, in[0], axes)};
  };
  made.oracle = [axes](const Arrays& in) -> Arrays { return {oracle::transpose(in[0], axes)}; };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

// x stop(x) between ops, where it may be done in place: differences of the oracle, which has a
// second x, see what the gradient must be.
Case stop_case() {
  Case made;
  made.name = "stop_gradient_of_a_factor";
  const Fill as_first = [](Array& leaf, Random&, std::span<const Array> earlier) {
    leaf.data = earlier[0].data;
  };
  made.leaves = {trained(f32("x", {5, 7})), f32("stopped", {5, 7}, as_first)};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const Value stopped = stop_gradient(graph, affine(graph, in[0], 2, 1));
    return {mul(graph, in[0], affine(graph, stopped, 0.5)), stop_gradient(graph, in[0])};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    Array y = in[0];
    for (int64_t i = 0; i < y.size(); ++i) y.at(i) *= in[1].at(i) + 0.5;
    return {y, in[1]};
  };
  return made;
}

Case concat_case(std::string name, const std::vector<Shape>& parts, int axis) {
  Case made;
  made.name = "concat_" + name;
  for (size_t i = 0; i < parts.size(); ++i) {
    made.leaves.push_back(trained(f32("part" + std::to_string(i), parts[i])));
    made.blocked = made.blocked || blocked_channels(parts[i]);
  }
  made.build = [axis](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {concat(graph, in, axis)};
  };
  made.oracle = [axis](const Arrays& in) -> Arrays {
    return {oracle::concat(in, static_cast<size_t>(axis))};
  };
  made.tolerance = kExact;
  return made;
}

std::vector<oracle::Range> ranges(const SliceAttrs& attrs) {
  std::vector<oracle::Range> made;
  for (size_t i = 0; i < attrs.axes.size(); ++i) {
    made.push_back(
        {static_cast<size_t>(attrs.axes[i]), attrs.begin[i], attrs.end[i], attrs.step[i]});
  }
  return made;
}

Case slice_case(std::string name, Shape x, const SliceAttrs& attrs) {
  Case made;
  made.name = "slice_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {slice(graph, in[0], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::slice(in[0], ranges(attrs))};
  };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

Case slice_backward_case(std::string name, Shape x, const SliceAttrs& attrs) {
  SliceGradAttrs gradient{attrs, {}};
  for (const int64_t axis : attrs.axes) gradient.extent.push_back(x[static_cast<int>(axis)]);
  const Array dy = oracle::slice(Array::zeros(dims_of(x)), ranges(attrs));
  Case made;
  made.name = "slice_backward_" + name;
  made.leaves = {f32("dy", Shape(std::span<const int64_t>(dy.shape)))};
  made.build = [gradient](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("slice_backward"), in, gradient);
  };
  made.oracle = [=](const Arrays& in) -> Arrays {
    return {oracle::slice_backward(in[0], ranges(attrs), dims_of(x))};
  };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

Case pad_case(std::string name, Shape x, const PadAttrs& attrs) {
  Case made;
  made.name = "pad_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {pad(graph, in[0], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    std::vector<oracle::Margin> margins;
    for (size_t i = 0; i < attrs.axes.size(); ++i) {
      margins.push_back({static_cast<size_t>(attrs.axes[i]), attrs.before[i], attrs.after[i]});
    }
    return {oracle::pad(in[0], margins)};
  };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

Case shuffle_case(std::string name, Shape x, int groups) {
  Case made;
  made.name = "channel_shuffle_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [groups](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {channel_shuffle(graph, in[0], groups)};
  };
  made.oracle = [groups](const Arrays& in) -> Arrays {
    return {oracle::channel_shuffle(in[0], groups)};
  };
  made.tolerance = kExact;
  made.blocked = blocked_channels(x);
  return made;
}

void add_slices(std::vector<Case>& cases) {
  struct Sliced {
    std::string name;
    Shape x;
    SliceAttrs attrs;
  };
  for (const auto& [name, x, attrs] : {
           Sliced{"half_the_channels", {2, 3, 3, 16}, {{3}, {8}, {16}, {1}}},
           Sliced{"odd_channels_c24", {1, 3, 3, 24}, {{3}, {5}, {18}, {1}}},
           Sliced{"every_other_pixel", {2, 5, 6, 16}, {{1, 2}, {0, 1}, {5, 6}, {2, 2}}},
           Sliced{"steps_of_3", {1, 8, 4, 3}, {{1, 3}, {1, 0}, {8, 2}, {3, 1}}},
           Sliced{"rows", {5, 7}, {{0}, {1}, {4}, {1}}},
           Sliced{"one_column", {3, 9}, {{1}, {8}, {9}, {1}}},
           Sliced{"vector", {11}, {{0}, {2}, {11}, {4}}},
           Sliced{"rank5", {2, 3, 2, 3, 4}, {{4, 1}, {1, 0}, {4, 2}, {2, 1}}},
       }) {
    cases.push_back(slice_case(name, x, attrs));
    cases.push_back(slice_backward_case(name, x, attrs));
  }
}

// Rows of all units that a copy may be made of, over several blocks.
void add_blocks(std::vector<Case>& cases) {
  std::vector<Case> added{
      reshape_case("blocks", {3, 1371}, {-1}, {4113}),
      concat_case("blocks_c16", {{2, 9, 17, 16}, {2, 9, 17, 24}}, 3),
      concat_case("blocks_odd", {{3, 701}, {3, 706}}, 1),
      concat_case("blocks_pictures", {{3, 5, 7, 12}, {1, 5, 7, 12}}, 0),
      pad_case("blocks_c8_to_c16", {2, 11, 13, 8}, {{3}, {0}, {8}}),
      pad_case("blocks_pixels", {2, 9, 11, 24}, {{1, 2}, {2, 1}, {2, 1}}),
      pad_case("blocks_odd", {5, 300}, {{0, 1}, {1, 3}, {2, 7}}),
      shuffle_case("blocks_c24_groups2", {2, 9, 9, 24}, 2),
      shuffle_case("blocks_c58_groups2", {1, 9, 9, 58}, 2),
      transpose_case("blocks_channels_first", {2, 9, 17, 24}, {0, 3, 1, 2}),
      transpose_case("blocks_rows_of_vectors", {9, 31, 16}, {1, 0, 2}),
      transpose_case("blocks_odd", {67, 41}, {1, 0}),
  };
  for (const int64_t begin : {1, 2, 4, 8}) {
    const SliceAttrs attrs{{3}, {begin}, {24 + begin}, {1}};
    const std::string name = "blocks_from_" + std::to_string(begin);
    added.push_back(slice_case(name, {2, 7, 7, 40}, attrs));
    added.push_back(slice_backward_case(name, {2, 7, 7, 40}, attrs));
  }
  for (Case& made : added) {  // the oracle's differences would take long
    for (Leaf& leaf : made.leaves) leaf.differentiable = false;
    made.blocked = false;
    cases.push_back(std::move(made));
  }
}

// Other types than floats.
Case typed(Case made, DType dtype) {
  made.name += "_" + std::string(name_of(dtype));
  for (Leaf& leaf : made.leaves) {
    leaf.desc.dtype = dtype;
    leaf.fill = whole_numbers(0, 255);
    leaf.differentiable = false;
  }
  made.blocked = false;
  made.f32_only = true;
  return made;
}

void add_types(std::vector<Case>& cases) {
  for (const DType dtype : {DType::u8, DType::i32, DType::i64}) {
    cases.push_back(typed(reshape_case("typed", {3, 37}, {-1}, {111}), dtype));
    cases.push_back(typed(concat_case("typed", {{3, 5, 4}, {3, 5, 8}}, 2), dtype));
    cases.push_back(typed(transpose_case("typed", {3, 8, 4}, {2, 0, 1}), dtype));
    cases.push_back(typed(pad_case("typed", {3, 16}, {{0, 1}, {1, 16}, {0, 3}}), dtype));
    cases.push_back(typed(slice_case("typed", {7, 32}, {{0, 1}, {1, 8}, {7, 24}, {2, 1}}), dtype));
  }
}

}  // namespace

std::vector<Case> shape_cases() {
  std::vector<Case> cases{
      reshape_case("flatten", {2, 3, 5, 16}, {-1, 240}, {2, 240}),
      reshape_case("unflatten", {6, 20}, {2, 3, -1, 5}, {2, 3, 4, 5}),
      reshape_case("scalar", {1}, {}, {}),
      reshape_case("rank5", {2, 6, 10}, {2, 3, 2, 5, 2}, {2, 3, 2, 5, 2}),
      concat_case("channels", {{2, 3, 3, 16}, {2, 3, 3, 24}}, 3),
      concat_case("odd_channels", {{1, 3, 5, 3}, {1, 3, 5, 10}, {1, 3, 5, 1}}, 3),
      concat_case("rows", {{2, 7}, {1, 7}, {3, 7}}, 0),
      concat_case("pictures_c16", {{1, 3, 3, 16}, {2, 3, 3, 16}}, 0),
      concat_case("height_c16", {{1, 2, 3, 16}, {1, 3, 3, 16}}, 1),
      concat_case("one_part", {{3, 4}}, 1),
      pad_case("channels_c16", {2, 3, 3, 16}, {{3}, {8}, {8}}),
      pad_case("uneven_channels_c24", {1, 3, 3, 24}, {{3}, {0}, {5}}),
      pad_case("pixels_c16", {1, 3, 4, 16}, {{1, 2}, {1, 0}, {2, 3}}),
      pad_case("matrix", {3, 5}, {{0, 1}, {2, 1}, {0, 7}}),
      pad_case("nothing", {3, 5}, {{0}, {0}, {0}}),
      shuffle_case("c16_groups2", {2, 3, 3, 16}, 2),
      shuffle_case("c24_groups3", {1, 3, 5, 24}, 3),
      shuffle_case("c10_groups5", {2, 1, 1, 10}, 5),
      shuffle_case("one_group", {1, 2, 2, 6}, 1),
      shuffle_case("all_groups", {1, 2, 2, 6}, 6),
  };
  for (const auto& [name, x, axes] :
       {std::tuple{"matrix", Shape{5, 7}, std::vector<int64_t>{1, 0}},
        std::tuple{"channels_first", Shape{2, 3, 5, 16}, std::vector<int64_t>{0, 3, 1, 2}},
        std::tuple{"nothing", Shape{2, 3, 3, 24}, std::vector<int64_t>{0, 1, 2, 3}},
        std::tuple{"rank5", Shape{2, 3, 4, 5, 2}, std::vector<int64_t>{3, 1, 4, 0, 2}},
        std::tuple{"ones", Shape{1, 6, 1, 4}, std::vector<int64_t>{2, 3, 0, 1}},
        std::tuple{"vector", Shape{9}, std::vector<int64_t>{0}},
        std::tuple{"scalar", Shape{}, std::vector<int64_t>{}}}) {
    cases.push_back(transpose_case(name, x, axes));
  }
  cases.push_back(stop_case());
  add_slices(cases);
  add_blocks(cases);
  add_types(cases);
  // One value in both places.
  Case twice{"concat_with_itself", {trained(f32("x", {1, 2, 3, 16}))}, {}, {}};
  twice.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {concat(graph, {in[0], in[0]}, 3)};
  };
  twice.oracle = [](const Arrays& in) -> Arrays { return {oracle::concat({in[0], in[0]}, 3)}; };
  twice.blocked = true;
  cases.push_back(twice);
  return cases;
}

}  // namespace kd::test
