// The oracle's tensor: a shape and float64 elements in row-major order. Standard library only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kd::oracle {

struct Array {
  std::vector<int64_t> shape;
  std::vector<double> data;

  static Array zeros(std::vector<int64_t> shape);
  static Array scalar(double value) { return {{}, {value}}; }
  int64_t size() const { return static_cast<int64_t>(data.size()); }
  int64_t dim(size_t axis) const { return shape.at(axis); }
  double& at(int64_t i) { return data.at(static_cast<size_t>(i)); }
  double at(int64_t i) const { return data.at(static_cast<size_t>(i)); }
  // Element (n, h, w, c) of a rank 4 array.
  double& at(int64_t n, int64_t h, int64_t w, int64_t c);
  double at(int64_t n, int64_t h, int64_t w, int64_t c) const;
};

int64_t element_count(const std::vector<int64_t>& shape);

// The coordinates of row-major element `index`, and back.
std::vector<int64_t> coordinates(const std::vector<int64_t>& shape, int64_t index);
int64_t index_of(const std::vector<int64_t>& shape, const std::vector<int64_t>& coordinates);

}  // namespace kd::oracle
