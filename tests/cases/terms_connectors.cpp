// Terms that compare a layer with a teacher's through a learned one: vid, ab, ofd; and aux_ce.
#include "cases/term_case.h"
#include "oracle/features.h"
#include "oracle/features_terms.h"

namespace kd::test {
namespace {

using oracle::adapted;

std::vector<Leaf> joined(std::vector<Leaf> leaves, const std::vector<Leaf>& more) {
  leaves.insert(leaves.end(), more.begin(), more.end());
  return leaves;
}

// Two layers' sums over a batch, the first weighed by half.
double halved(double first, double second, const Array& batch) {
  return (first / 2 + second) / static_cast<double>(batch.dim(0));
}

void add_vid(std::vector<Case>& cases) {
  const auto vid = [&](const std::string& name, const Fill& layers, const Fill& variance) {
    cases.push_back(
        term_case({.name = name,
                   .term = "vid",
                   .layers = {student_layer({3, 5, 3, 4}, "", layers),
                              teacher_layer({3, 5, 3, 7}, "", layers)},
                   .others = joined(trained_layer("vid.0", {7, 1, 1, 4}),
                                    {trained(f32("term.vid.0.variance", {7}, variance))}),
                   .oracle = [](const Arrays& in) {
                     return scalar(oracle::variational(adapted(in[0], in[2], in[3]), in[1], in[4]));
                   }}));
  };
  vid("maps", normal(), normal(3));
  vid("zeros", constant(0), normal());
  vid("large", normal(1e4), normal(20));
  vid("extreme_variances", normal(), listed({-200, -20, 50, 1e4, 1e-3, -1e-3, 2}));
  cases.push_back(
      term_case({.name = "rows_and_a_larger_map",
                 .term = "vid",
                 .layers = {student_layer({4, 6}), teacher_layer({4, 5}),
                            student_layer({4, 2, 2, 3}, "1"), teacher_layer({4, 6, 4, 3}, "1")},
                 .others = joined(joined(trained_layer("vid.0", {5, 6}),
                                         {trained(f32("term.vid.0.variance", {5}))}),
                                  joined(trained_layer("vid.1", {3, 1, 1, 3}),
                                         {trained(f32("term.vid.1.variance", {3}))})),
                 .oracle = [](const Arrays& in) {
                   const Array t = oracle::averaged_down(in[3], 2, 2);
                   return scalar(oracle::variational(adapted(in[0], in[4], in[5]), in[1], in[6]) +
                                 oracle::variational(adapted(in[2], in[7], in[8]), t, in[9]));
                 }}));
}

void add_ab(std::vector<Case>& cases) {
  const auto ab = [&](const std::string& name, const Fill& layers, double margin) {
    cases.push_back(term_case({.name = name,
                               .term = "ab",
                               .spec = {.name = "ab", .params = {{"margin", margin}}},
                               .layers = {student_layer({3, 4, 3, 5}, "", layers),
                                          teacher_layer({3, 4, 3, 5}, "", layers)},
                               .oracle = [margin](const Arrays& in) {
                                 return scalar(oracle::boundary_crossings(in[0], in[1], margin) /
                                               3);
                               }}));
  };
  ab("same_width", normal(), 1);
  ab("wide_margin", normal(), 2.5);
  ab("zeros", constant(0), 1);
  ab("large", normal(1e4), 1);
  ab("tiny", normal(1e-7), 1);
  cases.push_back(term_case(
      {.name = "two_layers",
       .term = "ab",
       .layers = {student_layer({2, 4, 4, 3}), teacher_layer({2, 4, 4, 6}),
                  student_layer({2, 2, 2, 5}, "1"), teacher_layer({2, 4, 4, 5}, "1")},
       .others = trained_layer("ab.0", {6, 1, 1, 3}),
       .oracle = [](const Arrays& in) {
         const Array t = oracle::averaged_down(in[3], 2, 2);
         return scalar(halved(oracle::boundary_crossings(adapted(in[0], in[4], in[5]), in[1], 1),
                              oracle::boundary_crossings(in[2], t, 1), in[0]));
       }}));
}

void add_ofd(std::vector<Case>& cases) {
  const auto ofd = [&](const std::string& name, const Fill& student, const Fill& teacher) {
    cases.push_back(term_case({.name = name,
                               .term = "ofd",
                               .layers = {student_layer({3, 3, 5, 4}, "", student),
                                          teacher_layer({3, 3, 5, 6}, "", teacher)},
                               .others = trained_layer("ofd.0", {6, 1, 1, 4}),
                               .oracle = [](const Arrays& in) {
                                 return scalar(
                                     oracle::partial_distance(adapted(in[0], in[2], in[3]),
                                                              oracle::margin_relu(in[1])) /
                                     3);
                               }}));
  };
  ofd("maps", normal(), normal());
  ofd("nothing_negative", normal(), uniform(0.5, 2));
  ofd("nothing_positive", normal(), uniform(-2, -0.5));
  ofd("zeros", constant(0), constant(0));
  ofd("large", normal(1e4), normal(1e4));
  cases.push_back(term_case(
      {.name = "two_layers",
       .term = "ofd",
       .layers = {student_layer({2, 4, 4, 3}), teacher_layer({2, 8, 4, 3}),
                  student_layer({2, 2, 2, 5}, "1"), teacher_layer({2, 2, 2, 4}, "1")},
       .others = joined(trained_layer("ofd.0", {3, 1, 1, 3}), trained_layer("ofd.1", {4, 1, 1, 5})),
       .oracle = [](const Arrays& in) {
         const Array t = oracle::averaged_down(oracle::margin_relu(in[1]), 4, 4);
         return scalar(halved(
             oracle::partial_distance(adapted(in[0], in[4], in[5]), t),
             oracle::partial_distance(adapted(in[2], in[6], in[7]), oracle::margin_relu(in[3])),
             in[0]));
       }}));
}

void add_aux_ce(std::vector<Case>& cases) {
  const auto logits_and_labels = [](int64_t rows, int64_t classes) {
    return std::vector<Leaf>{f32("student_logits", {rows, classes}),
                             i32("labels", {rows}, whole_numbers(0, classes - 1))};
  };
  const auto rows = [&](const std::string& name, const Fill& layer) {
    cases.push_back(
        term_case({.name = name,
                   .term = "aux_ce",
                   .layers = {student_layer({5, 6}, "", layer)},
                   .others = joined(logits_and_labels(5, 7), trained_layer("aux_ce.0", {7, 6})),
                   .oracle = [](const Arrays& in) {
                     return scalar(oracle::cross_entropy(adapted(in[0], in[3], in[4]), in[2]));
                   }}));
  };
  rows("rows", normal());
  rows("zeros", constant(0));
  rows("large", normal(1e4));
  cases.push_back(term_case(
      {.name = "maps_and_rows",
       .term = "aux_ce",
       .layers = {student_layer({3, 4, 5, 6}), student_layer({3, 2}, "1")},
       .others = joined(joined(logits_and_labels(3, 4), trained_layer("aux_ce.0", {4, 6})),
                        trained_layer("aux_ce.1", {4, 2})),
       .oracle = [](const Arrays& in) {
         Array means = oracle::averaged_down(in[0], 1, 1);
         means.shape = {means.dim(0), means.dim(3)};
         return scalar(oracle::cross_entropy(adapted(means, in[4], in[5]), in[3]) +
                       oracle::cross_entropy(adapted(in[1], in[6], in[7]), in[3]));
       }}));
}

}  // namespace

std::vector<Case> connector_term_cases() {
  std::vector<Case> cases;
  add_vid(cases);
  add_ab(cases);
  add_ofd(cases);
  add_aux_ce(cases);
  return cases;
}

}  // namespace kd::test
