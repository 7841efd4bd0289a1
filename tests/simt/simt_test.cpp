// The shim itself: correct kernels pass, and each seeded bug is found.
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "kernels/kd_cuda.h"

namespace kd::kernels {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;

enum class Bug { none, no_barrier_after_write, no_barrier_before_reuse, early_return, short_mask };

__device__ float sum_of_warp(float value) {
  for (int by = kWarp / 2; by > 0; by /= 2) value += __shfl_xor_sync(kAllLanes, value, by);
  return value;
}

// y[row] = sum of x[row] + sum of 2 x[row], through one buffer that is used twice.
template <Bug kBug>
__global__ void sum_rows_twice(const float* x, float* y, int columns) {
  KD_SHARED(float, partial, kWarps);
  const int row = static_cast<int>(blockIdx.x), at = static_cast<int>(threadIdx.x);
  if (kBug == Bug::early_return && at >= columns) return;
  float total = 0;
  for (int pass = 0; pass < 2; ++pass) {
    float mine = 0;
    for (int i = at; i < columns; i += kThreads) mine += x[row * columns + i];
    mine *= static_cast<float>(pass + 1);
    mine = sum_of_warp(mine);
    if (at % kWarp == 0) partial[at / kWarp] = mine;
    if (kBug != Bug::no_barrier_after_write) __syncthreads();
    for (int w = 0; w < kWarps; ++w) total += partial[w];
    if (kBug != Bug::no_barrier_before_reuse) __syncthreads();
  }
  if (at == 0) y[row] = total;
}

template <Bug kBug>
int wrong_rows(int columns = 100) {
  const int rows = 64;
  std::vector<float> x(static_cast<size_t>(rows * columns)), y(rows, -1);
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7);
  simt::seed(3);
  launch({}, {{rows}, {kThreads}}, sum_rows_twice<kBug>, x.data(), y.data(), columns);
  int wrong = 0;
  for (int row = 0; row < rows; ++row) {
    float want = 0;
    for (int i = 0; i < columns; ++i) want += 3 * x[static_cast<size_t>(row * columns + i)];
    wrong += y[static_cast<size_t>(row)] != want;
  }
  return wrong;
}

TEST(Simt, RunsACorrectKernel) {
  EXPECT_EQ(0, wrong_rows<Bug::none>());
  EXPECT_EQ(0, wrong_rows<Bug::none>(1));
  EXPECT_EQ(0, wrong_rows<Bug::none>(1000));
}

TEST(Simt, FindsAMissingBarrierAfterAWrite) {
  EXPECT_GT(wrong_rows<Bug::no_barrier_after_write>(), 32);
}

TEST(Simt, FindsAMissingBarrierBeforeReuse) {
  EXPECT_GT(wrong_rows<Bug::no_barrier_before_reuse>(), 32);
}

TEST(Simt, FindsAReturnBeforeABarrier) {
  EXPECT_THROW(wrong_rows<Bug::early_return>(), LaunchError);
}

__global__ void shuffle_in_a_branch(float* y) {
  const float mine = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(kAllLanes, mine, 1);
}
__global__ void shuffle_of_some(float* y) {
  const float mine = static_cast<float>(threadIdx.x);
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_xor_sync(0xffffu, mine, 1);
}

TEST(Simt, FindsLanesMissingFromAWarpOperation) {
  std::vector<float> y(32);
  EXPECT_THROW(launch({}, {{1}, {32}}, shuffle_in_a_branch, y.data()), LaunchError);
  launch({}, {{1}, {32}}, shuffle_of_some, y.data());
  EXPECT_EQ(1, y[0]);
  EXPECT_EQ(14, y[15]);
}

__global__ void two_barriers(int* y) {
  if (threadIdx.x < 32) {
    __syncthreads();
  } else {
    __syncthreads();
  }
  y[threadIdx.x] = 1;
}
TEST(Simt, FindsBarriersAtTwoLines) {
  std::vector<int> y(64);
  EXPECT_THROW(launch({}, {{1}, {64}}, two_barriers, y.data()), LaunchError);
}

__global__ void read_shared_unwritten(float* y) {
  KD_SHARED(float, cell, 1);
  y[blockIdx.x] = cell[0];
  __syncthreads();
  cell[0] = 1;
}
TEST(Simt, SharedMemoryIsPoisonedForEveryBlock) {
  std::vector<float> y(4, 0);
  launch({}, {{4}, {32}}, read_shared_unwritten, y.data());
  for (const float value : y) EXPECT_TRUE(value != value);
}

__global__ void vote(unsigned* y) {
  y[threadIdx.x] = __ballot_sync(kAllLanes, threadIdx.x % 3 == 0);
}
TEST(Simt, VotesAndPartialWarps) {
  std::vector<unsigned> y(40);
  launch({}, {{1}, {40}}, vote, y.data());
  EXPECT_EQ(0x49249249u, y[0]);
  EXPECT_EQ(0x92u, y[39]);  // 33, 36, 39
}

TEST(Simt, RefusesGridsThatNoDeviceTakes) {
  unsigned y = 0;
  EXPECT_THROW(launch({}, {{1}, {2048}}, vote, &y), LaunchError);
  EXPECT_THROW(launch({}, {{1, 70000}, {32}}, vote, &y), LaunchError);
  EXPECT_THROW(launch({}, {{0}, {32}}, vote, &y), LaunchError);
}

}  // namespace
}  // namespace kd::kernels
