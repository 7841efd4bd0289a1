#include "io/onnx/array.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/file.h"
#include "kd/dtype.h"
#include "kd/error.h"

namespace kd::onnx_import {
namespace {

int64_t product(const std::vector<int64_t>& dims, const std::string& name) {
  int64_t count = 1;
  for (const int64_t size : dims) {
    KD_CHECK(size >= 0 && !__builtin_mul_overflow(count, size, &count),
             "tensor '{}': bad dimension {}", name, size);
  }
  return count;
}

size_t element_size(int type, const std::string& name) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
    case onnx::TensorProto::INT32:
      return 4;
    case onnx::TensorProto::DOUBLE:
    case onnx::TensorProto::INT64:
      return 8;
    case onnx::TensorProto::FLOAT16:
    case onnx::TensorProto::BFLOAT16:
      return 2;
    case onnx::TensorProto::BOOL:
    case onnx::TensorProto::UINT8:
    case onnx::TensorProto::INT8:
      return 1;
    default:
      fail(ErrorCode::input, "tensor '{}': element type {} is not supported", name, type);
  }
}

template <class T>
T load(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof(T));
  return value;
}

double element(int type, const char* at) {
  switch (type) {
    case onnx::TensorProto::FLOAT:
      return load<float>(at);
    case onnx::TensorProto::DOUBLE:
      return load<double>(at);
    case onnx::TensorProto::INT32:
      return load<int32_t>(at);
    case onnx::TensorProto::INT64:
      return static_cast<double>(load<int64_t>(at));
    case onnx::TensorProto::FLOAT16:
      return f16_to_f32(load<uint16_t>(at));
    case onnx::TensorProto::BFLOAT16:
      return bf16_to_f32(load<uint16_t>(at));
    case onnx::TensorProto::INT8:
      return load<int8_t>(at);
    default:
      return load<uint8_t>(at);
  }
}

std::string external_bytes(const onnx::TensorProto& tensor, const std::filesystem::path& folder,
                           size_t expected) {
  std::string location;
  int64_t offset = 0;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") location = entry.value();
    if (entry.key() == "offset") offset = std::atoll(entry.value().c_str());
  }
  const std::filesystem::path root = std::filesystem::weakly_canonical(folder);
  const std::filesystem::path file = std::filesystem::weakly_canonical(root / location);
  const std::filesystem::path inside = file.lexically_relative(root);
  KD_CHECK(!location.empty() && !std::filesystem::path(location).is_absolute() && !inside.empty() &&
               *inside.begin() != "..",
           "tensor '{}': its external data '{}' lies outside the model's folder", tensor.name(),
           location);
  const std::vector<std::byte> bytes = read_file(file);
  KD_CHECK(offset >= 0 && static_cast<size_t>(offset) <= bytes.size() &&
               expected <= bytes.size() - static_cast<size_t>(offset),
           "tensor '{}': its external data '{}' is cut short", tensor.name(), location);
  return {reinterpret_cast<const char*>(bytes.data()) + offset, expected};
}

bool is_integer(int type) {
  return type != onnx::TensorProto::FLOAT && type != onnx::TensorProto::DOUBLE &&
         type != onnx::TensorProto::FLOAT16 && type != onnx::TensorProto::BFLOAT16;
}

// Values kept in typed fields instead of raw bytes.
void read_fields(const onnx::TensorProto& t, Array& array) {
  const int type = t.data_type();
  for (const float x : t.float_data()) array.values.push_back(x);
  for (const double x : t.double_data()) array.values.push_back(x);
  for (const int64_t x : t.int64_data()) array.values.push_back(static_cast<double>(x));
  for (const int32_t x : t.int32_data()) {
    const auto bits = static_cast<uint16_t>(x);
    array.values.push_back(type == onnx::TensorProto::FLOAT16    ? f16_to_f32(bits)
                           : type == onnx::TensorProto::BFLOAT16 ? bf16_to_f32(bits)
                                                                 : x);
  }
}

}  // namespace

int64_t Array::integer_at(size_t i) const {
  const double value = values.at(i);
  if (value >= 9.2e18) return INT64_MAX;
  if (value <= -9.2e18) return INT64_MIN;
  return static_cast<int64_t>(value);
}

std::vector<int64_t> Array::integers() const {
  std::vector<int64_t> result;
  for (size_t i = 0; i < values.size(); ++i) result.push_back(integer_at(i));
  return result;
}

Array read_tensor(const onnx::TensorProto& tensor, const std::filesystem::path& folder) {
  Array array{{tensor.dims().begin(), tensor.dims().end()}, {}, is_integer(tensor.data_type())};
  const auto count = static_cast<size_t>(product(array.dims, tensor.name()));
  const size_t size = element_size(tensor.data_type(), tensor.name());
  const bool external = tensor.data_location() == onnx::TensorProto::EXTERNAL;
  KD_CHECK(count <= (size_t{1} << 40) / size, "tensor '{}': {} elements", tensor.name(), count);
  if (external || tensor.has_raw_data()) {
    const std::string bytes =
        external ? external_bytes(tensor, folder, count * size) : tensor.raw_data();
    KD_CHECK(bytes.size() == count * size, "tensor '{}': {} bytes, expected {}", tensor.name(),
             bytes.size(), count * size);
    array.values.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      array.values.push_back(element(tensor.data_type(), bytes.data() + i * size));
    }
  } else {
    read_fields(tensor, array);
  }
  KD_CHECK(array.values.size() == count, "tensor '{}': {} values, its shape wants {}",
           tensor.name(), array.values.size(), count);
  return array;
}

std::string label(const onnx::NodeProto& node) {
  const std::string name = node.name().empty() && node.output_size() ? node.output(0) : node.name();
  return node.op_type() + " '" + name + "'";
}

Attributes::Attributes(const onnx::NodeProto& node) : node_(node) {}

const onnx::AttributeProto* Attributes::find(const std::string& name) {
  asked_.push_back(name);
  for (const auto& attribute : node_.attribute()) {
    if (attribute.name() == name) return &attribute;
  }
  return nullptr;
}
int64_t Attributes::integer(const std::string& name, int64_t fallback) {
  const auto* found = find(name);
  return found ? found->i() : fallback;
}
double Attributes::real(const std::string& name, double fallback) {
  const auto* found = find(name);
  return found ? static_cast<double>(found->f()) : fallback;
}
std::string Attributes::text(const std::string& name, const std::string& fallback) {
  const auto* found = find(name);
  return found ? found->s() : fallback;
}
std::vector<int64_t> Attributes::integers(const std::string& name, std::vector<int64_t> fallback) {
  const auto* found = find(name);
  return found ? std::vector<int64_t>(found->ints().begin(), found->ints().end())
               : std::move(fallback);
}
const onnx::TensorProto* Attributes::tensor(const std::string& name) {
  const auto* found = find(name);
  return found ? &found->t() : nullptr;
}
void Attributes::finish() const {
  for (const auto& attribute : node_.attribute()) {
    KD_CHECK(std::ranges::find(asked_, attribute.name()) != asked_.end(),
             "{}: the attribute '{}' is not supported", label(node_), attribute.name());
  }
}

}  // namespace kd::onnx_import
