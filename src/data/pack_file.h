// The file format of packed sets; README.md describes it. Everything that is read is checked before
// it is believed or allocated for.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"

namespace kd {

static_assert(std::endian::native == std::endian::little, "the file's numbers are little-endian");

enum class PackEncoding : uint8_t {
  pixels = 0,    // u8 (height, width, channels)
  jpeg = 1,      // a JPEG file
  left_out = 2,  // unreadable; only in a journal
};

struct PackRecord {
  uint64_t offset = 0, bytes = 0;  // in the file
  uint32_t height = 0, width = 0;
  int32_t label = -1;
  PackEncoding encoding = PackEncoding::pixels;
  uint8_t channels = 3;
  uint16_t unused = 0;
  Digest digest{};  // of the bytes
  Digest source{};  // of the file that was packed, or of its pixels where it was no file
};
static_assert(sizeof(PackRecord) == 64);

struct PackMetadata {
  std::string format;   // of the source
  std::string resized;  // how; empty: not at all
  std::string source_hash;
  int channels = 3;
  std::vector<std::string> classes;
  int64_t train = 0, val = -1;  // pictures; val -1: one set, not split yet
  int64_t left_out = 0;
};

constexpr uint64_t kPackAlignment = 64;  // of pictures and of the index
constexpr uint64_t kPackHeaderBytes = 64;
constexpr uint64_t align_pack(uint64_t offset) {
  return (offset + kPackAlignment - 1) / kPackAlignment * kPackAlignment;
}

struct PackIndex {
  PackMetadata metadata;
  std::vector<PackRecord> records;  // training pictures first
  std::vector<std::string> names;
};
// What follows the pictures, from align_pack(their end) on, and the header that then completes the
// file.
std::vector<std::byte> encode_pack_index(const PackIndex& index);
std::vector<std::byte> encode_pack_header(uint64_t index_offset, std::span<const std::byte> index);

// A packed set that has been checked: header, index, and that pictures lie apart, in the file and
// are as large as their records say. Their contents are compared with their checksums when first
// read.
class PackFile {
 public:
  explicit PackFile(const std::filesystem::path& path);       // throws Error naming what is wrong
  static bool recognises(const std::filesystem::path& path);  // a file, whatever it holds
  const PackMetadata& metadata() const { return metadata_; }
  int64_t size() const { return static_cast<int64_t>(records_.size()); }
  const PackRecord& record(int64_t index) const { return records_[static_cast<size_t>(index)]; }
  std::string name(int64_t index) const;  // "set.kdp/train/cat/1.png"
  std::span<const std::byte> bytes(int64_t index) const;
  uint64_t file_bytes() const { return file_.bytes().size(); }

 private:
  std::span<const std::byte> checked_index() const;
  void read_names(std::span<const std::byte> text);
  void check_records(uint64_t end) const;

  std::string path_;
  MappedFile file_;
  PackMetadata metadata_;
  std::vector<PackRecord> records_;
  std::vector<uint64_t> name_ends_;
  std::string names_;
  mutable std::vector<std::atomic<bool>> compared_;
};

}  // namespace kd
