// gather_dot, gather_dot_backward, sample_negatives, bank_update.
#include "oracle/contrast.h"

#include <cmath>

#include "cases/case.h"
#include "kd/term_ops.h"

namespace kd::test {
namespace {

struct Sizes {
  std::string name;
  int64_t batch, each, rows, features;
  Fill index = {};  // within the bank if empty
};

// `from` is x (B, D), or dy (B, J).
std::vector<Leaf> gather_leaves(const Sizes& sizes, Leaf from) {
  const Fill inside = whole_numbers(0, sizes.rows - 1);
  return {std::move(from), f32("bank", {sizes.rows, sizes.features}),
          i32("index", {sizes.batch, sizes.each}, sizes.index ? sizes.index : inside)};
}

Case gather_case(const Sizes& sizes) {
  Case made;
  made.name = "gather_dot_" + sizes.name;
  Leaf x = f32("x", {sizes.batch, sizes.features}, outliers());
  x.differentiable = !sizes.index;  // no differences of NaN
  made.leaves = gather_leaves(sizes, x);
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {gather_dot(graph, in[0], in[1], in[2])};
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    return {oracle::gather_dot(in[0], in[1], in[2])};
  };
  made.tolerance.length = sizes.features;
  made.tolerance.gradient_length = sizes.each;
  made.f32_only = true;
  return made;
}

Case gather_backward_case(const Sizes& sizes) {
  Case made;
  made.name = "gather_dot_backward_" + sizes.name;
  made.leaves = gather_leaves(sizes, f32("dy", {sizes.batch, sizes.each}));
  made.build = [](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return graph.add(*find_op("gather_dot_backward"), in, NoAttrs{});
  };
  made.oracle = [](const Arrays& in) -> Arrays {
    return {oracle::gather_dot_backward(in[0], in[1], in[2])};
  };
  made.tolerance.length = sizes.each;
  made.f32_only = true;
  return made;
}

struct Drawn {
  std::string name;
  int64_t batch, classes;  // classes 0: without labels
  NegativesAttrs attrs;
  double seed = 7, step = 0;
  Fill ids = {};  // of the population if empty
};

Case negatives_case(const Drawn& of) {
  const NegativesAttrs attrs = of.attrs;
  const Fill inside = whole_numbers(0, attrs.population - 1);
  Case made;
  made.name = "sample_negatives_" + of.name;
  made.leaves = {Leaf{"key", {DType::i64, {2}}, listed({of.seed, of.step})},
                 i32("ids", {of.batch}, of.ids ? of.ids : inside)};
  if (of.classes > 0) {
    made.leaves.push_back(i32("labels", {attrs.population}, whole_numbers(0, of.classes - 1)));
  }
  made.build = [attrs](Graph& graph, const std::vector<Value>& in) -> std::vector<Value> {
    return {sample_negatives(graph, in[0], in[1], in.size() == 3 ? in[2] : Value{}, attrs)};
  };
  made.oracle = [attrs](const Arrays& in) -> Arrays {
    return {oracle::sample_negatives(
        in[1], in.size() == 3 ? in[2] : Array{},
        {attrs.count, attrs.population, static_cast<uint64_t>(in[0].at(0)),
         static_cast<uint64_t>(in[0].at(1)), static_cast<uint64_t>(attrs.tensor_id)})};
  };
  made.tolerance = {.a = 0, .b = 0};
  made.f32_only = true;
  return made;
}

struct Moved {
  std::string name;
  int64_t rows, features;
  std::vector<double> ids;
  double momentum;
  Fill values = normal();
};

Case bank_case(const Moved& of) {
  const auto batch = static_cast<int64_t>(of.ids.size());
  Case made;
  made.name = "bank_update_" + of.name;
  made.leaves = {state(f32("bank", {of.rows, of.features}, of.values)),
                 i32("ids", {batch}, listed(of.ids)),
                 f32("features", {batch, of.features}, of.values)};
  made.build = [m = of.momentum](Graph& graph, const std::vector<Value>& in) {
    bank_update(graph, in[0], in[1], in[2], {m});
    return std::vector<Value>{};
  };
  made.oracle = [m = of.momentum](const Arrays& in) -> Arrays {
    return {oracle::bank_update(in[0], in[1], in[2], m)};
  };
  made.tolerance.length = of.features;
  made.f32_only = true;
  return made;
}

void add_gathers(std::vector<Case>& cases) {
  const Fill outside = listed({0, -1, 4, 5, 2147483647, -2147483647, 2});
  for (const Sizes& sizes :
       {Sizes{"one", 1, 1, 1, 1}, Sizes{"c8", 3, 7, 5, 8}, Sizes{"odd", 2, 9, 4, 7},
        Sizes{"c128", 3, 21, 11, 128}, Sizes{"c132", 2, 8, 30, 132}, Sizes{"c131", 2, 17, 6, 131},
        Sizes{"c260", 5, 3, 10, 260}, Sizes{"long", 1, 611, 50, 12},
        Sizes{"outside", 3, 7, 5, 8, outside}, Sizes{"outside_odd", 3, 7, 5, 9, outside}}) {
    cases.push_back(gather_case(sizes));
    cases.push_back(gather_backward_case(sizes));
  }
}

}  // namespace

std::vector<Case> contrast_cases() {
  std::vector<Case> cases;
  add_gathers(cases);
  for (const Drawn& of : {
           Drawn{"without_labels", 5, 0, {.count = 33, .population = 7}},
           Drawn{"two_classes", 9, 2, {.count = 40, .population = 50, .tensor_id = 3}, 11, 12345},
           Drawn{"ten_classes", 64, 10, {.count = 101, .population = 997}, 1, 5},
           Drawn{"one_class", 3, 1, {.count = 5, .population = 20}},
           Drawn{"one_sample", 2, 0, {.count = 3, .population = 1}},
           Drawn{"one_each", 7, 3, {.count = 1, .population = 9}},
           Drawn{"high_words",
                 4,
                 0,
                 {.count = 9, .population = 2147483647, .tensor_id = 0xFFFFFFFF},
                 static_cast<double>(0x1A2B3C4D5E6F),
                 4294967295},
           Drawn{"unknown_ids", 4, 2, {.count = 6, .population = 5}, 7, 0, listed({-1, 2, 5, -9})},
       }) {
    cases.push_back(negatives_case(of));
  }
  for (const Moved& of : {
           Moved{"plain", 9, 16, {3, 0, 8}, 0.5},
           Moved{"odd", 6, 131, {5, 1}, 0.25},
           Moved{"repeated", 5, 7, {2, 4, 2, 2, 1, 4}, 0.5},
           Moved{"skipped", 4, 8, {-1, 3, 4, -7, 2147483647}, 0.9},
           Moved{"replaced", 4, 8, {1, 2}, 0},
           Moved{"kept", 4, 8, {1, 2}, 1},
           Moved{"zeros", 3, 8, {1}, 0.5, constant(0)},
           Moved{"large_batch", 40, 5, std::vector<double>(70, 7), 0.5},
       }) {
    cases.push_back(bank_case(of));
  }
  return cases;
}

}  // namespace kd::test
