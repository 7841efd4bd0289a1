// What the case table can't ask of the pointwise, moving, summing and optimiser kernels: pointers
// off their alignment, results in place, indices of more than 31 bits, numbers of launches.
#include "kernels/pointwise.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "kd/random.h"
#include "kernels/activation.h"
#include "kernels/dropout.h"
#include "kernels/map.cuh"
#include "kernels/optimizer.h"
#include "kernels/shape.h"
#include "kernels/sums.h"
#include "kernels/training.h"

namespace kd::kernels {
namespace {

// Elements that begin `offset` after a 64-byte boundary, between guards.
template <class T>
class Offset {
 public:
  Offset(int64_t count, int64_t offset)
      : count_(count),
        offset_(offset),
        all_(static_cast<size_t>(count + offset) * sizeof(T) + 128) {
    while (reinterpret_cast<uintptr_t>(all_.data() + start_) % 64 != 0) ++start_;
    std::ranges::fill(all_, std::byte{0xA5});
  }
  T* data() { return reinterpret_cast<T*>(all_.data() + start_) + offset_; }
  T& operator[](int64_t i) { return data()[i]; }
  bool is_intact() const {
    const auto is_guard = [](std::byte b) { return b == std::byte{0xA5}; };
    const auto begin = all_.begin() + static_cast<std::ptrdiff_t>(
                                          start_ + static_cast<size_t>(offset_) * sizeof(T));
    const auto end = begin + static_cast<std::ptrdiff_t>(static_cast<size_t>(count_) * sizeof(T));
    return std::all_of(all_.begin(), begin, is_guard) && std::all_of(end, all_.end(), is_guard);
  }

 private:
  int64_t count_, offset_;
  std::vector<std::byte> all_;
  size_t start_ = 0;
};

template <class T>
Offset<T> random_floats(int64_t count, int64_t offset, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Offset<T> made(count, offset);
  for (int64_t i = 0; i < count; ++i) made[i] = from_float<T>(normal(random));
  return made;
}

template <class T>
bool same_bits(T a, T b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

struct Placement3 {
  int64_t a, b, y;
};
constexpr Placement3 kPlacements[] = {{0, 0, 0}, {1, 0, 0}, {0, 3, 0}, {0, 0, 1}, {2, 1, 5}};

template <class T>
void check_division(Type type, const Extents& dims_b, int64_t count_b, const Placement3& at) {
  const Extents dims{{1, 1, 1, 70, 24}};
  auto a = random_floats<T>(dims.elements(), at.a, 1), b = random_floats<T>(count_b, at.b, 2);
  Offset<T> y(dims.elements(), at.y);
  BinaryArgs args{type, BinaryOp::div, a.data(), b.data(), y.data(), dims, dims_b, dims};
  const auto wrong = [&](Offset<T>& got, Offset<T>& first, bool reversed) {
    int count = 0;
    for (int64_t i = 0; i < dims.elements(); ++i) {
      const float p = to_float(first[i]), q = to_float(b[count_b == 1 ? 0 : i % count_b]);
      count += !same_bits(got[i], from_float<T>(reversed ? q / p : p / q));
    }
    return count;
  };
  binary({}, args);
  EXPECT_EQ(0, wrong(y, a, false));
  std::swap(args.a, args.b), std::swap(args.dims_a, args.dims_b);
  binary({}, args);
  EXPECT_EQ(0, wrong(y, a, true));
  EXPECT_TRUE(y.is_intact());
  auto original = random_floats<T>(dims.elements(), at.a, 1);
  binary({}, {type, BinaryOp::div, a.data(), b.data(), a.data(), dims, dims_b, dims});  // in place
  EXPECT_EQ(0, wrong(a, original, false));
  EXPECT_TRUE(a.is_intact());
}

TEST(Pointwise, BroadcastsAtAnyAddressAndInPlace) {
  for (const Placement3& at : kPlacements) {
    for (const auto& [dims_b, count_b] : {std::pair{Extents{{1, 1, 1, 70, 24}}, int64_t{1680}},
                                          {Extents{}, 1},
                                          {Extents{{1, 1, 1, 1, 24}}, 24}}) {
      check_division<float>(Type::f32, dims_b, count_b, at);
      check_division<f16>(Type::f16, dims_b, count_b, at);
      check_division<bf16>(Type::bf16, dims_b, count_b, at);
    }
  }
}

TEST(Pointwise, UnaryAtAnyAddressAndInPlace) {
  const int64_t count = 1031;
  for (const Placement3& at : kPlacements) {
    auto x = random_floats<f16>(count, at.a, 3), original = random_floats<f16>(count, at.a, 3);
    Offset<float> wide(count, at.b);
    cast({}, {Type::f16, x.data(), wide.data(), count}, Type::f32);
    affine({}, {Type::f16, x.data(), x.data(), count}, 2, 1);
    activation({}, {Type::f16, ActivationKind::relu, x.data(), nullptr, x.data(), count});
    for (int64_t i = 0; i < count; ++i) {
      const float was = to_float(original[i]);
      ASSERT_EQ(was, wide[i]);
      const float line = to_float(from_float<f16>(was * 2 + 1));
      ASSERT_EQ(line < 0 ? 0 : line, to_float(x[i]));
    }
    EXPECT_TRUE(x.is_intact() && wide.is_intact());
  }
}

TEST(Pointwise, OffsetsOfWideIndices) {
  std::mt19937_64 random(5);
  for (int trial = 0; trial < 2000; ++trial) {
    const int64_t divisor = 1 + static_cast<int64_t>(random() >> (33 + random() % 31));
    const auto n = static_cast<int64_t>(random() >> (33 + random() % 31));
    ASSERT_EQ(n / divisor, Divider(divisor).quotient(n, true)) << n << " / " << divisor;
  }
  for (const int64_t divisor : {int64_t{1}, int64_t{2}, int64_t{3}, (int64_t{1} << 31) - 1}) {
    const int64_t n = (int64_t{1} << 31) - 1;
    EXPECT_EQ(n / divisor, Divider(divisor).quotient(n, true));
  }
  // Of (5, 2^20, 3, 4097) read with the second and the last axis exchanged.
  const Extents dims{{1, 5, int64_t{1} << 20, 3, 4097}};
  const Strides strides{{0, 4097 * (int64_t{3} << 20), 1, int64_t{4097} << 20, int64_t{1} << 20}};
  const Strided strided(dims, strides);
  for (int trial = 0; trial < 1000; ++trial) {
    const auto i = static_cast<int64_t>(random() % static_cast<uint64_t>(dims.elements()));
    const int64_t i4 = i % 4097, i3 = i / 4097 % 3, i2 = i / 4097 / 3 % (1 << 20);
    const int64_t i1 = i / 4097 / 3 >> 20;
    ASSERT_EQ(i1 * strides.at[1] + i2 + i3 * strides.at[3] + i4 * strides.at[4], strided.offset(i));
  }
}

TEST(Pointwise, DropoutHasTheBitsOfTheEngine) {
  const int64_t count = 2061, key[2] = {0x123456789ABCDEF, 77}, tensor_id = 0x9876543210;
  for (const Placement3& at : kPlacements) {
    auto x = random_floats<bf16>(count, at.a, 4);
    Offset<bf16> y(count, at.y);
    const double rate = 0.3;
    dropout({}, {Type::bf16, x.data(), y.data(), count, key, rate, tensor_id});
    int wrong = 0;
    for (int64_t i = 0; i < count; ++i) {
      const auto words =
          random_words(static_cast<uint64_t>(key[0]), Purpose::dropout, 77,
                       static_cast<uint64_t>(tensor_id), static_cast<uint32_t>(i / 4));
      const bool kept = double{uniform01(words[static_cast<size_t>(i % 4)])} >= rate;
      const float want = kept ? to_float(x[i]) * static_cast<float>(1 / (1 - rate)) : 0.0f;
      wrong += !same_bits(y[i], from_float<bf16>(want));
    }
    EXPECT_EQ(0, wrong);
    EXPECT_TRUE(y.is_intact());
  }
}

template <class Unit>
void check_moves(int64_t src_at, int64_t dst_at) {
  const int64_t rows = 37, columns = 24, wide = 40, begin = 8;
  Offset<Unit> src(rows * columns, src_at), dst(rows * wide, dst_at), back(rows * columns, src_at);
  for (int64_t i = 0; i < rows * columns; ++i) src[i] = static_cast<Unit>(i * 2654435761 + 1);
  PlaceBoxArgs place{src.data(), dst.data(), sizeof(Unit), {{1, 1, 1, rows, wide}}, {}, {}, {}};
  place.count = {{1, 1, 1, rows, columns}};
  place.begin = {{0, 0, 0, 0, begin}};
  place_box({}, place);
  int wrong = 0;
  for (int64_t i = 0; i < rows * wide; ++i) {
    const int64_t column = i % wide - begin;
    const bool inside = column >= 0 && column < columns;
    wrong += dst[i] != (inside ? src[i / wide * columns + column] : Unit{0});
  }
  copy_box({}, {dst.data() + begin,
                back.data(),
                sizeof(Unit),
                place.count,
                {{0, 0, 0, wide, 1}},
                {{0, 0, 0, columns, 1}}});
  for (int64_t i = 0; i < rows * columns; ++i) wrong += back[i] != src[i];
  Offset<Unit> whole(rows * columns, dst_at);
  copy({}, src.data(), whole.data(), rows * columns * static_cast<int64_t>(sizeof(Unit)));
  for (int64_t i = 0; i < rows * columns; ++i) wrong += whole[i] != src[i];
  EXPECT_EQ(0, wrong) << sizeof(Unit) << " bytes at " << src_at << ", " << dst_at;
  EXPECT_TRUE(dst.is_intact() && back.is_intact() && whole.is_intact());
}

TEST(Moving, ElementsOfEverySizeAtAnyAddress) {
  for (const int64_t src_at : {0, 1, 2, 4}) {
    for (const int64_t dst_at : {0, 1, 2, 8}) {
      check_moves<uint8_t>(src_at, dst_at);
      check_moves<uint16_t>(src_at, dst_at);
      check_moves<uint32_t>(src_at, dst_at);
      check_moves<uint64_t>(src_at, dst_at);
    }
  }
}

TEST(Sums, AtAnyAddressAndInTwoLaunches) {
  for (const int64_t at : {0, 1, 8}) {
    for (const Extents& dims_y :
         {Extents{}, Extents{{1, 1, 1, 1, 64}}, Extents{{1, 1, 1, 300, 1}}}) {
      const Extents dims_x{{1, 1, 1, 300, 64}};
      Offset<f16> x(dims_x.elements(), at), y(dims_y.elements(), at);
      std::vector<float> want(static_cast<size_t>(dims_y.elements()), 0);
      for (int64_t i = 0; i < dims_x.elements(); ++i) {
        const auto value = static_cast<float>(i % 13 - 6);  // sums are exact
        x[i] = from_float<f16>(value);
        const int64_t to = want.size() == 64 ? i % 64 : want.size() == 300 ? i / 64 : 0;
        want[static_cast<size_t>(to)] += value;
      }
      std::vector<float> workspace(sum_workspace(dims_x, dims_y) / sizeof(float), NAN);
      const int64_t before = simt::record().launches;
      sum_to({}, {Type::f16, x.data(), y.data(), dims_x, dims_y, workspace.data()});
      EXPECT_EQ(workspace.empty() ? 1 : 2, simt::record().launches - before);
      for (int64_t i = 0; i < dims_y.elements(); ++i) {
        ASSERT_EQ(want[static_cast<size_t>(i)], to_float(y[i]));
      }
      EXPECT_TRUE(y.is_intact());
    }
  }
}

// More outputs than blocks, so that blocks take several.
TEST(Sums, BlocksLoop) {
  const Extents dims_x{{1, 1, 4100, 3, 2}}, dims_y{{1, 1, 4100, 1, 2}};
  std::vector<float> x(static_cast<size_t>(dims_x.elements()), 1);
  std::vector<float> y(static_cast<size_t>(dims_y.elements()));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 1021);
  ASSERT_EQ(0u, sum_workspace(dims_x, dims_y));
  sum_to({}, {Type::f32, x.data(), y.data(), dims_x, dims_y, nullptr});
  int wrong = 0;
  for (size_t i = 0; i < y.size(); ++i) {
    const size_t at = i / 2 * 6 + i % 2;
    wrong += y[i] != x[at] + x[at + 2] + x[at + 4];
  }
  EXPECT_EQ(0, wrong);
}

struct Updated {
  std::vector<float> w, first, second, low;
  bool operator==(const Updated&) const = default;
};

// One mixed update of 1030 + 21 parameters whose arrays begin `at` elements off their alignment.
Updated mixed_update(Optimizer kind, int64_t at) {
  const int64_t lows = 1030, highs = 21, count = lows + highs;
  auto w = random_floats<float>(count, at, 1), first = random_floats<float>(count, at, 2);
  auto second = random_floats<float>(count, at, 5);
  for (int64_t i = 0; i < count; ++i) second[i] *= second[i];
  auto low_gradient = random_floats<f16>(lows, at, 3);
  auto high_gradient = random_floats<float>(highs, at, 4);
  Offset<f16> low(lows, at);
  std::vector<float> squares(kSquarePartials);
  const GradientArgs gradient{Type::f16, low_gradient.data(), high_gradient.data(), lows, highs};
  gradient_squares({}, gradient, squares.data());
  float total = 0, want = 0;
  for (int64_t i = 0; i < lows; ++i) want += to_float(low_gradient[i]) * to_float(low_gradient[i]);
  for (int64_t i = 0; i < highs; ++i) want += high_gradient[i] * high_gradient[i];
  for (const float square : squares) total += square;
  EXPECT_NEAR(want, total, 1e-5f * want);
  const float lr = 0.125f, scale = 512;
  const int64_t key[] = {1, 5};
  const int32_t segments[] = {0, 512, 1051};
  const std::vector<float> norms(2 * 2 * kLambParts, 0.75f);
  const int64_t before = simt::record().launches;
  OptimizerArgs args;
  args.rule.kind = kind;
  args.rule.momentum = 0.9f, args.rule.nesterov = true;
  args.rule.decay = 1e-4f, args.rule.decay_elements = lows;
  args.rule.keep1 = 0.5f, args.rule.take1 = 0.5f, args.rule.log_keep1 = -0.7f;
  args.rule.keep2 = 0.25f, args.rule.take2 = 0.75f, args.rule.log_keep2 = -1.4f;
  args.weights = w.data(), args.first = first.data(), args.second = second.data();
  args.gradient = gradient;
  args.copy_type = Type::f16, args.copies = low.data(), args.copied = lows;
  args.step = {squares.data(), &scale, &lr, key, nullptr};
  args.segments = segments, args.segment_count = 2, args.norms = norms.data();
  optimizer_update({}, args);
  EXPECT_EQ(1, simt::record().launches - before);
  EXPECT_TRUE(w.is_intact() && first.is_intact() && second.is_intact() && low.is_intact());
  Updated made;
  for (int64_t i = 0; i < count; ++i) {
    made.w.push_back(w[i]), made.first.push_back(first[i]), made.second.push_back(second[i]);
  }
  for (int64_t i = 0; i < lows; ++i) made.low.push_back(to_float(low[i]));
  return made;
}

TEST(Optimizer, AlignmentChangesNoBit) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::adagrad, Optimizer::rmsprop,
                               Optimizer::adam, Optimizer::adamw, Optimizer::lamb}) {
    const Updated want = mixed_update(kind, 0);
    EXPECT_NE(random_floats<float>(1051, 0, 1)[0], want.w[0]);
    for (const int64_t at : {1, 2, 3, 4, 5}) EXPECT_EQ(want, mixed_update(kind, at)) << at;
  }
}

// All of the arena is updated, and each copy is its weight, rounded.
TEST(Optimizer, CopiesAreTheWeights) {
  for (const Optimizer kind : {Optimizer::sgd, Optimizer::rmsprop, Optimizer::lamb}) {
    const Updated made = mixed_update(kind, 0);
    auto before = random_floats<float>(1051, 0, 1);
    for (size_t i = 0; i < made.w.size(); ++i) {
      EXPECT_NE(before[static_cast<int64_t>(i)], made.w[i]) << i;
    }
    for (size_t i = 0; i < made.low.size(); ++i) {
      EXPECT_EQ(to_float(from_float<f16>(made.w[i])), made.low[i]) << i;
    }
  }
}

// Every partial sum counts: a NaN in any gradient element stops the update.
TEST(Optimizer, AnyNanIsSeen) {
  for (const int64_t at : {0, 1}) {
    for (const int64_t planted : {0, 1029, 4096, 4098, 4099, 4119}) {
      const int64_t lows = 4099, highs = 21;
      auto low = random_floats<bf16>(lows, at, 3);
      auto high = random_floats<float>(highs, at, 4);
      if (planted < lows) low[planted] = from_float<bf16>(NAN);
      if (planted >= lows) high[planted - lows] = NAN;
      std::vector<float> squares(kSquarePartials);
      gradient_squares({}, {Type::bf16, low.data(), high.data(), lows, highs}, squares.data());
      float scale = 64;
      int32_t counters[2] = {3, 4};
      loss_scale_update({}, {squares.data(), &scale, counters, 2, 0.5f, 1, 1024, 5});
      EXPECT_EQ(32, scale) << planted;
      EXPECT_EQ(0, counters[0]);
      EXPECT_EQ(5, counters[1]);
    }
  }
}

}  // namespace
}  // namespace kd::kernels
