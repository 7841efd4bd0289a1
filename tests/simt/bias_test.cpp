// add_bias_rows on the host; the linear cases meet it only on a GPU.
#include "kernels/bias.h"

#include <gtest/gtest.h>

#include <vector>

#include "kernels/numeric.cuh"

namespace kd::kernels {
namespace {

template <class T>
void check(Type type, int64_t rows, int64_t columns) {
  const auto at = [&](int64_t r, int64_t c) { return static_cast<float>(r - 2 * c) / 4; };
  std::vector<T> y, bias;
  for (int64_t c = 0; c < columns; ++c) bias.push_back(from_float<T>(static_cast<float>(c) / 2));
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < columns; ++c) y.push_back(from_float<T>(at(r, c)));
  }
  const std::vector<T> before = y;
  add_bias_rows({}, {y.data(), bias.data(), rows, columns, type});
  for (int64_t i = 0; i < rows * columns; ++i) {
    const int64_t r = i / columns, c = i % columns;
    const float sum =
        to_float(before[static_cast<size_t>(i)]) + to_float(bias[static_cast<size_t>(c)]);
    EXPECT_EQ(to_float(from_float<T>(sum)), to_float(y[static_cast<size_t>(i)])) << r << " " << c;
  }
}

TEST(Bias, IsAddedToEveryRow) {
  for (const auto& [rows, columns] : {std::pair{1, 1}, {3, 10}, {5, 33}, {2, 130}}) {
    check<float>(Type::f32, rows, columns);
    check<f16>(Type::f16, rows, columns);
    check<bf16>(Type::bf16, rows, columns);
  }
}

}  // namespace
}  // namespace kd::kernels
