#include "kd/shape.h"

#include <algorithm>
#include <ostream>

#include "kd/error.h"

namespace kd {

Shape::Shape(std::initializer_list<int64_t> dims)
    : Shape(std::span<const int64_t>(dims.begin(), dims.size())) {}

Shape::Shape(std::span<const int64_t> dims) {
  KD_CHECK(dims.size() <= kMaxRank, "a shape has {} dimensions, expected at most {}", dims.size(),
           kMaxRank);
  for (const int64_t size : dims) {
    KD_CHECK(size >= 0, "a shape has the dimension {}, expected 0 or more", size);
    dims_[static_cast<size_t>(rank_++)] = size;
  }
}

int64_t Shape::elements() const {
  int64_t product = 1;
  for (const int64_t size : dims()) {
    KD_CHECK(!__builtin_mul_overflow(product, size, &product), "the shape {} overflows", str());
  }
  return product;
}

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

std::string Shape::str() const {
  std::string text = "(";
  for (int axis = 0; axis < rank_; ++axis) {
    if (axis) text += ", ";
    text += std::to_string((*this)[axis]);
  }
  return text + ")";
}

std::ostream& operator<<(std::ostream& out, const Shape& shape) { return out << shape.str(); }

}  // namespace kd
