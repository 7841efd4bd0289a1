#include "data/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

namespace kd {
namespace {

// The weights of output pixels over input pixels, along one axis.
struct Taps {
  struct One {
    int first, count;  // input pixels
    size_t at;         // of their weights
  };
  std::vector<One> pixels;
  std::vector<float> weights;
  int begin() const { return pixels.front().first; }
  int end() const { return pixels.back().first + pixels.back().count; }
};

// A triangle as wide as the shrinking factor, at least one pixel, around each output pixel of
// [first, first + count) of `out` that [start, start + length) of `size` becomes.
struct Axis {
  double start, length;
  int size, out, first, count;
};
Axis rows_of(const ResizePlan& p) {
  return {p.region.top, p.region.height, p.from.height, p.to.height, p.window.top, p.window.height};
}
Axis columns_of(const ResizePlan& p) {
  return {p.region.left, p.region.width, p.from.width, p.to.width, p.window.left, p.window.width};
}

Taps taps(const Axis& axis) {
  const double scale = axis.length / axis.out, support = std::max(scale, 1.0);
  Taps made;
  made.pixels.reserve(static_cast<size_t>(axis.count));
  made.weights.reserve(static_cast<size_t>(axis.count) * static_cast<size_t>(2 * support + 2));
  for (int i = axis.first; i < axis.first + axis.count; ++i) {
    const double centre = axis.start + (i + 0.5) * scale;
    const int first =
        std::clamp(static_cast<int>(std::floor(centre - support + 0.5)), 0, axis.size - 1);
    const int last =
        std::clamp(static_cast<int>(std::floor(centre + support + 0.5)), first + 1, axis.size);
    const auto weight = [&](int at) {
      return std::max(0.0, 1 - std::abs((at + 0.5 - centre) / support));
    };
    double sum = 0;
    for (int at = first; at < last; ++at) sum += weight(at);
    const size_t begin = made.weights.size();
    for (int at = first; at < last; ++at) {
      made.weights.push_back(sum > 0 ? static_cast<float>(weight(at) / sum) : at == first);
    }
    made.pixels.push_back({first, last - first, begin});
  }
  return made;
}

// line (+)= the weighted sum of N rows. N is known so that the compiler keeps it in registers.
template <size_t N, bool adds>
void sum_rows(const std::array<const uint8_t*, 4>& rows, const float* weights, size_t bytes,
              float* line) {
  for (size_t i = 0; i < bytes; ++i) {
    float sum = adds ? line[i] : 0;
    for (size_t k = 0; k < N; ++k) sum += weights[k] * static_cast<float>(rows[k][i]);
    line[i] = sum;
  }
}

template <bool adds>
void sum_up_to_four(size_t count, const std::array<const uint8_t*, 4>& rows, const float* weights,
                    size_t bytes, float* line) {
  switch (count) {
    case 1:
      return sum_rows<1, adds>(rows, weights, bytes, line);
    case 2:
      return sum_rows<2, adds>(rows, weights, bytes, line);
    case 3:
      return sum_rows<3, adds>(rows, weights, bytes, line);
    default:
      return sum_rows<4, adds>(rows, weights, bytes, line);
  }
}

uint8_t rounded(float value) {
  return static_cast<uint8_t>(std::min(value + 0.5F, 255.0F));  // never negative
}

// One output row of pixels of C channels. Works on four values at a time: the line has room for it.
template <size_t C>
void weigh_columns(const Taps& columns, const float* line, uint8_t* out) {
  const int begin = columns.begin();
  for (const Taps::One& one : columns.pixels) {
    const float* from = line + static_cast<size_t>(one.first - begin) * C;
    const float* weights = columns.weights.data() + one.at;
    std::array<float, 4> sum{};
    for (int k = 0; k < one.count; ++k, from += C) {
      for (size_t c = 0; c < (C == 1 ? 1 : 4); ++c) sum[c] += weights[k] * from[c];
    }
    for (size_t c = 0; c < C; ++c) *out++ = rounded(sum[c]);
  }
}

}  // namespace

Window pixels_read(const ResizePlan& plan) {
  // The outermost pixels of an axis read the furthest.
  const auto span = [](Axis axis) {
    Axis last = axis;
    last.first += axis.count - 1;
    axis.count = last.count = 1;
    const int begin = taps(axis).begin();
    return std::array{begin, taps(last).end() - begin};
  };
  const auto rows = span(rows_of(plan)), columns = span(columns_of(plan));
  return {rows[0], columns[0], rows[1], columns[1]};
}

void resize(const ResizePlan& plan, int channels, const Pixels& src, const MutablePixels& dst) {
  const Taps rows = taps(rows_of(plan)), columns = taps(columns_of(plan));
  const size_t bytes =
      static_cast<size_t>(columns.end() - columns.begin()) * static_cast<size_t>(channels);
  thread_local std::vector<float> line;
  line.assign(bytes + 4, 0.0F);
  for (size_t y = 0; y < rows.pixels.size(); ++y) {
    const Taps::One& row = rows.pixels[y];
    for (int done = 0; done < row.count; done += 4) {
      const int count = std::min(4, row.count - done);
      std::array<const uint8_t*, 4> from{};
      for (int k = 0; k < count; ++k) {
        from[static_cast<size_t>(k)] =
            src.data + (row.first - rows.begin() + done + k) * src.stride;
      }
      const float* weights = rows.weights.data() + row.at + done;
      (done == 0 ? sum_up_to_four<false> : sum_up_to_four<true>)(static_cast<size_t>(count), from,
                                                                 weights, bytes, line.data());
    }
    uint8_t* out = dst.data + static_cast<ptrdiff_t>(y) * dst.stride;
    channels == 1 ? weigh_columns<1>(columns, line.data(), out)
                  : weigh_columns<3>(columns, line.data(), out);
  }
}

}  // namespace kd
