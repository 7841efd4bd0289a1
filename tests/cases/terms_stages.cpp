// Terms over channels and stages of maps: review, nst, fsp.
#include "cases/term_case.h"
#include "oracle/conv.h"
#include "oracle/features.h"
#include "oracle/features_terms.h"

namespace kd::test {
namespace {

using oracle::adapted;

// A 3 x 3 convolution with a bias that keeps the size.
Array convolved(const Array& x, const Array& w, const Array& b) {
  Array y = oracle::conv2d(x, w, {.top = 1, .left = 1, .bottom = 1, .right = 1});
  for (int64_t i = 0; i < y.size(); ++i) y.at(i) += b.at(i % b.size());
  return y;
}

struct Stage {
  Shape student, teacher;
};

// A shallow and a deep stage; the deep student's width is that of the fusion.
Case review_of(const std::string& name, const Stage& shallow, const Stage& deep,
               const Fill& fill = normal()) {
  const int64_t width = deep.student[3], first = shallow.teacher[3], second = deep.teacher[3];
  std::vector<Leaf> others;
  const auto add = [&](const std::string& layer, Shape weight) {
    for (Leaf& leaf : trained_layer("review." + layer, weight)) others.push_back(std::move(leaf));
  };
  add("1.reduce", {width, 1, 1, width});
  add("1.output", {second, 3, 3, width});
  add("0.reduce", {width, 1, 1, shallow.student[3]});
  add("0.attention", {2, 1, 1, 2 * width});
  add("0.output", {first, 3, 3, width});
  const auto review = [](const Arrays& in) {
    const auto least = [](const Array& a, const Array& b, size_t axis) {
      return std::min(a.dim(axis), b.dim(axis));
    };
    const auto sized = [&](const Array& a, const Array& b) {
      return oracle::averaged_down(a, least(a, b, 1), least(a, b, 2));
    };
    const Array deeper = adapted(sized(in[2], in[3]), in[4], in[5]);
    const Array own = adapted(sized(in[0], in[1]), in[8], in[9]);
    const Array fused = oracle::attention_fusion(own, deeper, in[10], in[11]);
    return scalar(oracle::context_distance(convolved(deeper, in[6], in[7]), sized(in[3], in[2])) +
                  oracle::context_distance(convolved(fused, in[12], in[13]), sized(in[1], in[0])));
  };
  return term_case(
      {.name = name,
       .term = "review",
       .layers = {student_layer(shallow.student, "0", fill),
                  teacher_layer(shallow.teacher, "0", fill), student_layer(deep.student, "1", fill),
                  teacher_layer(deep.teacher, "1", fill)},
       .others = others,
       .oracle = review});
}

// Large values saturate the gates unless their weights are small: their gradients would then be
// differences of roundings.
Case large_review(const Stage& shallow, const Stage& deep) {
  Case large = review_of("large", shallow, deep, normal(1e4));
  for (Leaf& leaf : large.leaves) {
    if (leaf.name != "term.review.0.attention.weight") continue;
    leaf.fill = normal(1e-5);
    leaf.differentiable = false;  // steps of the central differences would not be small beside it
  }
  large.tolerance.a = 256;
  return large;
}

void add_review(std::vector<Case>& cases) {
  const Stage shallow{{2, 6, 6, 3}, {2, 6, 6, 4}}, deep{{2, 3, 3, 5}, {2, 3, 3, 2}};
  cases.push_back(review_of("two_stages", shallow, deep));
  cases.push_back(review_of("zeros", shallow, deep, constant(0)));
  cases.push_back(large_review(shallow, deep));
  cases.push_back(
      review_of("unequal_sizes", {{2, 8, 4, 3}, {2, 4, 8, 3}}, {{2, 4, 2, 4}, {2, 4, 4, 3}}));
  // No size is a multiple of 4 or 2; the deep stage is as large as the shallow, or one place.
  cases.push_back(
      review_of("odd_sizes", {{2, 7, 5, 3}, {2, 7, 5, 4}}, {{2, 7, 5, 2}, {2, 7, 5, 3}}));
  cases.push_back(
      review_of("one_place", {{3, 7, 5, 3}, {3, 7, 5, 4}}, {{3, 1, 1, 2}, {3, 1, 1, 3}}));
}

void add_nst(std::vector<Case>& cases) {
  const auto nst = [&](const std::string& name, const Fill& student, const Fill& teacher) {
    cases.push_back(term_case(
        {.name = name,
         .term = "nst",
         .layers = {student_layer({3, 5, 3, 4}, "", student),
                    teacher_layer({3, 5, 3, 7}, "", teacher)},
         .oracle = [](const Arrays& in) { return scalar(oracle::polynomial_mmd(in[0], in[1])); }}));
  };
  nst("one_layer", normal(1, 1), normal());
  nst("large", normal(1e4), normal(1e4));
  nst("zeros", constant(0), constant(0));
  nst("student_of_zeros", constant(0), normal());
  // A channel in three is 0, as after a ReLU that never fires.
  nst("dead_channels", normal(), listed({0, 1, 2, 0, 3, 1, 2, 0, 0, 1, 2, 4, 0, 1}));
  cases.push_back(
      term_case({.name = "two_layers",
                 .term = "nst",
                 .layers = {student_layer({2, 6, 6, 3}), teacher_layer({2, 3, 3, 5}),
                            student_layer({2, 2, 4, 6}, "1"), teacher_layer({2, 4, 4, 2}, "1")},
                 .oracle = [](const Arrays& in) {
                   return scalar(oracle::polynomial_mmd(oracle::averaged_down(in[0], 3, 3), in[1]) +
                                 oracle::polynomial_mmd(in[2], oracle::averaged_down(in[3], 2, 4)));
                 }}));
}

void add_fsp(std::vector<Case>& cases) {
  const auto apart = [](const Array& s0, const Array& s1, const Array& t0, const Array& t1) {
    return oracle::mean_squared_difference(oracle::flow(s0, s1), oracle::flow(t0, t1));
  };
  const auto fsp = [&](const std::string& name, const Fill& fill) {
    cases.push_back(term_case(
        {.name = name,
         .term = "fsp",
         .layers = {student_layer({3, 5, 3, 4}, "0", fill), teacher_layer({3, 5, 3, 4}, "0", fill),
                    student_layer({3, 5, 3, 6}, "1", fill), teacher_layer({3, 5, 3, 6}, "1", fill)},
         .oracle = [apart](const Arrays& in) {
           return scalar(apart(in[0], in[2], in[1], in[3]));
         }}));
  };
  fsp("same_widths", normal());
  fsp("zeros", constant(0));
  fsp("large", normal(1e4));
  cases.push_back(term_case(
      {.name = "three_layers",
       .term = "fsp",
       .layers = {student_layer({2, 6, 6, 3}, "0"), teacher_layer({2, 6, 6, 5}, "0"),
                  student_layer({2, 3, 3, 4}, "1"), teacher_layer({2, 3, 3, 4}, "1"),
                  student_layer({2, 4, 2, 2}, "2"), teacher_layer({2, 2, 2, 3}, "2")},
       .others =
           [] {
             std::vector<Leaf> others = trained_layer("fsp.0", {5, 1, 1, 3});
             for (Leaf& leaf : trained_layer("fsp.2", {3, 1, 1, 2}))
               others.push_back(std::move(leaf));
             return others;
           }(),
       .oracle =
           [apart](const Arrays& in) {
             const Array first = adapted(in[0], in[6], in[7]);
             const Array last = adapted(oracle::averaged_down(in[4], 2, 2), in[8], in[9]);
             return scalar(apart(first, in[2], in[1], in[3]) + apart(in[2], last, in[3], in[5]));
           }}));
}

}  // namespace

std::vector<Case> stage_term_cases() {
  std::vector<Case> cases;
  add_review(cases);
  add_nst(cases);
  add_fsp(cases);
  return cases;
}

}  // namespace kd::test
