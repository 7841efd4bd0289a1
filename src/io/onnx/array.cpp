#include "io/onnx/array.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "io/onnx/external.h"
#include "kd/dtype.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

template <class T>
std::vector<T> gather(const std::vector<T>& x, const std::vector<int64_t>& dims,
                      const std::vector<int64_t>& strides, int64_t offset, int64_t count) {
  std::vector<T> y(static_cast<size_t>(count));
  std::vector<int64_t> at(dims.size(), 0);
  int64_t from = offset;
  for (T& value : y) {
    value = x[static_cast<size_t>(from)];
    for (size_t axis = dims.size(); axis-- > 0;) {
      from += strides[axis];
      if (++at[axis] < dims[axis]) break;
      from -= strides[axis] * dims[axis];
      at[axis] = 0;
    }
  }
  return y;
}

// How one element of a type is stored, and read into the floats or the integers of an array.
struct ElementType {
  size_t bytes;
  void (*read)(const char* bytes, Array& array);
};

template <class Stored>
ElementType stored_as() {
  return {sizeof(Stored), [](const char* bytes, Array& array) {
            const auto widen = [&](auto& to) {
              for (size_t i = 0; i < to.size(); ++i) {
                Stored value;
                std::memcpy(&value, bytes + i * sizeof(Stored), sizeof(Stored));
                // NOLINTNEXTLINE(bugprone-signed-char-misuse): i8 is meant
                to[i] = static_cast<std::decay_t<decltype(to[i])>>(value);
              }
            };
            std::is_floating_point_v<Stored> ? widen(array.reals) : widen(array.integers);
          }};
}

template <float (*widen)(uint16_t)>
ElementType half_as() {
  return {2, [](const char* bytes, Array& array) {
            for (float& value : array.reals) {
              uint16_t bits = 0;
              std::memcpy(&bits, bytes, 2);
              value = widen(bits);
              bytes += 2;
            }
          }};
}

ElementType element_type(int type, const std::string& name) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
      return stored_as<float>();
    case onnx::TensorProto::DOUBLE:
      return stored_as<double>();
    case onnx::TensorProto::FLOAT16:
      return half_as<f16_to_f32>();
    case onnx::TensorProto::BFLOAT16:
      return half_as<bf16_to_f32>();
    case onnx::TensorProto::INT64:
      return stored_as<int64_t>();
    case onnx::TensorProto::UINT64:
      return stored_as<uint64_t>();
    case onnx::TensorProto::INT32:
      return stored_as<int32_t>();
    case onnx::TensorProto::UINT32:
      return stored_as<uint32_t>();
    case onnx::TensorProto::INT16:
      return stored_as<int16_t>();
    case onnx::TensorProto::UINT16:
      return stored_as<uint16_t>();
    case onnx::TensorProto::INT8:
      return stored_as<int8_t>();
    case onnx::TensorProto::UINT8:
    case onnx::TensorProto::BOOL:
      return stored_as<uint8_t>();
    default:
      fail(ErrorCode::input, "tensor '{}': element type {} is not supported", name, type);
  }
}

void read_raw(const ElementType& type, const char* bytes, size_t count, Array& array) {
  array.integer ? array.integers.resize(count) : array.reals.resize(count);
  type.read(bytes, array);
}

// Values kept in typed fields instead of raw bytes.
void read_fields(const onnx::TensorProto& t, Array& array) {
  const int type = t.data_type();
  if (array.integer) {
    array.integers.assign(t.int64_data().begin(), t.int64_data().end());
    for (const int32_t x : t.int32_data()) array.integers.push_back(x);
    for (const uint64_t x : t.uint64_data()) array.integers.push_back(static_cast<int64_t>(x));
    return;
  }
  array.reals.assign(t.float_data().begin(), t.float_data().end());
  for (const double x : t.double_data()) array.reals.push_back(static_cast<float>(x));
  for (const int32_t x : t.int32_data()) {
    const auto bits = static_cast<uint16_t>(x);
    array.reals.push_back(type == onnx::TensorProto::FLOAT16 ? f16_to_f32(bits)
                                                             : bf16_to_f32(bits));
  }
}

}  // namespace

int64_t checked_count(const std::vector<int64_t>& dims, const std::string& what) {
  int64_t count = 1;
  for (const int64_t size : dims) {
    KD_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count), "{}: bad dimension {}",
             what, size);
  }
  return count;
}

int64_t Array::count() const {
  int64_t product = 1;
  for (const int64_t size : dims) product *= size;
  return product;
}

double Array::at(int64_t i) const {
  const size_t place = uniform() ? 0 : static_cast<size_t>(i);
  return integer ? static_cast<double>(integers.at(place)) : reals.at(place);
}

std::vector<int64_t> Array::as_integers() const {
  KD_CHECK(count() <= 65536,
           "a constant of {} elements where a shape or a list of axes is expected", count());
  std::vector<int64_t> list;
  for (int64_t i = 0; i < count(); ++i) {
    if (integer) {
      list.push_back(integers[uniform() ? 0 : static_cast<size_t>(i)]);
      continue;
    }
    const double value = at(i);
    list.push_back(value >= 9.2e18    ? INT64_MAX
                   : value <= -9.2e18 ? INT64_MIN
                                      : static_cast<int64_t>(value));
  }
  return list;
}

Array Array::filled(std::vector<int64_t> dims, double value, bool integer) {
  Array array{std::move(dims), integer};
  if (array.count() == 0) return array;
  if (integer) {
    array.integers = {static_cast<int64_t>(value)};
  } else {
    array.reals = {static_cast<float>(value)};
  }
  return array;
}

Array strided(const Array& x, std::vector<int64_t> dims, const std::vector<int64_t>& strides,
              int64_t offset) {
  Array y{std::move(dims), x.integer};
  const int64_t count = y.count();
  if (count == 0) return y;
  if (x.uniform()) {
    y.reals = x.reals;
    y.integers = x.integers;
  } else if (x.integer) {
    y.integers = gather(x.integers, y.dims, strides, offset, count);
  } else {
    y.reals = gather(x.reals, y.dims, strides, offset, count);
  }
  return y;
}

std::vector<int64_t> row_major(const std::vector<int64_t>& dims) {
  std::vector<int64_t> strides(dims.size());
  int64_t stride = 1;
  for (size_t axis = dims.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= dims[axis];
  }
  return strides;
}

Array permuted(const Array& x, const std::vector<int>& order) {
  const std::vector<int64_t> from = row_major(x.dims);
  std::vector<int64_t> dims, strides;
  for (const int axis : order) {
    dims.push_back(x.dims[static_cast<size_t>(axis)]);
    strides.push_back(from[static_cast<size_t>(axis)]);
  }
  return strided(x, std::move(dims), strides);
}

Array broadcast(const Array& x, const std::vector<int64_t>& dims) {
  if (x.dims == dims) return x;
  const std::vector<int64_t> from = row_major(x.dims);
  std::vector<int64_t> strides(dims.size(), 0);
  for (size_t i = 0; i < x.dims.size(); ++i) {
    const size_t axis = x.dims.size() - 1 - i;
    if (x.dims[axis] != 1) strides[dims.size() - 1 - i] = from[axis];
  }
  return strided(x, dims, strides);
}

Array reshaped(Array x, std::vector<int64_t> dims) {
  x.dims = std::move(dims);
  return x;
}

bool is_integer_type(int type) {
  return type != onnx::TensorProto::FLOAT && type != onnx::TensorProto::DOUBLE &&
         type != onnx::TensorProto::FLOAT16 && type != onnx::TensorProto::BFLOAT16;
}

Array read_tensor(const onnx::TensorProto& tensor, const std::filesystem::path& folder) {
  const std::string what = "tensor '" + tensor.name() + "'";
  Array array{{tensor.dims().begin(), tensor.dims().end()}, is_integer_type(tensor.data_type())};
  const auto count = static_cast<size_t>(checked_count(array.dims, what));
  const ElementType type = element_type(tensor.data_type(), tensor.name());
  const size_t size = type.bytes;
  KD_CHECK(count <= (size_t{1} << 40) / size, "{}: {} elements", what, count);
  if (tensor.data_location() == onnx::TensorProto::EXTERNAL) {
    read_raw(type, external_bytes(tensor, folder, count * size).data(), count, array);
  } else if (tensor.has_raw_data()) {
    const std::string& bytes = tensor.raw_data();
    KD_CHECK(bytes.size() == count * size, "{}: {} bytes, expected {}", what, bytes.size(),
             count * size);
    read_raw(type, bytes.data(), count, array);
  } else {
    read_fields(tensor, array);
  }
  KD_CHECK(array.stored() == count, "{}: {} values, its shape wants {}", what, array.stored(),
           count);
  return array;
}

}  // namespace kd::onnx_import
