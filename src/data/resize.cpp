#include "data/resize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

namespace kd {
namespace {

// The weights of output pixels over input pixels, along one axis: as many for each pixel, those
// that it has no use for 0 and perhaps beyond the picture. (Loops of one length are what CPUs
// predict.)
struct Taps {
  std::vector<int> first;  // input pixel
  int count = 0;           // of weights
  int end = 0;             // of the input pixels with a weight
  std::vector<float> weights;
  int begin() const { return first.front(); }
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
  const auto n = static_cast<size_t>(axis.count);
  const auto centre = [&](size_t i) {
    return axis.start + (static_cast<double>(i) + axis.first + 0.5) * scale;
  };
  Taps made{std::vector<int>(n), 0, 0, {}};
  std::vector<int> counts(n);
  for (size_t i = 0; i < n; ++i) {
    const int first =
        std::clamp(static_cast<int>(std::floor(centre(i) - support + 0.5)), 0, axis.size - 1);
    made.first[i] = first;
    made.end =
        std::clamp(static_cast<int>(std::floor(centre(i) + support + 0.5)), first + 1, axis.size);
    counts[i] = made.end - first;
    made.count = std::max(made.count, counts[i]);
  }
  made.weights.resize(n * static_cast<size_t>(made.count));
  for (size_t i = 0; i < n; ++i) {
    const auto weight = [&](int k) {
      return std::max(0.0, 1 - std::abs((made.first[i] + k + 0.5 - centre(i)) / support));
    };
    double sum = 0;
    for (int k = 0; k < counts[i]; ++k) sum += weight(k);
    float* weights = made.weights.data() + i * static_cast<size_t>(made.count);
    for (int k = 0; k < counts[i]; ++k) {
      weights[k] = sum > 0 ? static_cast<float>(weight(k) / sum) : static_cast<float>(k == 0);
    }
  }
  return made;
}

using Four = float __attribute__((vector_size(16)));
using FourIntegers = int32_t __attribute__((vector_size(16)));
using FourBytes = uint8_t __attribute__((vector_size(4)));

// line (+)= the weighted sum of N rows. N is known so that the compiler keeps it in registers.
template <size_t N, bool adds>
void sum_rows(const std::array<const uint8_t*, 4>& rows, const float* weights, size_t bytes,
              float* __restrict line) {
  const uint8_t* __restrict a = rows[0];
  const uint8_t* __restrict b = rows[N > 1 ? 1 : 0];
  const uint8_t* __restrict c = rows[N > 2 ? 2 : 0];
  const uint8_t* __restrict d = rows[N > 3 ? 3 : 0];
  const float wa = weights[0], wb = N > 1 ? weights[1] : 0, wc = N > 2 ? weights[2] : 0,
              wd = N > 3 ? weights[3] : 0;
  for (size_t i = 0; i < bytes; ++i) {
    float sum = wa * static_cast<float>(a[i]);
    if constexpr (adds) sum = line[i] + sum;
    if constexpr (N > 1) sum += wb * static_cast<float>(b[i]);
    if constexpr (N > 2) sum += wc * static_cast<float>(c[i]);
    if constexpr (N > 3) sum += wd * static_cast<float>(d[i]);
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

// One output row of pixels of C channels, each of which Count weights make (0: as many as there
// are). Works on four values at a time: the line has room for it, the output not.
template <size_t C, int Count>
void weigh_columns(const Taps& columns, const float* __restrict line, uint8_t* __restrict out) {
  const int count = Count > 0 ? Count : columns.count, begin = columns.begin();
  const float* __restrict weights = columns.weights.data();
  const size_t last = columns.first.size() - 1;
  for (size_t i = 0; i <= last; ++i, out += C) {
    const float* from = line + static_cast<size_t>(columns.first[i] - begin) * C;
    Four sum{};
    for (int k = 0; k < count; ++k, from += C) {
      Four values;
      std::memcpy(&values, from, sizeof(values));
      sum += values * *weights++;
    }
    sum += 0.5F;                             // rounds, since they are never negative
    const FourIntegers over = sum > 255.0F;  // -1 where it is
    const auto bytes =
        __builtin_convertvector(__builtin_convertvector(sum, FourIntegers) | over, FourBytes);
    const bool room = (last - i + 1) * C >= sizeof(bytes);  // what is too much is written over
    std::memcpy(out, &bytes, room ? sizeof(bytes) : C);
  }
}

template <size_t C>
void weigh_columns(const Taps& columns, const float* line, uint8_t* out) {
  switch (columns.count) {
    case 2:
      return weigh_columns<C, 2>(columns, line, out);
    case 3:
      return weigh_columns<C, 3>(columns, line, out);
    case 4:
      return weigh_columns<C, 4>(columns, line, out);
    case 5:
      return weigh_columns<C, 5>(columns, line, out);
    case 6:
      return weigh_columns<C, 6>(columns, line, out);
    default:
      return weigh_columns<C, 0>(columns, line, out);
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
    return std::array{begin, taps(last).end - begin};
  };
  const auto rows = span(rows_of(plan)), columns = span(columns_of(plan));
  return {rows[0], columns[0], rows[1], columns[1]};
}

void resize(const ResizePlan& plan, int channels, const Pixels& src, const MutablePixels& dst) {
  const Taps rows = taps(rows_of(plan)), columns = taps(columns_of(plan));
  const auto each = static_cast<size_t>(channels);
  const size_t bytes = static_cast<size_t>(columns.end - columns.begin()) * each;
  thread_local std::vector<float> line;
  line.assign(bytes + static_cast<size_t>(columns.count) * each + 4, 0.0F);
  for (size_t y = 0; y < rows.first.size(); ++y) {
    const int first = rows.first[y];
    const float* weights = rows.weights.data() + y * static_cast<size_t>(rows.count);
    int count = std::min(rows.count, rows.end - first);  // what follows has no weight
    while (count > 1 && weights[count - 1] == 0) --count;
    for (int done = 0; done < count; done += 4) {
      const int now = std::min(4, count - done);
      std::array<const uint8_t*, 4> from{};
      for (int k = 0; k < now; ++k) {
        from[static_cast<size_t>(k)] = src.data + (first - rows.begin() + done + k) * src.stride;
      }
      (done == 0 ? sum_up_to_four<false> : sum_up_to_four<true>)(static_cast<size_t>(now), from,
                                                                 weights + done, bytes,
                                                                 line.data());
    }
    uint8_t* out = dst.data + static_cast<ptrdiff_t>(y) * dst.stride;
    channels == 1 ? weigh_columns<1>(columns, line.data(), out)
                  : weigh_columns<3>(columns, line.data(), out);
  }
}

}  // namespace kd
