#include "distill/terms/maps.h"

namespace kd {
namespace {

// Means of windows along an axis that `size` windows cover.
Value averaged_along(Graph& graph, Value x, int axis, int64_t size) {
  const Shape shape = graph.shape(x);
  const int64_t extent = shape[axis];
  if (extent == size) return x;
  Shape one = shape;
  one.set(axis, 1);
  std::vector<Value> windows;
  for (int64_t i = 0; i < size; ++i) {
    const int64_t begin = i * extent / size, end = ((i + 1) * extent + size - 1) / size;
    const Value window = slice(graph, x, {{axis}, {begin}, {end}, {1}});
    const double share = 1.0 / static_cast<double>(end - begin);
    windows.push_back(affine(graph, sum_to(graph, window, one), share));
  }
  return size == 1 ? windows[0] : concat(graph, windows, axis);
}

}  // namespace

Value sum_of(Graph& graph, const std::vector<Value>& values) {
  Value sum = values.at(0);
  for (size_t i = 1; i < values.size(); ++i) sum = add(graph, sum, values[i]);
  return sum;
}

Value halving_mean(Graph& graph, const std::vector<Value>& last_first, int64_t pictures) {
  std::vector<Value> weighted;
  double weight = 1 / static_cast<double>(pictures);
  for (const Value layer : last_first) {
    weighted.push_back(affine(graph, layer, weight));
    weight /= 2;
  }
  return sum_of(graph, weighted);
}

Value mean_squared_difference(Graph& graph, Value a, Value b) {
  const Value apart = sub(graph, a, b);
  return mean(graph, mul(graph, apart, apart));
}

Value is_positive(Graph& graph, Value x) {
  const Value above = relu(graph, x);
  return div(graph, above, affine(graph, above, 1, 1e-30));
}

Value averaged_to(Graph& graph, Value x, int64_t height, int64_t width, std::string name) {
  const Shape shape = graph.shape(x);
  if (shape[1] == height && shape[2] == width) return x;
  if (shape[1] % height == 0 && shape[2] % width == 0) {
    PoolAttrs attrs;
    attrs.window =
        attrs.stride = {static_cast<int>(shape[1] / height), static_cast<int>(shape[2] / width)};
    return avg_pool(graph, x, attrs, std::move(name));
  }
  return averaged_along(graph, averaged_along(graph, x, 1, height), 2, width);
}

Value repeated(Graph& graph, Value x, int64_t down, int64_t right) {
  const Shape shape = graph.shape(x);
  const int64_t n = shape[0], h = shape[1], w = shape[2], c = shape[3];
  if (down > 1) {
    x = broadcast_to(graph, reshape(graph, x, {n, h, 1, w, c}), {n, h, down, w, c});
  }
  if (right > 1) {
    const int64_t rows = h * down;
    x = broadcast_to(graph, reshape(graph, x, {n, rows, w, 1, c}), {n, rows, w, right, c});
  }
  return reshape(graph, x, {n, h * down, w * right, c});
}

Value places_by_channels(Graph& graph, Value x) {
  const Shape shape = graph.shape(x);
  return reshape(graph, x, {shape[0], shape[1] * shape[2], shape[3]});
}

}  // namespace kd
