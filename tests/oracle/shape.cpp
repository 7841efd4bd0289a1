#include "oracle/shape.h"

namespace kd::oracle {
namespace {

// Where an element of the slice comes from.
std::vector<int64_t> source(std::vector<int64_t> where, const std::vector<Range>& ranges) {
  for (const Range& range : ranges) {
    where[range.axis] = range.begin + where[range.axis] * range.step;
  }
  return where;
}

}  // namespace

Array reshape(const Array& x, std::vector<int64_t> shape) { return {std::move(shape), x.data}; }

Array concat(const std::vector<Array>& parts, size_t axis) {
  std::vector<int64_t> shape = parts.at(0).shape;
  shape[axis] = 0;
  for (const Array& part : parts) shape[axis] += part.shape[axis];
  Array y = Array::zeros(shape);
  int64_t begin = 0;
  for (const Array& part : parts) {
    for (int64_t i = 0; i < part.size(); ++i) {
      std::vector<int64_t> where = coordinates(part.shape, i);
      where[axis] += begin;
      y.at(index_of(y.shape, where)) = part.at(i);
    }
    begin += part.shape[axis];
  }
  return y;
}

Array slice(const Array& x, const std::vector<Range>& ranges) {
  std::vector<int64_t> shape = x.shape;
  for (const Range& range : ranges) {
    shape[range.axis] = 0;
    for (int64_t at = range.begin; at < range.end; at += range.step) ++shape[range.axis];
  }
  Array y = Array::zeros(shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    y.at(i) = x.at(index_of(x.shape, source(coordinates(y.shape, i), ranges)));
  }
  return y;
}

Array slice_backward(const Array& dy, const std::vector<Range>& ranges,
                     std::vector<int64_t> shape) {
  Array dx = Array::zeros(std::move(shape));
  for (int64_t i = 0; i < dy.size(); ++i) {
    dx.at(index_of(dx.shape, source(coordinates(dy.shape, i), ranges))) += dy.at(i);
  }
  return dx;
}

Array pad(const Array& x, const std::vector<Margin>& margins) {
  std::vector<int64_t> shape = x.shape;
  for (const Margin& margin : margins) shape[margin.axis] += margin.before + margin.after;
  Array y = Array::zeros(shape);
  for (int64_t i = 0; i < x.size(); ++i) {
    std::vector<int64_t> where = coordinates(x.shape, i);
    for (const Margin& margin : margins) where[margin.axis] += margin.before;
    y.at(index_of(y.shape, where)) = x.at(i);
  }
  return y;
}

Array channel_shuffle(const Array& x, int64_t groups) {
  const int64_t c = x.shape.back(), size = c / groups;
  Array y = x;
  for (int64_t pixel = 0; pixel < x.size() / c; ++pixel)
    for (int64_t g = 0; g < groups; ++g)
      for (int64_t j = 0; j < size; ++j) {
        y.at(pixel * c + j * groups + g) = x.at(pixel * c + g * size + j);
      }
  return y;
}

Array transpose(const Array& x, const std::vector<int64_t>& axes) {
  std::vector<int64_t> shape;
  for (const int64_t axis : axes) shape.push_back(x.dim(static_cast<size_t>(axis)));
  Array y = Array::zeros(std::move(shape));
  for (int64_t i = 0; i < x.size(); ++i) {
    const std::vector<int64_t> from = coordinates(x.shape, i);
    std::vector<int64_t> to;
    for (const int64_t axis : axes) to.push_back(from[static_cast<size_t>(axis)]);
    y.at(index_of(y.shape, to)) = x.at(i);
  }
  return y;
}

}  // namespace kd::oracle
