// self and mutual by hand.
#include <gtest/gtest.h>

#include <cmath>

#include "kd/backend.h"
#include "kd/error.h"
#include "kd/program.h"
#include "kd/term_graph.h"

namespace kd {
namespace {

struct Given {
  Value value;
  std::vector<float> numbers;
};

// A term's value, and the gradients towards some of what it is given.
class TermRun {
 public:
  Value give(const std::string& name, const Shape& shape, std::vector<float> numbers) {
    given_.push_back({graph_.parameter(name, {DType::f32, shape}), std::move(numbers)});
    return given_.back().value;
  }
  Value labels(const std::vector<int32_t>& numbers) {
    labels_ = numbers;
    label_leaf_ = graph_.input("labels", {DType::i32, {static_cast<int64_t>(numbers.size())}});
    return label_leaf_;
  }
  Graph& graph() { return graph_; }
  std::vector<std::vector<float>> run(const TermSpec& spec, TermGraph::Parts parts,
                                      const std::vector<Value>& wrt) {
    const TermDef& def = term(spec.name);
    TermGraph made(graph_, def, spec, std::move(parts));
    CompileOptions options;
    options.outputs = {def.build(made)};
    const std::vector<Seed> seeds{{options.outputs[0], fill(graph_, {}, 1)}};
    for (const Value v : differentiate(graph_, seeds, wrt)) options.outputs.push_back(v);
    const auto backend = make_backend(Device::cpu, {.threads = 2});
    Program program = compile(graph_, *backend, options);
    for (const Given& g : given_) {
      std::ranges::copy(g.numbers, program.tensor(g.value).as<float>());
    }
    std::ranges::copy(labels_, program.tensor(label_leaf_).as<int32_t>());
    program.run(*backend->stream(Priority::normal));
    std::vector<std::vector<float>> results;
    for (const Value v : options.outputs) {
      const Tensor t = program.tensor(v);
      results.emplace_back(t.as<float>(), t.as<float>() + t.elements());
    }
    return results;
  }

 private:
  Graph graph_;
  std::vector<Given> given_;
  std::vector<int32_t> labels_;
  Value label_leaf_;
};

const float kLog3 = std::log(3.0f);

TEST(PeerTermsGolden, Mutual) {
  // Student (3/4, 1/4), peer (1/2, 1/2), label 0.
  // KL(peer || student) = 1/2 log 2/3 + 1/2 log 2 = 0.143841; CE(peer) = log 2 = 0.693147;
  // KL(student || peer) = 3/4 log 3/2 + 1/4 log 1/2 = 0.130812: together 0.967800.
  TermRun run;
  TermGraph::Parts parts;
  parts.student_logits = run.give("student", {1, 2}, {kLog3, 0});
  parts.peer_logits = run.give("peer", {1, 2}, {0, 0});
  parts.labels = run.labels({0});
  const auto results =
      run.run({.name = "mutual"}, parts, {parts.student_logits, parts.peer_logits});
  EXPECT_NEAR(results[0][0], 0.967800, 1e-5);
  // Student: p_s - p_q = 1/4, nothing through the other divergence. Peer: (p_q - y) + (p_q - p_s)
  // = -1/2 - 1/4.
  EXPECT_NEAR(results[1][0], 0.25, 1e-6);
  EXPECT_NEAR(results[1][1], -0.25, 1e-6);
  EXPECT_NEAR(results[2][0], -0.75, 1e-6);
  EXPECT_NEAR(results[2][1], 0.75, 1e-6);
}

TEST(PeerTermsGolden, FiniteWhereProbabilitiesVanish) {
  TermRun run;
  TermGraph::Parts parts;
  parts.student_logits = run.give("student", {1, 3}, {50, -50, 0.5f});
  parts.peer_logits = run.give("peer", {1, 3}, {-50, 50, 50.5f});
  parts.labels = run.labels({0});
  const TermSpec spec{.name = "mutual", .params = {{"temperature", 0.05}}};
  for (const auto& numbers : run.run(spec, parts, {parts.student_logits, parts.peer_logits})) {
    for (const float x : numbers) EXPECT_TRUE(std::isfinite(x));
  }
}

class SelfGolden : public testing::Test {
 protected:
  // A 2 x 2 map of mean 2 and a deepest map of 5, one channel; the exit's logits are 3 log 3, 0.
  SelfGolden() {
    shallow_ = run_.give("shallow", {1, 2, 2, 1}, {1, 2, 2, 3});
    deepest_ = run_.give("deepest", {1, 1, 1, 1}, {5});
    parts_.student_logits = run_.give("logits", {1, 2}, {0, 0});
    parts_.labels = run_.labels({0});
    parts_.taps = {{shallow_, {}, "a"}, {deepest_, {}, "b"}};
    run_.give("term.self.a.weight", {1, 1, 1, 1}, {1});
    run_.give("term.self.a.bias", {1}, {0});
    run_.give("term.self.a.classifier.weight", {2, 1}, {1.5f * kLog3, 0});
    run_.give("term.self.a.classifier.bias", {2}, {0, 0});
  }
  TermRun run_;
  TermGraph::Parts parts_;
  Value shallow_, deepest_;
};

TEST_F(SelfGolden, OneExit) {
  // CE = log(1 + 3^-3) = 0.036368; at T = 3 the exit is (3/4, 1/4), the student (1/2, 1/2):
  // 9 x 0.143841 = 1.294569; (2 - 5)^2 = 9: 0.7 CE + 0.3 KL + 0.03 x 9 = 0.683828.
  const Value bias = run_.graph().find("term.self.a.classifier.bias");
  const auto results = run_.run({.name = "self"}, parts_, {shallow_, bias});
  EXPECT_NEAR(results[0][0], 0.683828, 1e-5);
  // Classifier: 0.7 (27/28 - 1) + 0.3 x 3 (3/4 - 1/2) = -0.025 + 0.225 = 0.2.
  EXPECT_NEAR(results[2][0], 0.2, 1e-6);
  // Map, a quarter to each place: 0.2 x 1.5 log 3 + 0.03 x 2 (2 - 5) = 0.329584 - 0.18.
  EXPECT_NEAR(results[1][3], 0.149584 / 4, 1e-6);
}

TEST_F(SelfGolden, WhatTeachesGetsNoGradient) {
  EXPECT_THROW(run_.run({.name = "self"}, parts_, {deepest_}), Error);
}

}  // namespace
}  // namespace kd
