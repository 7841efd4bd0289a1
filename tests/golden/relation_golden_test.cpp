// Terms over relations between pictures, by hand, and what must stay finite.
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "kd/backend.h"
#include "kd/error.h"
#include "kd/objective.h"
#include "kd/program.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

using Rows = std::vector<std::vector<float>>;

struct Outcome {
  double value = 0;
  std::vector<float> gradient;  // by the student's rows
};

// The term of rows of both, which are the logits and the layers it taps.
Outcome outcome(const TermSpec& spec, const Rows& student, const Rows& teacher) {
  Graph graph;
  const auto leaf = [&](const char* name, const Rows& rows) {
    return graph.input(
        name,
        {DType::f32, {static_cast<int64_t>(rows.size()), static_cast<int64_t>(rows[0].size())}});
  };
  const Value s = leaf("student", student), t = leaf("teacher", teacher);
  TermGraph::Parts parts;
  parts.student_logits = s;
  parts.teacher_logits = t;
  parts.taps = {{s, t, "pair"}};
  TermGraph term_graph(graph, term(spec.name), spec, std::move(parts));
  const Value value = term(spec.name).build(term_graph);
  const std::vector<Seed> seeds{{value, fill(graph, {}, 1)}};
  const std::vector<Value> wrt{s};
  const Value gradient = differentiate(graph, seeds, wrt)[0];
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  CompileOptions options;
  options.outputs = {value, gradient};
  Program program = compile(std::move(graph), *backend, options);
  const auto put = [&](Value to, const Rows& rows) {
    auto* out = program.tensor(to).as<float>();
    for (const auto& row : rows) out = std::copy(row.begin(), row.end(), out);
  };
  put(s, student), put(t, teacher);
  program.run(*backend->stream(Priority::normal));
  const auto* by_student = program.tensor(gradient).as<float>();
  return {*program.tensor(value).as<float>(),
          {by_student, by_student + program.tensor(gradient).elements()}};
}

double value(const TermSpec& spec, const Rows& student, const Rows& teacher) {
  return outcome(spec, student, teacher).value;
}

// Logits whose softmax at temperature `tau` is proportional to the weights.
Rows logits(const Rows& weights, float tau) {
  Rows made = weights;
  for (auto& row : made) {
    for (float& z : row) z = tau * std::log(z);
  }
  return made;
}

TEST(RelationGolden, Dist) {
  // Rows (1, 2, 3) beside (1, 3, 2), centred (-1, 0, 1) and (-1, 1, 0): rho = 1 / 2. The second
  // rows are alike. Mean of 1 - rho = 1/4.
  const Rows s{{1, 2, 3}, {3, 1, 2}}, t{{1, 3, 2}, {3, 1, 2}};
  EXPECT_NEAR(value({"dist", 1, {{"tau", 1}, {"gamma", 0}}}, logits(s, 1), logits(t, 1)), 0.25,
              1e-5);
  EXPECT_NEAR(
      value({"dist", 1, {{"tau", 1}, {"gamma", 0}, {"beta", 2}}}, logits(s, 1), logits(t, 1)), 0.5,
      1e-5);
  // At tau = 2, times 4.
  EXPECT_NEAR(value({"dist", 1, {{"tau", 2}, {"gamma", 0}}}, logits(s, 2), logits(t, 2)), 1, 1e-5);
  const Rows falling{{1, 2, 3}, {3, 2, 2.5}}, rising{{1, 3, 2}, {3, 1, 3.5}};
  // Columns. Shares 1/6, 2/6, 3/6 and 6/15, 4/15, 5/15: up, down, down. 1/6, 3/6, 2/6 and 6/15,
  // 2/15, 7/15: up, down, up. Mean of 1 - rho = (0 + 0 + 2) / 3.
  EXPECT_NEAR(value({"dist", 1, {{"tau", 1}, {"beta", 0}}}, logits(falling, 1), logits(rising, 1)),
              0.666667, 1e-5);
}

TEST(RelationGolden, SimilarityPreserving) {
  // A A^T = (1 1; 1 2), rows of norm 1: (0.70711, 0.70711), (0.44721, 0.89443); the teacher's is
  // the identity. Squares 0.085786 + 0.5 + 0.2 + 0.011146 = 0.796932; over 4.
  EXPECT_NEAR(value({"sp"}, {{1, 0}, {1, 1}}, {{1, 0}, {0, 1}}), 0.199233, 1e-6);
}

TEST(RelationGolden, Pkt) {
  // Student: cosines (1 0; 0 1) -> kernel (1 1/2; 1/2 1) -> rows (2/3, 1/3). Teacher: both alike,
  // rows (1/2, 1/2). Each row 1/2 log 3/4 + 1/2 log 3/2 = 0.058892; twice that over 4.
  EXPECT_NEAR(value({"pkt"}, {{2, 0}, {0, 3}}, {{1, 1}, {2, 2}}), 0.029446, 1e-6);
}

TEST(RelationGolden, CorrelationCongruence) {
  // Between the two pictures: cosine 0 beside 1. k(1) - k(0) = exp(-0.8) (0.8 + 0.32) = 0.503248;
  // squared 0.253259, in 2 places of 4.
  EXPECT_NEAR(value({"cc"}, {{2, 0}, {0, 3}}, {{1, 1}, {2, 2}}), 0.126629, 1e-6);
}

TEST(RelationGolden, Rkd) {
  // A triangle of sides 3, 4, 5 beside an equilateral one. Sides over their mean 4: 0.75, 1, 1.25
  // beside 1: l = 0.03125, 0, 0.03125, each twice in 9: 0.013889. Cosines 0, 0.6, 0.8 beside 0.5:
  // l = 0.125, 0.005, 0.045, each twice in 27: 0.012963.
  const Rows s{{0, 0}, {3, 0}, {0, 4}}, t{{0, 0}, {1, 0}, {0.5, std::sqrt(0.75f)}};
  EXPECT_NEAR(value({"rkd", 1, {{"angle", 0}}}, s, t), 25 * 0.0138889, 1e-5);
  EXPECT_NEAR(value({"rkd", 1, {{"distance", 0}}}, s, t), 50 * 0.0129630, 1e-5);
  EXPECT_NEAR(value({"rkd"}, s, t), 0.995370, 1e-5);
}

TEST(RelationGolden, RkdRefusesWhatNeedsTooMuchMemory) {
  Graph graph;
  const Value x = graph.input("x", {DType::f32, {1024, 512}});
  TermGraph::Parts parts;
  parts.student_logits = x;
  parts.taps = {{x, x, "pair"}};
  const TermSpec spec{"rkd"};
  TermGraph term_graph(graph, term("rkd"), spec, std::move(parts));
  try {
    term("rkd").build(term_graph);
    FAIL() << "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::usage);
    EXPECT_NE(std::string(error.what()).find("1024 pictures"), std::string::npos) << error.what();
  }
}

TEST(RelationGolden, Crd) {
  // Everything is embedded as 1, and so are both banks' rows: whatever is drawn, <v, bank> = 1. T =
  // 1, K = 1, M = 4. Of vectors +-1 the mean of exp is cosh 1, Z = 4 cosh 1 = 6.172323, P = e / Z =
  // 0.440399, K / M = 1/4. -log P / (P + 1/4) = 0.449589, -log (1/4) / (P + 1/4) = 1.015808; twice,
  // for both anchors: 2.930794.
  Graph graph;
  const Value s = graph.input("student", {DType::f32, {2, 3}});
  const Value t = graph.input("teacher", {DType::f32, {2, 1}});
  TermGraph::Parts parts;
  parts.student_logits = s;
  parts.ids = graph.input("ids", {DType::i32, {2}});
  parts.key = graph.input("key", {DType::i64, {2}});
  parts.population = 4;
  parts.taps = {{s, t, "pair"}};
  const TermSpec spec{
      "crd", 1, {{"negatives", 1}, {"temperature", 1}, {"embedding", 1}, {"momentum", 0.5}}};
  TermGraph term_graph(graph, term("crd"), spec, parts);
  const Value value = term("crd").build(term_graph);
  const auto backend = make_backend(Device::cpu, {.threads = 2});
  CompileOptions options;
  options.outputs = {value};
  Program program = compile(graph, *backend, options);
  const auto all = [&](Value v, auto x) {
    const Tensor tensor = program.tensor(v);
    std::fill_n(tensor.as<decltype(x)>(), tensor.elements(), x);
  };
  for (const Role role : {Role::parameter, Role::state, Role::input}) {
    for (const Value v : graph.leaves(role)) {
      if (graph.desc(v).dtype == DType::f32) all(v, 1.0f);
    }
  }
  all(parts.ids, int32_t{2});
  all(parts.key, int64_t{0});
  program.run(*backend->stream(Priority::normal));
  EXPECT_NEAR(*program.tensor(value).as<float>(), 2.930794, 1e-5);
}

// The banks begin as rows of norm 1 that differ between pictures and between student and teacher.
TEST(RelationGolden, CrdBanksBeginAtRandom) {
  Graph graph;
  const Value x = graph.input("x", {DType::f32, {2, 3}});
  TermGraph::Parts parts;
  parts.student_logits = x;
  parts.ids = graph.input("ids", {DType::i32, {2}});
  parts.key = graph.input("key", {DType::i64, {2}});
  parts.population = 5;
  parts.taps = {{x, x, "pair"}};
  const TermSpec spec{"crd"};
  TermGraph term_graph(graph, term("crd"), spec, parts);
  term("crd").build(term_graph);
  const Tensor student = term_graph.initial().at("term.crd.student_bank");
  const Tensor teacher = term_graph.initial().at("term.crd.teacher_bank");
  ASSERT_EQ(student.shape(), (Shape{5, 128}));
  const auto product = [](const float* a, const float* b) {
    double sum = 0;
    for (int i = 0; i < 128; ++i) sum += double{a[i]} * double{b[i]};
    return sum;
  };
  for (int64_t row = 0; row < 5; ++row) {
    const float *s = student.as<float>() + row * 128, *t = teacher.as<float>() + row * 128;
    EXPECT_NEAR(product(s, s), 1, 1e-5);
    EXPECT_LT(std::abs(product(s, t)), 0.5);
    EXPECT_LT(std::abs(product(s, student.as<float>() + (row + 1) % 5 * 128)), 0.5);
  }
}

Rows random_rows(size_t n, size_t width, float scale) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0, scale);
  Rows rows(n, std::vector<float>(width));
  for (auto& row : rows) {
    for (float& x : row) x = normal(random);
  }
  return rows;
}

TEST(RelationGolden, ValuesAndGradientsStayFinite) {
  const Rows usual = random_rows(6, 5, 1), large = random_rows(6, 5, 6e4f);
  const Rows zero(6, std::vector<float>(5, 0)), alike(6, std::vector<float>{3, -1, 2, 0, 5});
  const Rows tiny = random_rows(6, 5, 1e-30f);
  for (const char* name : {"dist", "sp", "rkd", "pkt", "cc"}) {
    for (const Rows* s : {&usual, &large, &zero, &alike, &tiny}) {
      for (const Rows* t : {&usual, &large, &zero, &alike, &tiny}) {
        const Outcome made = outcome({name}, *s, *t);
        EXPECT_TRUE(std::isfinite(made.value)) << name;
        for (const float g : made.gradient) EXPECT_TRUE(std::isfinite(g)) << name;
      }
    }
  }
}

// A student that learnt its teacher has nothing left to learn.
TEST(RelationGolden, NoneWhereBothAgree) {
  const Rows rows = random_rows(6, 5, 1);
  for (const char* name : {"dist", "sp", "rkd", "pkt", "cc"}) {
    EXPECT_NEAR(value({name}, rows, rows), 0, 1e-5) << name;
  }
}

}  // namespace
}  // namespace kd
