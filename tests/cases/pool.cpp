// max_pool, avg_pool, global_avg_pool and their gradients.
#include "oracle/pool.h"

#include "cases/case.h"
#include "cases/norm_common.h"

namespace kd::test {
namespace {

oracle::Pooling to_oracle(const PoolAttrs& attrs) {
  return {attrs.window[0], attrs.window[1],        attrs.stride[0], attrs.stride[1],
          attrs.pad[0],    attrs.pad[1],           attrs.pad[2],    attrs.pad[3],
          attrs.ceil_mode, attrs.count_include_pad};
}

struct PoolSizes {
  std::string name;
  Shape x;
  PoolAttrs attrs;
  PoolGradAttrs gradient_attrs() const {
    return {attrs, {static_cast<int>(x[1]), static_cast<int>(x[2])}};
  }
  Shape y() const {
    const auto [h, w] = pooled_size(attrs, x[1], x[2]);
    return {x[0], h, w, x[3]};
  }
  bool blocked() const { return x[3] == 16 || x[3] == 24; }
};

std::vector<PoolSizes> pool_sizes() {
  const std::array<int, 4> same{1, 1, 1, 1};
  return {
      {"2x2", {2, 6, 4, 16}, {}},
      {"2x2_odd", {1, 7, 5, 10}, {}},
      {"2x2_ceil", {1, 7, 5, 3}, {.ceil_mode = true}},
      {"3x3_stem", {1, 9, 7, 16}, {{3, 3}, {2, 2}, same}},
      {"3x3_stem_c24", {1, 8, 8, 24}, {{3, 3}, {2, 2}, same}},
      {"3x3_ceil_pad", {2, 6, 8, 3}, {{3, 3}, {2, 2}, same, true}},
      {"3x3_ceil_far", {1, 6, 6, 10}, {{2, 2}, {3, 3}, {0, 0, 0, 0}, true}},
      {"3x3_overlap", {1, 5, 6, 3}, {{3, 3}, {1, 1}, same}},
      {"uneven", {1, 6, 7, 5}, {{3, 2}, {2, 1}, {0, 1, 2, 0}}},
      {"whole", {2, 4, 3, 16}, {{4, 3}, {1, 1}}},
      {"one_pixel", {3, 1, 1, 10}, {{1, 1}, {1, 1}}},
      {"c264", {1, 4, 3, 264}, {{3, 3}, {2, 2}, same}},
      {"c8_images", {5, 8, 9, 8}, {{3, 3}, {2, 2}, same}},
  };
}

Case max_case(const PoolSizes& sizes) {
  const PoolAttrs attrs = sizes.attrs;
  Case made;
  made.name = "max_pool_" + sizes.name;
  made.leaves = {trained(f32("x", sizes.x, distinct()))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("max_pool"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const oracle::MaxPooled pooled = oracle::max_pool(in[0], to_oracle(attrs));
    return {pooled.y, pooled.index};
  };
  made.tolerance = {.a = 0, .b = 0};  // moves values, computes none
  made.blocked = sizes.blocked();
  return made;
}

Case max_backward(const PoolSizes& sizes) {
  const PoolGradAttrs attrs = sizes.gradient_attrs();
  const auto winners = [attrs, x = sizes.x](Array& leaf, Random& random, std::span<const Array>) {
    Array pictures = Array::zeros(dims_of(x));
    distinct()(pictures, random, {});
    leaf = oracle::max_pool(pictures, to_oracle(attrs.pool)).index;
  };
  Case made;
  made.name = "max_pool_backward_" + sizes.name;
  made.leaves = {f32("dy", sizes.y()), Leaf{"index", {DType::u8, sizes.y()}, winners}};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("max_pool_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::max_pool_backward(in[0], in[1], to_oracle(attrs.pool), attrs.size[0],
                                      attrs.size[1])};
  };
  made.tolerance.length = sizes.attrs.window[0] * sizes.attrs.window[1];
  made.blocked = sizes.blocked();
  return made;
}

Case avg_case(PoolSizes sizes, bool count_pad) {
  sizes.attrs.count_include_pad = count_pad;
  const PoolAttrs attrs = sizes.attrs;
  Case made;
  made.name = "avg_pool_" + sizes.name + (count_pad ? "_padding_counted" : "");
  made.leaves = {trained(f32("x", sizes.x))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {avg_pool(graph, in[0], attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::avg_pool(in[0], to_oracle(attrs))};
  };
  made.tolerance.length = attrs.window[0] * attrs.window[1];
  made.blocked = sizes.blocked();
  return made;
}

Case avg_backward(PoolSizes sizes, bool count_pad) {
  sizes.attrs.count_include_pad = count_pad;
  const PoolGradAttrs attrs = sizes.gradient_attrs();
  Case made;
  made.name = "avg_pool_backward_" + sizes.name + (count_pad ? "_padding_counted" : "");
  made.leaves = {f32("dy", sizes.y())};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("avg_pool_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::avg_pool_backward(in[0], to_oracle(attrs.pool), attrs.size[0], attrs.size[1])};
  };
  made.tolerance.length = attrs.pool.window[0] * attrs.pool.window[1];
  made.blocked = sizes.blocked();
  return made;
}

Case global_case(const std::string& name, Shape x) {
  Case made;
  made.name = "global_avg_pool_" + name;
  made.leaves = {trained(f32("x", x))};
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {global_avg_pool(graph, in[0])};
  };
  made.oracle = [](const Arrays& in) -> Arrays { return {oracle::global_avg_pool(in[0])}; };
  made.tolerance.length = x[1] * x[2];
  made.blocked = x[3] == 16 || x[3] == 24;
  return made;
}

Case global_backward(const std::string& name, Shape x) {
  const SizeAttrs attrs{{static_cast<int>(x[1]), static_cast<int>(x[2])}};
  Case made;
  made.name = "global_avg_pool_backward_" + name;
  made.leaves = {f32("dy", {x[0], 1, 1, x[3]})};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("global_avg_pool_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::global_avg_pool_backward(in[0], attrs.size[0], attrs.size[1])};
  };
  made.blocked = x[3] == 16 || x[3] == 24;
  return made;
}

}  // namespace

std::vector<Case> pool_cases() {
  std::vector<Case> cases;
  for (const PoolSizes& sizes : pool_sizes()) {
    cases.push_back(max_case(sizes));
    cases.push_back(max_backward(sizes));
    for (const bool count_pad : {false, true}) {
      cases.push_back(avg_case(sizes, count_pad));
      cases.push_back(avg_backward(sizes, count_pad));
    }
  }
  // Ties go to the first in row order; negative values lose to no padding.
  for (const auto& [name, fill] : std::vector<std::pair<std::string, Fill>>{
           {"ties", whole_numbers(0, 2)}, {"zeros", constant(0)}, {"negative", uniform(-9, -8)}}) {
    cases.push_back(max_case({name, {2, 7, 7, 16}, {{3, 3}, {2, 2}, {1, 1, 1, 1}}}));
    cases.back().leaves = {f32("x", {2, 7, 7, 16}, fill)};
  }
  for (const auto& [name, shape] :
       std::vector<std::pair<std::string, Shape>>{{"c16", {2, 7, 7, 16}},
                                                  {"c24", {1, 3, 5, 24}},
                                                  {"c10", {3, 1, 1, 10}},
                                                  {"c1", {1, 13, 23, 1}},
                                                  {"c264", {3, 2, 4, 264}}}) {
    cases.push_back(global_case(name, shape));
    cases.push_back(global_backward(name, shape));
  }
  for (Case& made : norm_pool_cases()) cases.push_back(std::move(made));
  return cases;
}

}  // namespace kd::test
