#include "data/pack_file.h"

#include <algorithm>
#include <cstring>

#include "data/image.h"
#include "kd/error.h"

namespace kd {
namespace {

constexpr std::array<char, 8> kMagic{'K', 'D', 'P', 'A', 'C', 'K', '0', '1'};

struct Header {
  std::array<char, 8> magic = kMagic;
  uint64_t file_bytes = 0, index_offset = 0, index_bytes = 0;
  Digest index{};  // digest of the index
  Digest self{};   // ... of all the above
};
static_assert(sizeof(Header) == kPackHeaderBytes);

Digest digest_of(const Header& header) {
  return digest(std::as_bytes(std::span(&header, 1)).first(offsetof(Header, self)));
}

// The index begins with these; records, names and metadata follow in this order.
struct Sizes {
  uint64_t records = 0, names_bytes = 0, metadata_bytes = 0;
};

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span(&value, 1));
}

Json to_json(const PackMetadata& m) {
  return {{"format", m.format},     {"resized", m.resized},  {"source_hash", m.source_hash},
          {"channels", m.channels}, {"classes", m.classes},  {"train", m.train},
          {"val", m.val},           {"left_out", m.left_out}};
}

PackMetadata metadata_of(std::string_view text, const std::string& where) {
  const Json json = parse_json(text, where);
  StrictObject object(json, where);
  PackMetadata m;
  m.format = object.required<std::string>("format");
  m.resized = object.required<std::string>("resized");
  m.source_hash = object.required<std::string>("source_hash");
  m.channels = object.required<int>("channels");
  m.classes = object.required<std::vector<std::string>>("classes");
  m.train = object.required<int64_t>("train");
  m.val = object.required<int64_t>("val");
  m.left_out = object.required<int64_t>("left_out");
  object.finish();
  KD_CHECK(m.channels == 1 || m.channels == 3, "{}: {} channels, expected 1 or 3", where,
           m.channels);
  return m;
}

}  // namespace

std::vector<std::byte> encode_pack_index(const PackIndex& index) {
  std::string names;
  for (const std::string& name : index.names) {
    names += name;
    names += '\0';
  }
  const std::string metadata = to_json(index.metadata).dump();
  std::vector<std::byte> bytes;
  const auto put = [&](std::span<const std::byte> part) {
    const size_t at = bytes.size();
    bytes.resize(at + part.size());
    std::ranges::copy(part, bytes.begin() + static_cast<ptrdiff_t>(at));
  };
  put(bytes_of(Sizes{index.records.size(), names.size(), metadata.size()}));
  put(std::as_bytes(std::span(index.records)));
  put(std::as_bytes(std::span(names)));
  put(std::as_bytes(std::span(metadata)));
  return bytes;
}

std::vector<std::byte> encode_pack_header(uint64_t index_offset, std::span<const std::byte> index) {
  Header header;
  header.file_bytes = index_offset + index.size();
  header.index_offset = index_offset;
  header.index_bytes = index.size();
  header.index = digest(index);
  header.self = digest_of(header);
  const auto bytes = bytes_of(header);
  return {bytes.begin(), bytes.end()};
}

bool PackFile::recognises(const std::filesystem::path& path) {
  return std::filesystem::is_regular_file(path);
}

// The index, once it is known to lie in the file and to be what was written.
std::span<const std::byte> PackFile::checked_index() const {
  const std::span<const std::byte> all = file_.bytes();
  Header header;
  KD_CHECK(all.size() >= sizeof(header), "{}: {} bytes, too short for a packed set", path_,
           all.size());
  std::memcpy(&header, all.data(), sizeof(header));
  KD_CHECK(header.magic == kMagic, "{}: not a packed set (kdpack makes them)", path_);
  KD_CHECK(digest_of(header) == header.self, "{}: the header does not match its checksum", path_);
  KD_CHECK(header.file_bytes == all.size(), "{}: {} bytes, the header says {}: cut short?", path_,
           all.size(), header.file_bytes);
  KD_CHECK(header.index_offset >= sizeof(header) && header.index_offset <= all.size() &&
               header.index_bytes == all.size() - header.index_offset &&
               header.index_bytes >= sizeof(Sizes),
           "{}: the index is said to be {} bytes at {}, in a file of {}", path_, header.index_bytes,
           header.index_offset, all.size());
  const auto index = all.subspan(header.index_offset);
  KD_CHECK(digest(index) == header.index, "{}: the index does not match its checksum", path_);
  return index;
}

PackFile::PackFile(const std::filesystem::path& path) : path_(path.string()), file_(path) {
  std::span<const std::byte> index = checked_index();
  const uint64_t index_offset = file_.bytes().size() - index.size();
  Sizes sizes;
  std::memcpy(&sizes, index.data(), sizeof(sizes));
  index = index.subspan(sizeof(sizes));
  KD_CHECK(sizes.records <= index.size() / sizeof(PackRecord) &&
               sizes.names_bytes <= index.size() && sizes.metadata_bytes <= index.size() &&
               sizes.records * sizeof(PackRecord) + sizes.names_bytes + sizes.metadata_bytes ==
                   index.size(),
           "{}: an index of {} bytes is said to hold {} records, {} bytes of names and {} of "
           "metadata",
           path_, index.size(), sizes.records, sizes.names_bytes, sizes.metadata_bytes);
  records_.resize(sizes.records);
  if (!records_.empty()) {
    std::memcpy(records_.data(), index.data(), records_.size() * sizeof(PackRecord));
  }
  index = index.subspan(sizes.records * sizeof(PackRecord));
  read_names(index.first(sizes.names_bytes));
  index = index.subspan(sizes.names_bytes);
  metadata_ = metadata_of({reinterpret_cast<const char*>(index.data()), index.size()},
                          path_ + ": metadata");
  check_records(index_offset);
  compared_ = std::vector<std::atomic<bool>>(records_.size());
}

void PackFile::read_names(std::span<const std::byte> text) {
  names_.assign(reinterpret_cast<const char*>(text.data()), text.size());
  for (size_t i = 0; i < names_.size(); ++i) {
    if (names_[i] == '\0') name_ends_.push_back(i);
  }
  KD_CHECK(name_ends_.size() == records_.size() && (names_.empty() || names_.back() == '\0'),
           "{}: {} names for {} pictures", path_, name_ends_.size(), records_.size());
}

void PackFile::check_records(uint64_t end) const {
  const PackMetadata& m = metadata_;
  const int64_t val = std::max<int64_t>(m.val, 0);
  KD_CHECK(m.train >= 1 && m.train <= size() && m.val >= -1 && val == size() - m.train,
           "{}: {} training and {} validation pictures are said to be {} pictures", path_, m.train,
           m.val, size());
  uint64_t free_from = kPackHeaderBytes;
  for (int64_t i = 0; i < size(); ++i) {
    const PackRecord& r = record(i);
    KD_CHECK(r.offset >= free_from && r.offset <= end && r.bytes <= end - r.offset &&
                 r.offset % kPackAlignment == 0,
             "{}: {} bytes at {}, expected to lie between {} and {}", name(i), r.bytes, r.offset,
             free_from, end);
    free_from = r.offset + r.bytes;
    KD_CHECK(r.height >= 1 && r.width >= 1 && r.height <= kMaxPixels && r.width <= kMaxPixels &&
                 int64_t{r.height} * r.width <= kMaxPixels,
             "{}: {} x {} pixels, expected 1 to {}", name(i), r.height, r.width, kMaxPixels);
    const uint64_t pixels = uint64_t{r.height} * r.width;
    KD_CHECK(r.channels == m.channels, "{}: {} channels, the set has {}", name(i), int{r.channels},
             m.channels);
    KD_CHECK(r.encoding == PackEncoding::jpeg ||
                 (r.encoding == PackEncoding::pixels && r.bytes == pixels * r.channels),
             "{}: {} bytes of encoding {} for {} x {} pixels", name(i), r.bytes,
             static_cast<int>(r.encoding), r.height, r.width);
    const auto classes = static_cast<int64_t>(m.classes.size());
    KD_CHECK(r.label < classes && r.label >= (classes == 0 ? -1 : 0), "{}: label {} of {} classes",
             name(i), r.label, classes);
  }
}

std::string PackFile::name(int64_t index) const {
  const auto at = static_cast<size_t>(index);
  const uint64_t begin = at == 0 ? 0 : name_ends_[at - 1] + 1;
  return path_ + "/" + names_.substr(begin, name_ends_[at] - begin);
}

std::span<const std::byte> PackFile::bytes(int64_t index) const {
  const PackRecord& r = record(index);
  const auto bytes = file_.bytes().subspan(r.offset, r.bytes);
  std::atomic<bool>& compared = compared_[static_cast<size_t>(index)];
  if (!compared.load(std::memory_order_relaxed)) {
    KD_CHECK(digest(bytes) == r.digest, "{}: does not match its checksum", name(index));
    compared.store(true, std::memory_order_relaxed);
  }
  return bytes;
}

}  // namespace kd
