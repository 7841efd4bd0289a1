#include "core/planner.h"

#include <gtest/gtest.h>

#include "kd/random.h"

namespace kd {
namespace {

void expect_disjoint(const std::vector<Lifetime>& blocks, const ArenaPlan& plan) {
  for (size_t a = 0; a < blocks.size(); ++a) {
    EXPECT_EQ(plan.offsets[a] % kArenaAlignment, 0u);
    EXPECT_LE(plan.offsets[a] + blocks[a].bytes, plan.bytes);
    for (size_t b = 0; b < a; ++b) {
      const bool together = blocks[a].first <= blocks[b].last && blocks[b].first <= blocks[a].last;
      const bool apart = plan.offsets[a] + blocks[a].bytes <= plan.offsets[b] ||
                         plan.offsets[b] + blocks[b].bytes <= plan.offsets[a];
      EXPECT_TRUE(!together || apart || !blocks[a].bytes || !blocks[b].bytes) << a << ' ' << b;
    }
  }
}

TEST(PlannerTest, AChainNeedsTwoBlocks) {
  std::vector<Lifetime> blocks;
  for (int i = 0; i < 10; ++i) blocks.push_back({i, i + 1, 1024});
  const ArenaPlan plan = plan_arena(blocks);
  expect_disjoint(blocks, plan);
  EXPECT_EQ(plan.bytes, 2048u);
}

TEST(PlannerTest, RandomBlocksNeverOverlap) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    RandomSequence random(seed, Purpose::init, 0, 0);
    std::vector<Lifetime> blocks;
    for (int i = 0; i < 60; ++i) {
      const int first = static_cast<int>(random.below(50));
      blocks.push_back({first, first + static_cast<int>(random.below(12)), random.below(5000)});
    }
    expect_disjoint(blocks, plan_arena(blocks));
  }
}

TEST(PlannerTest, NothingNeedsNothing) {
  EXPECT_EQ(plan_arena({}).bytes, 0u);
  const std::vector<Lifetime> empty{{0, 1, 0}};
  EXPECT_EQ(plan_arena(empty).bytes, 0u);
}

}  // namespace
}  // namespace kd
