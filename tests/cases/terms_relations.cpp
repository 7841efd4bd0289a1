// Terms over relations between the pictures of a batch: dist, sp, rkd, pkt, cc, crd.
#include "cases/term_case.h"
#include "oracle/contrast.h"
#include "oracle/features.h"
#include "oracle/relations.h"

namespace kd::test {
namespace {

using Compare = std::function<double(const Array& student, const Array& teacher)>;

std::function<Arrays(const Arrays&)> of_two(Compare compare) {
  return [compare = std::move(compare)](const Arrays& in) -> Arrays {
    return {Array::scalar(compare(in[0], in[1]))};
  };
}

void add_dist(std::vector<Case>& cases) {
  const auto dist = [&](const std::string& name, Shape shape, const Fill& fill,
                        const oracle::Dist& how) {
    const TermSpec spec{.name = "dist",
                        .params = {{"tau", how.tau}, {"beta", how.beta}, {"gamma", how.gamma}}};
    cases.push_back(term_case({.name = name,
                               .term = "dist",
                               .spec = spec,
                               .others = {trained(f32("student_logits", shape, fill)),
                                          f32("teacher_logits", shape, fill)},
                               .oracle = of_two([how](const Array& s, const Array& t) {
                                 return oracle::dist(s, t, how);
                               })}));
  };
  dist("defaults", {5, 10}, normal(2), {});
  dist("sharp", {7, 33}, normal(), {.tau = 1, .beta = 2, .gamma = 0.5});
  dist("rows", {4, 3}, normal(3), {.beta = 1, .gamma = 0});
  dist("columns", {9, 2}, normal(3), {.beta = 0, .gamma = 1});
  dist("wide", {3, 257}, outliers(), {.tau = 2});
}

// Layers of several shapes, by the term over them.
void add_layers(std::vector<Case>& cases, const std::string& term, const Compare& compare,
                const TermSpec& spec = {.name = {}}) {
  const auto layers = [&](const std::string& name, const Leaf& s, const Leaf& t) {
    cases.push_back(term_case({.name = name,
                               .term = term,
                               .spec = spec,
                               .layers = {trained(s), t},
                               .oracle = of_two(compare)}));
  };
  const auto pair = [&](const std::string& name, Shape s, Shape t, const Fill& fill) {
    layers(name, f32("student", s, fill), f32("teacher", t, fill));
  };
  pair("rows", {7, 5}, {7, 5}, normal());
  pair("wider_teacher", {5, 3}, {5, 17}, outliers());
  pair("maps", {4, 3, 5, 2}, {4, 2, 2, 7}, normal());
  pair("three_pictures", {3, 4}, {3, 6}, normal());
  pair("large", {6, 9}, {6, 8}, normal(3e4));
}

struct Contrast {
  std::string name;
  int64_t batch, student, teacher;  // features
  int64_t population, classes;      // classes 0: without labels
  double negatives, temperature, momentum;
  int64_t embedding;
};

Case crd_case(const Contrast& of) {
  enum : size_t { kStudent, kTeacher, kIds, kKey, kBanks, kWeights = 6, kLabels = 10 };
  const auto bank = [&](const std::string& name) {
    return state(f32("term.crd." + name, {of.population, of.embedding}, normal(0.3)));
  };
  const auto layer = [&](const std::string& name, Shape shape) {
    return trained(f32("term.crd." + name, shape));
  };
  TermCase made;
  made.name = of.name;
  made.term = "crd";
  made.population = of.population;
  made.spec.params = {{"negatives", of.negatives},
                      {"temperature", of.temperature},
                      {"momentum", of.momentum},
                      {"embedding", static_cast<double>(of.embedding)}};
  made.layers = {trained(f32("student", {of.batch, of.student})),
                 f32("teacher", {of.batch, of.teacher})};
  made.others = {i32("ids", {of.batch}, whole_numbers(0, of.population - 1)),
                 Leaf{"key", {DType::i64, {2}}, listed({7, 3})},
                 bank("student_bank"),
                 bank("teacher_bank"),
                 layer("student.weight", {of.embedding, of.student}),
                 layer("student.bias", {of.embedding}),
                 layer("teacher.weight", {of.embedding, of.teacher}),
                 layer("teacher.bias", {of.embedding})};
  if (of.classes > 0) {
    made.others.push_back(i32("all_labels", {of.population}, whole_numbers(0, of.classes - 1)));
  }
  made.oracle = [of](const Arrays& in) -> Arrays {
    const Array index =
        oracle::sample_negatives(in[kIds], of.classes > 0 ? in[kLabels] : Array{},
                                 {static_cast<int64_t>(of.negatives), of.population, 7, 3, 0});
    const Array s =
        oracle::unit_rows(oracle::adapted(in[kStudent], in[kWeights], in[kWeights + 1]));
    const Array t =
        oracle::unit_rows(oracle::adapted(in[kTeacher], in[kWeights + 2], in[kWeights + 3]));
    const double loss = oracle::noise_contrast(s, in[kBanks + 1], index, of.temperature) +
                        oracle::noise_contrast(t, in[kBanks], index, of.temperature);
    return {Array::scalar(loss), oracle::bank_update(in[kBanks], in[kIds], s, of.momentum),
            oracle::bank_update(in[kBanks + 1], in[kIds], t, of.momentum)};
  };
  return term_case(made);
}

void add_crd(std::vector<Case>& cases) {
  cases.push_back(crd_case({.name = "labelled",
                            .batch = 5,
                            .student = 4,
                            .teacher = 7,
                            .population = 40,
                            .classes = 3,
                            .negatives = 33,
                            .temperature = 0.07,
                            .momentum = 0.5,
                            .embedding = 6}));
  cases.push_back(crd_case({.name = "without_labels",
                            .batch = 3,
                            .student = 6,
                            .teacher = 5,
                            .population = 9,
                            .classes = 0,
                            .negatives = 4,
                            .temperature = 1,
                            .momentum = 0.9,
                            .embedding = 130}));
}

}  // namespace

std::vector<Case> relation_term_cases() {
  std::vector<Case> cases;
  add_dist(cases);
  add_layers(cases, "sp", oracle::similarity_preserving);
  add_layers(cases, "pkt", oracle::probabilistic_transfer);
  add_layers(cases, "cc", [](const Array& s, const Array& t) {
    return oracle::correlation_congruence(s, t, 0.4);
  });
  add_layers(cases, "rkd",
             [](const Array& s, const Array& t) {
               return oracle::relational(s, t, {2, 3});
             },
             {.name = "rkd", .params = {{"distance", 2}, {"angle", 3}}});
  add_crd(cases);
  return cases;
}

}  // namespace kd::test
