#include "oracle/pool.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace kd::oracle {
namespace {

// Number of windows along one side: they start at -before, -before + stride, ...
int64_t windows(int64_t in, int64_t before, int64_t after, int64_t window, int64_t stride,
                bool ceil_mode) {
  int64_t count = 0;
  for (int64_t start = -before;; start += stride, ++count) {
    const bool whole = start + window <= in + after;
    const bool partial = ceil_mode && start < in;  // must start inside x or its left pad
    // In ceil mode a partial window counts only if some of the padded picture is not yet covered.
    const bool uncovered = count == 0 || start - stride + window < in + after;
    if (!whole && !(partial && uncovered)) return count;
  }
}

// One window: output place, its first row and column (may be negative), element counts.
struct Window {
  int64_t n, i, j, c, row, column;
};

void visit_windows(const Array& y, const Pooling& pool,
                   const std::function<void(const Window&)>& visit) {
  for (int64_t at = 0; at < y.size(); ++at) {
    const std::vector<int64_t> where = coordinates(y.shape, at);
    visit({where[0], where[1], where[2], where[3], where[1] * pool.stride_h - pool.top,
           where[2] * pool.stride_w - pool.left});
  }
}

// What an average divides by.
double divisor(const Window& at, const Pooling& pool, int64_t h, int64_t w) {
  // With the padding counted, a window ends at the padded picture's edge at the latest.
  const int64_t low_h = pool.count_include_pad ? -pool.top : 0;
  const int64_t low_w = pool.count_include_pad ? -pool.left : 0;
  const int64_t high_h = pool.count_include_pad ? h + pool.bottom : h;
  const int64_t high_w = pool.count_include_pad ? w + pool.right : w;
  int64_t count = 0;
  for (int64_t row = at.row; row < at.row + pool.window_h; ++row)
    for (int64_t column = at.column; column < at.column + pool.window_w; ++column)
      if (row >= low_h && row < high_h && column >= low_w && column < high_w) ++count;
  return static_cast<double>(count);
}

Array output(const Array& x, const Pooling& pool) {
  return Array::zeros(
      {x.dim(0),
       windows(x.dim(1), pool.top, pool.bottom, pool.window_h, pool.stride_h, pool.ceil_mode),
       windows(x.dim(2), pool.left, pool.right, pool.window_w, pool.stride_w, pool.ceil_mode),
       x.dim(3)});
}

}  // namespace

MaxPooled max_pool(const Array& x, const Pooling& pool) {
  MaxPooled result{output(x, pool), output(x, pool)};
  visit_windows(result.y, pool, [&](const Window& at) {
    double best = -std::numeric_limits<double>::infinity();
    int64_t place = -1;
    for (int64_t r = 0; r < pool.window_h; ++r)
      for (int64_t s = 0; s < pool.window_w; ++s) {
        const int64_t row = at.row + r, column = at.column + s;
        if (row < 0 || row >= x.dim(1) || column < 0 || column >= x.dim(2)) continue;
        const double value = x.at(at.n, row, column, at.c);
        if (place < 0 || value > best) best = value, place = r * pool.window_w + s;
      }
    result.y.at(at.n, at.i, at.j, at.c) = best;
    result.index.at(at.n, at.i, at.j, at.c) = static_cast<double>(place);
  });
  return result;
}

Array max_pool_backward(const Array& dy, const Array& index, const Pooling& pool, int64_t h,
                        int64_t w) {
  Array dx = Array::zeros({dy.dim(0), h, w, dy.dim(3)});
  visit_windows(dy, pool, [&](const Window& at) {
    const auto place = static_cast<int64_t>(index.at(at.n, at.i, at.j, at.c));
    dx.at(at.n, at.row + place / pool.window_w, at.column + place % pool.window_w, at.c) +=
        dy.at(at.n, at.i, at.j, at.c);
  });
  return dx;
}

Array avg_pool(const Array& x, const Pooling& pool) {
  Array y = output(x, pool);
  visit_windows(y, pool, [&](const Window& at) {
    double sum = 0;
    for (int64_t row = std::max<int64_t>(at.row, 0);
         row < std::min(at.row + pool.window_h, x.dim(1)); ++row)
      for (int64_t column = std::max<int64_t>(at.column, 0);
           column < std::min(at.column + pool.window_w, x.dim(2)); ++column)
        sum += x.at(at.n, row, column, at.c);
    y.at(at.n, at.i, at.j, at.c) = sum / divisor(at, pool, x.dim(1), x.dim(2));
  });
  return y;
}

Array avg_pool_backward(const Array& dy, const Pooling& pool, int64_t h, int64_t w) {
  Array dx = Array::zeros({dy.dim(0), h, w, dy.dim(3)});
  visit_windows(dy, pool, [&](const Window& at) {
    const double share = dy.at(at.n, at.i, at.j, at.c) / divisor(at, pool, h, w);
    for (int64_t row = std::max<int64_t>(at.row, 0); row < std::min(at.row + pool.window_h, h);
         ++row)
      for (int64_t column = std::max<int64_t>(at.column, 0);
           column < std::min(at.column + pool.window_w, w); ++column)
        dx.at(at.n, row, column, at.c) += share;
  });
  return dx;
}

Array global_avg_pool(const Array& x) {
  Array y = Array::zeros({x.dim(0), 1, 1, x.dim(3)});
  for (int64_t i = 0; i < x.size(); ++i) {
    const std::vector<int64_t> where = coordinates(x.shape, i);
    y.at(where[0], 0, 0, where[3]) += x.at(i) / static_cast<double>(x.dim(1) * x.dim(2));
  }
  return y;
}

Array global_avg_pool_backward(const Array& dy, int64_t h, int64_t w) {
  Array dx = Array::zeros({dy.dim(0), h, w, dy.dim(3)});
  for (int64_t i = 0; i < dx.size(); ++i) {
    const std::vector<int64_t> where = coordinates(dx.shape, i);
    dx.at(i) = dy.at(where[0], 0, 0, where[3]) / static_cast<double>(h * w);
  }
  return dx;
}

}  // namespace kd::oracle
