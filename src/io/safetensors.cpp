#include "io/safetensors.h"

#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "core/json.h"

namespace kd {
namespace {

constexpr uint64_t kMaxHeader = 16ull << 20;

struct TypeName {
  DType dtype;
  std::string_view name;
};
constexpr TypeName kTypes[] = {{DType::f32, "F32"}, {DType::f16, "F16"}, {DType::bf16, "BF16"},
                               {DType::u8, "U8"},   {DType::i32, "I32"}, {DType::i64, "I64"}};

struct Entry {
  std::string name;
  TensorDesc desc;
  uint64_t begin, end;
};

DType read_dtype(const std::string& name, const std::string& where) {
  for (const TypeName& type : kTypes) {
    if (type.name == name) return type.dtype;
  }
  fail(ErrorCode::input, "{}: unknown dtype '{}'; valid: F32, F16, BF16, U8, I32, I64", where,
       name);
}

// Non-negative integers only: no sign, no fraction, nothing above 2^63.
std::vector<int64_t> read_integers(const Json& list, const std::string& where) {
  KD_CHECK(list.is_array(), "{}: expected a list of integers, found {}", where, list.type_name());
  std::vector<int64_t> values;
  for (const Json& item : list) {
    KD_CHECK(item.is_number_unsigned() && item.get<uint64_t>() <= INT64_MAX,
             "{}: {} is not an integer of 0 or more", where, quoted(item));
    values.push_back(item.get<int64_t>());
  }
  return values;
}

Entry read_entry(const std::string& name, const Json& json, const std::string& file) {
  const std::string where = file + ": tensor '" + name + "'";
  StrictObject object(json, where);
  const DType dtype = read_dtype(object.required<std::string>("dtype"), where);
  const auto dims = read_integers(object.raw("shape"), where + ": shape");
  const auto offsets = read_integers(object.raw("data_offsets"), where + ": data_offsets");
  object.finish();
  KD_CHECK(offsets.size() == 2 && offsets[0] <= offsets[1],
           "{}: data_offsets must be two increasing numbers", where);
  KD_CHECK(dims.size() <= Shape::kMaxRank, "{}: {} dimensions, expected at most {}", where,
           dims.size(), Shape::kMaxRank);
  Entry entry{name,
              {dtype, Shape(std::span<const int64_t>(dims))},
              static_cast<uint64_t>(offsets[0]),
              static_cast<uint64_t>(offsets[1])};
  uint64_t bytes = 0;
  const bool overflow = __builtin_mul_overflow(static_cast<uint64_t>(entry.desc.shape.elements()),
                                               size_of(dtype), &bytes);
  KD_CHECK(!overflow && bytes == entry.end - entry.begin,
           "{}: {} needs {} bytes, the offsets hold {}", where, entry.desc.str(), bytes,
           entry.end - entry.begin);
  return entry;
}

// The entries must cover the data from its first to its last byte, without overlap or hole.
void check_cover(std::vector<Entry>& entries, uint64_t data_bytes, const std::string& file) {
  std::ranges::stable_sort(entries, {}, [](const Entry& e) { return std::pair(e.begin, e.end); });
  uint64_t at = 0;
  for (const Entry& entry : entries) {
    KD_CHECK(entry.end <= data_bytes,
             "{}: tensor '{}' ends at byte {} of {}: the file is cut short", file, entry.name,
             entry.end, data_bytes);
    KD_CHECK(entry.begin == at, "{}: tensor '{}' begins at byte {}, expected {}: {}", file,
             entry.name, entry.begin, at, entry.begin < at ? "tensors overlap" : "there is a hole");
    at = entry.end;
  }
  KD_CHECK(at == data_bytes, "{}: {} bytes after the last tensor", file, data_bytes - at);
}

std::map<std::string, std::string> read_metadata(const Json& json, const std::string& file) {
  std::map<std::string, std::string> metadata;
  KD_CHECK(json.is_object(), "{}: __metadata__ must be an object of strings", file);
  for (const auto& [key, value] : json.items()) {
    KD_CHECK(value.is_string(), "{}: __metadata__ '{}' is no string", file, key);
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

std::string_view header_of(std::span<const std::byte> bytes, const std::string& file) {
  KD_CHECK(bytes.size() >= 8, "{}: {} bytes, too short for a safetensors file", file, bytes.size());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  KD_CHECK(length <= bytes.size() - 8 && length <= kMaxHeader,
           "{}: the header's length {} does not fit a file of {} bytes: no safetensors file, or "
           "cut short",
           file, length, bytes.size());
  return {reinterpret_cast<const char*>(bytes.data()) + 8, length};
}

}  // namespace

Safetensors read_safetensors(const std::filesystem::path& path) {
  const std::string file = path.string();
  const std::vector<std::byte> bytes = read_file(path);
  const std::string_view header = header_of(bytes, file);
  const Json json = parse_json(header, file + ": header");
  KD_CHECK(json.is_object(), "{}: the header is no JSON object", file);
  Safetensors result;
  std::vector<Entry> entries;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      result.metadata = read_metadata(value, file);
    } else {
      entries.push_back(read_entry(name, value, file));
    }
  }
  const std::span<const std::byte> data = std::span(bytes).subspan(8 + header.size());
  check_cover(entries, data.size(), file);
  for (const Entry& entry : entries) {
    const Tensor tensor = Tensor::host(entry.desc);
    std::copy_n(data.begin() + static_cast<ptrdiff_t>(entry.begin), tensor.bytes(),
                tensor.as<std::byte>());
    result.tensors[entry.name] = tensor;
  }
  return result;
}

void write_safetensors(const Safetensors& file, const std::filesystem::path& path) {
  std::vector<const std::pair<const std::string, Tensor>*> order;
  for (const auto& entry : file.tensors) order.push_back(&entry);
  // Wider elements first: then every tensor is aligned to its element.
  std::ranges::stable_sort(order, [](const auto* a, const auto* b) {
    return size_of(a->second.desc().dtype) > size_of(b->second.desc().dtype);
  });
  Json header = Json::object();
  header["__metadata__"] = file.metadata;
  uint64_t at = 0;
  for (const auto* entry : order) {
    const Tensor& tensor = entry->second;
    std::string_view type;
    for (const TypeName& known : kTypes) {
      if (known.dtype == tensor.desc().dtype) type = known.name;
    }
    const auto dims = tensor.shape().dims();
    header[entry->first] = {{"dtype", type},
                            {"shape", std::vector<int64_t>(dims.begin(), dims.end())},
                            {"data_offsets", {at, at + tensor.bytes()}}};
    at += tensor.bytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');
  const uint64_t length = text.size();
  FileWriter writer(path);
  writer.write(&length, sizeof(length));
  writer.write(text);
  for (const auto* entry : order) writer.write(entry->second.data(), entry->second.bytes());
  writer.commit();
}

}  // namespace kd
