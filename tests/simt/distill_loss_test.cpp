// The fused distillation loss against the terms' definitions in float64: every variant, type and
// set of terms.
#include <bit>

#include "simt/distill_loss_problem.h"

namespace kd::kernels {
namespace {

constexpr int64_t kLengths[] = {1,   2,    10,   31,   33,   64,    65,
                                100, 1000, 1001, 2048, 2049, 21843, 131072};

class DistillLoss : public testing::TestWithParam<Type> {};

TEST_P(DistillLoss, OfEveryLength) {
  for (const int64_t k : kLengths) {
    const bool is_long = k > 3000;
    Problem p = problem(is_long ? 1 : k > 200 ? 2 : 7, k);
    if (GetParam() == Type::f16) p.scale = 1024;
    for (const DistillParams& params : {ce_only(), ce_and_kl(), every_term()}) {
      p.params = params;
      check(p, GetParam());
    }
  }
}

TEST_P(DistillLoss, OfEverySetOfTerms) {
  for (const int64_t k : {10, 1000, 3001}) {
    Problem p = problem(3, k);
    p.scale = 64;
    p.params = kl_only();
    check(p, GetParam());
    for (int which = 0; which < 4; ++which) {
      p.params = others(which);
      check(p, GetParam());
    }
  }
}

TEST_P(DistillLoss, OfUnalignedRows) {
  for (const int64_t k : {3, 33, 1000, 2048, 2049, 5000}) {
    Problem p = problem(3, k);
    p.params = ce_and_kl();
    p.misaligned = 1;
    check(p, GetParam());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, DistillLoss, testing::Values(Type::f32, Type::f16, Type::bf16));

TEST(DistillLossVariant, IsPickedByLength) {
  using V = DistillVariant;
  constexpr size_t kShared = 223 << 10;
  const auto picked = [](int64_t k, Type type = Type::f32) {
    return pick_distill_variant(type, k, true, kShared);
  };
  EXPECT_EQ(V::eight_lanes_per_row, picked(1));
  EXPECT_EQ(V::eight_lanes_per_row, picked(64));
  EXPECT_EQ(V::warp_per_row, picked(63));  // odd rows may begin inside a tile
  EXPECT_EQ(V::warp_per_row, picked(512));
  EXPECT_EQ(V::registers_of_block_per_row, picked(513));
  EXPECT_EQ(V::registers_of_block_per_row, picked(2048));
  EXPECT_EQ(V::shared_memory_of_block_per_row, picked(2049));
  EXPECT_EQ(V::shared_memory_of_block_per_row, picked(21843));
  EXPECT_EQ(V::two_sweeps_per_row, picked(30000));
  EXPECT_EQ(V::shared_memory_of_block_per_row, picked(30000, Type::f16));
  EXPECT_EQ(V::two_sweeps_per_row, picked(1000000, Type::bf16));
  EXPECT_EQ(V::two_sweeps_per_row, pick_distill_variant(Type::f32, 21843, true, 48 << 10));
}

TEST(DistillLossRuns, GiveTheSameBitsInAnyOrder) {
  for (const int64_t k : {10, 100, 1000, 2500, 30000}) {
    Problem p = problem(k > 2000 ? 2 : 9, k);
    p.params = every_term();
    simt::seed(1);
    const Result first = run(p);
    for (const uint64_t order : {2, 3, 4}) {
      simt::seed(order);
      const Result again = run(p);
      EXPECT_EQ(std::bit_cast<uint32_t>(first.total), std::bit_cast<uint32_t>(again.total));
      EXPECT_EQ(first.terms, again.terms);
      EXPECT_EQ(first.gradient, again.gradient);
    }
  }
}

}  // namespace
}  // namespace kd::kernels
