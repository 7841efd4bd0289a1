// What terms over features may rely on: where gradients stop, and how negatives are spread.
#include "kd/term_ops.h"

#include <gtest/gtest.h>

#include <vector>

#include "kd/error.h"
#include "kd/program.h"

namespace kd {
namespace {

TEST(TermOpsTest, NothingPassesAStoppedGradient) {
  Graph graph;
  const TensorDesc desc{DType::f32, {2, 3}};
  const Value x = graph.parameter("x", desc);
  const std::vector<Seed> seeds{{stop_gradient(graph, exp(graph, x)), graph.input("dy", desc)}};
  EXPECT_THROW(differentiate(graph, seeds, std::vector{x}), Error);
}

TEST(TermOpsTest, ABankGetsNoGradient) {
  Graph graph;
  const Value x = graph.parameter("x", {DType::f32, {2, 3}});
  const Value bank = graph.parameter("bank", {DType::f32, {5, 3}});
  const Value index = graph.input("index", {DType::i32, {2, 4}});
  const Value dy = graph.input("dy", {DType::f32, {2, 4}});
  const std::vector<Seed> seeds{{gather_dot(graph, x, bank, index), dy}};
  EXPECT_NO_THROW(differentiate(graph, seeds, std::vector{x}));
  EXPECT_THROW(differentiate(graph, seeds, std::vector{bank}), Error);
}

TEST(TermOpsTest, ShapesThatDoNotFitAreRefused) {
  Graph graph;
  const Value a = graph.input("a", {DType::f32, {2, 3, 4}});
  EXPECT_THROW(batched_matmul(graph, a, a), Error);
  EXPECT_NO_THROW(batched_matmul(graph, a, a, {.transpose_a = true}));
  EXPECT_THROW(transpose(graph, a, {0, 1}), Error);
  EXPECT_THROW(transpose(graph, a, {0, 1, 1}), Error);
  EXPECT_THROW(transpose(graph, a, {0, 1, 3}), Error);
  EXPECT_THROW(arg_max(graph, a), Error);
}

// 20 classes of 50; over 64 x 4000 draws each sample comes 256 times, give or take six sigma.
TEST(TermOpsTest, NegativesAreOfOtherClassesAndEvenlySpread) {
  constexpr int64_t kBatch = 64, kCount = 4000, kSamples = 1000;
  Graph graph;
  const Value key = graph.input("key", {DType::i64, {2}});
  const Value ids = graph.input("ids", {DType::i32, {kBatch}});
  const Value labels = graph.input("labels", {DType::i32, {kSamples}});
  const Value drawn =
      sample_negatives(graph, key, ids, labels, {.count = kCount, .population = kSamples});
  const auto backend = make_backend(Device::cpu, {});
  CompileOptions options;
  options.outputs = {drawn};
  Program program = compile(graph, *backend, options);
  for (int64_t i = 0; i < kSamples; ++i) {
    program.tensor(labels).as<int32_t>()[i] = static_cast<int32_t>(i % 20);
  }
  for (int64_t b = 0; b < kBatch; ++b) {
    program.tensor(ids).as<int32_t>()[b] = static_cast<int32_t>(b * 15 + b % 7);
  }
  const auto stream = backend->stream(Priority::normal);
  program.run(*stream);
  std::vector<int> counts(kSamples);
  const auto* at = program.tensor(drawn).as<int32_t>();
  for (int64_t b = 0; b < kBatch; ++b, at += 1 + kCount) {
    EXPECT_EQ(at[0], b * 15 + b % 7);
    for (int64_t j = 1; j <= kCount; ++j) {
      ASSERT_NE(at[j] % 20, at[0] % 20);
      ++counts.at(static_cast<size_t>(at[j]));
    }
  }
  for (const int count : counts) EXPECT_NEAR(count, kBatch * kCount / kSamples, 130);
}

}  // namespace
}  // namespace kd
