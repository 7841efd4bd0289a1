// A profile's arithmetic, by hand: medians, shares, rates, the roof; and what its trace holds.
#include "distill/profile.h"

#include <gtest/gtest.h>

#include "core/json.h"

namespace kd {
namespace {

// Three steps of `seconds` each, a second apart, beginning at `at`.
std::vector<Span> spans(double at, const std::vector<double>& seconds) {
  std::vector<Span> all;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const double begin = at + static_cast<double>(i);
    all.push_back({begin, begin + seconds[i]});
  }
  return all;
}

// A roof of 100 FLOP and 10 bytes a second.
Profile by_hand() {
  Profile profile;
  profile.roof = {100, 10, DType::f32};
  profile.parts = {
      {"loader", {{"", "wait", "", {}, spans(50, {0.25, 0.25, 0.25})}}},
      {"forward",
       {{"conv1", "conv2d", "f32 (2)", {1, 40}, spans(50.25, {0.5, 0.75, 0.5})},
        {"bn1", "batch_norm", "f32 (2)", {2, 10}, spans(50.9, {0.25, 0.25, 0.125})}}},
      {"backward", {{"conv1", "conv2d", "f32 (2)", {1, 0}, spans(50.95, {1, 1, 1})}}},
  };
  return profile;
}

TEST(ProfileTest, PartsAreSumsOfMedians) {
  const std::vector<ProfileLine> lines = lines_of_parts(by_hand());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(by_hand().steps(), 3u);
  EXPECT_EQ(lines[1].part, "forward");
  EXPECT_DOUBLE_EQ(lines[1].seconds, 0.75);
  EXPECT_DOUBLE_EQ(lines[1].share, 0.75 / 2);
  EXPECT_DOUBLE_EQ(lines[1].flops_per_second, 50 / 0.75);
  EXPECT_DOUBLE_EQ(lines[1].bytes_per_second, 3 / 0.75);
  EXPECT_DOUBLE_EQ(lines[0].seconds, 0.25);
  EXPECT_EQ(lines[0].of_roof, 0);  // waiting has no cost
}

TEST(ProfileTest, WhatOnlySomeStepsRanCountsByItsShare) {
  Profile profile = by_hand();
  profile.parts[2].nodes[0].spans.resize(1);
  const ProfileLine line = lines_of_parts(profile)[2];
  EXPECT_DOUBLE_EQ(line.seconds, 1.0 / 3);
  EXPECT_DOUBLE_EQ(line.of_roof, 0.1);
  profile.parts[2].nodes[0].spans.clear();
  EXPECT_EQ(lines_of_parts(profile)[2].seconds, 0);
}

TEST(ProfileTest, TheRoofIsTheSlowerOfArithmeticAndMemory) {
  const std::vector<ProfileLine> lines = lines_of_layers(by_hand());
  ASSERT_EQ(lines.size(), 4u);
  EXPECT_EQ(lines[1].layer, "conv1");
  EXPECT_FALSE(lines[1].memory_bound);  // 40 / 100 s of arithmetic, 1 / 10 s of memory
  EXPECT_DOUBLE_EQ(lines[1].of_roof, 0.4 / 0.5);
  EXPECT_TRUE(lines[2].memory_bound);  // 10 / 100 s, 2 / 10 s
  EXPECT_DOUBLE_EQ(lines[2].of_roof, 0.2 / 0.25);
  EXPECT_DOUBLE_EQ(lines[3].of_roof, 0.1);
}

TEST(ProfileTest, OpsAreAddedUpTheLongestFirst) {
  const std::vector<ProfileLine> lines = lines_of_ops(by_hand());
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_EQ(lines[0].op, "conv2d");  // of both parts
  EXPECT_DOUBLE_EQ(lines[0].seconds, 1.5);
  EXPECT_DOUBLE_EQ(lines[0].of_roof, (0.4 + 0.1) / 1.5);
  double shares = 0;
  for (const ProfileLine& line : lines) shares += line.share;
  EXPECT_DOUBLE_EQ(shares, 1);
}

TEST(ProfileTest, TheTableShowsTheLongestLayersInTheOrderTheyRun) {
  const std::string table = profile_table(by_hand(), 2);
  EXPECT_NE(table.find("3 steps, one node at a time: medians, 2000.00 ms a step"),
            std::string::npos)
      << table;
  const size_t layers = table.find("the longest 2 of 4");
  ASSERT_NE(layers, std::string::npos) << table;
  const size_t first = table.find("500.000   25.0 %", layers);
  const size_t second = table.find("1000.000   50.0 %", layers);
  EXPECT_LT(first, second) << table;
  EXPECT_NE(second, std::string::npos) << table;
  EXPECT_EQ(table.find("bn1", layers), std::string::npos) << table;
}

TEST(ProfileTest, TheTraceHoldsEveryNodeOfEveryStep) {
  const Json trace = parse_json(chrome_trace(by_hand()), "trace");
  std::map<std::string, int> kinds;
  for (const Json& event : trace.at("traceEvents")) ++kinds[event.at("ph").get<std::string>()];
  EXPECT_EQ(kinds["X"], 4 * 3);
  EXPECT_EQ(kinds["M"], 3 * 2);
  const Json& conv = trace.at("traceEvents").at(7);  // loader: 2 + 3; forward: 2, then its nodes
  EXPECT_EQ(conv.at("name"), "conv1 conv2d");
  EXPECT_EQ(conv.at("cat"), "forward");
  EXPECT_EQ(conv.at("tid"), 2);
  EXPECT_DOUBLE_EQ(conv.at("ts").get<double>(), 0.25e6);
  EXPECT_DOUBLE_EQ(conv.at("dur").get<double>(), 0.5e6);
}

}  // namespace
}  // namespace kd
