// batch_norm_relu_max_pool_train and its gradient.
#include "cases/norm_common.h"
#include "oracle/pointwise.h"
#include "oracle/pool.h"

namespace kd::test {
namespace {

oracle::Pooling to_oracle(const PoolAttrs& attrs) {
  return {attrs.window[0], attrs.window[1],        attrs.stride[0], attrs.stride[1],
          attrs.pad[0],    attrs.pad[1],           attrs.pad[2],    attrs.pad[3],
          attrs.ceil_mode, attrs.count_include_pad};
}

struct Sizes {
  NormSizes norm;
  PoolAttrs pool;
  BatchNormPoolAttrs attrs() const { return {norm.attrs, pool}; }
  Shape y() const {
    const auto [h, w] = pooled_size(pool, norm.x[1], norm.x[2]);
    return {norm.x[0], h, w, norm.x[3]};
  }
};

std::vector<Sizes> all_sizes() {
  const PoolAttrs stem{{3, 3}, {2, 2}, {1, 1, 1, 1}};
  return {
      {{"stem_c16", {2, 8, 9, 16}, distinct()}, stem},
      {{"stem_c64", {1, 6, 6, 64}, distinct()}, stem},
      {{"stem_c10", {1, 7, 7, 10}, distinct()}, stem},
      {{"stem_c1", {3, 9, 8, 1}, distinct()}, stem},
      {{"2x2_c24", {1, 6, 5, 24}, distinct(), false, {.eps = 1e-3, .momentum = 0.03}}, {}},
      {{"overlap_ceil", {2, 5, 6, 8}, distinct()}, {{3, 2}, {1, 2}, {1, 0, 2, 1}, true}},
      {{"c8_images", {7, 11, 10, 8}, distinct()}, stem},
  };
}

// Outputs (y, mean, var, index) and the new running statistics. Scales of both signs.
Case train_case(const Sizes& sizes) {
  const BatchNormPoolAttrs attrs = sizes.attrs();
  Case made;
  made.name = "batch_norm_relu_max_pool_train_" + sizes.norm.name;
  made.leaves = norm_leaves(sizes.norm, true);
  made.leaves[1].fill = uniform(-1.5, 2);
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    const auto out = batch_norm_relu_max_pool_train(graph, in[0], norm_weights(in), attrs);
    return {out.y, out.mean, out.var, out.index};
  };
  made.oracle = [attrs, rows = sizes.norm.rows()](const Arrays& in) -> Arrays {
    const auto [mean, var] = oracle::batch_statistics(in[0]);
    const Array y = oracle::batch_norm(in[0], {in[1], in[2], mean, var, attrs.norm.eps});
    const auto pooled = oracle::max_pool(oracle::activation(y, "relu"), to_oracle(attrs.pool));
    return {pooled.y,
            mean,
            var,
            pooled.index,
            oracle::running(in[3], mean, attrs.norm.momentum),
            oracle::running(in[4], oracle::unbiased(var, rows), attrs.norm.momentum)};
  };
  made.tolerance.a = 16;
  made.tolerance.length = sizes.norm.rows();
  made.blocked = sizes.norm.blocked();
  made.f32_only = true;  // rounding x makes ties, which have no gradient
  return made;
}

Case train_case_of_any_type(const Sizes& sizes) {
  Case made = train_case(sizes);
  made.name += "_any_type";
  made.leaves[0].differentiable = made.f32_only = false;
  return made;
}

Case backward_case(const Sizes& sizes) {
  const BatchNormPoolAttrs attrs = sizes.attrs();
  const Shape c{sizes.norm.x[3]};
  const auto winners = [attrs, x = sizes.norm.x](Array& leaf, Random& random,
                                                 std::span<const Array>) {
    Array pictures = Array::zeros(dims_of(x));
    distinct()(pictures, random, {});
    leaf = oracle::max_pool(pictures, to_oracle(attrs.pool)).index;
  };
  Case made;
  made.name = "batch_norm_relu_max_pool_backward_" + sizes.norm.name;
  made.leaves = {f32("dy", sizes.y()),
                 Leaf{"index", {DType::u8, sizes.y()}, winners},
                 f32("y", sizes.y(), rectified()),
                 f32("x", sizes.norm.x, normal(2, 0.5)),
                 f32("gamma", c, uniform(-1.5, 2)),
                 f32("mean", c, mean_of(3)),
                 f32("var", c, variance_of(3))};
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) {
    return graph.add(*find_op("batch_norm_relu_max_pool_backward"), in, attrs);
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    const Array gated = oracle::activation_backward(in[0], in[2], "relu");
    const Array dy =
        oracle::max_pool_backward(gated, in[1], to_oracle(attrs.pool), in[3].dim(1), in[3].dim(2));
    const auto through =
        oracle::batch_norm_backward(dy, in[3], {in[4], in[4], in[5], in[6], attrs.norm.eps});
    return {through.dx, through.dgamma, through.dbeta};
  };
  made.tolerance = {.a = 16, .b = 2, .length = sizes.norm.rows()};
  made.blocked = sizes.norm.blocked();
  return made;
}

}  // namespace

std::vector<Case> norm_pool_cases() {
  std::vector<Case> cases;
  for (const Sizes& sizes : all_sizes()) {
    cases.push_back(train_case(sizes));
    cases.push_back(train_case_of_any_type(sizes));
    cases.push_back(backward_case(sizes));
  }
  return cases;
}

}  // namespace kd::test
