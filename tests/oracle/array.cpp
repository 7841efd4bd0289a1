#include "oracle/array.h"

namespace kd::oracle {

int64_t element_count(const std::vector<int64_t>& shape) {
  int64_t count = 1;
  for (const int64_t size : shape) count *= size;
  return count;
}

Array Array::zeros(std::vector<int64_t> shape) {
  const auto count = static_cast<size_t>(element_count(shape));
  return {std::move(shape), std::vector<double>(count, 0.0)};
}

double& Array::at(int64_t n, int64_t h, int64_t w, int64_t c) {
  return at(((n * dim(1) + h) * dim(2) + w) * dim(3) + c);
}
double Array::at(int64_t n, int64_t h, int64_t w, int64_t c) const {
  return at(((n * dim(1) + h) * dim(2) + w) * dim(3) + c);
}

std::vector<int64_t> coordinates(const std::vector<int64_t>& shape, int64_t index) {
  std::vector<int64_t> result(shape.size());
  for (size_t axis = shape.size(); axis-- > 0;) {
    result[axis] = index % shape[axis];
    index /= shape[axis];
  }
  return result;
}

int64_t index_of(const std::vector<int64_t>& shape, const std::vector<int64_t>& where) {
  int64_t index = 0;
  for (size_t axis = 0; axis < shape.size(); ++axis) index = index * shape[axis] + where[axis];
  return index;
}

}  // namespace kd::oracle
