// Files as values: read whole, written to a temporary name, synced, renamed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace kd {

std::vector<std::byte> read_file(const std::filesystem::path& path);  // throws Error naming it

// Of an open file, at a place; errors name `path`. Reading returns how many bytes there were: less
// than was asked for only at the end of the file.
size_t read_at(int file, const std::filesystem::path& path, uint64_t offset,
               std::span<std::byte> to);
void write_at(int file, const std::filesystem::path& path, uint64_t offset,
              std::span<const std::byte> bytes);

// Collects what is written and throws Error (naming the file and the reason) if the disk refuses.
class FileWriter {
 public:
  // Opens `path` + ".partial"; nothing appears under `path` before commit().
  explicit FileWriter(std::filesystem::path path);
  ~FileWriter();  // removes the partial file if commit() was not reached
  FileWriter(const FileWriter&) = delete;
  FileWriter& operator=(const FileWriter&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();  // fsync, rename, fsync of the folder

 private:
  std::filesystem::path path_, partial_;
  int file_ = -1;
};
void write_file(const std::filesystem::path& path,
                std::string_view text);  // all of the above at once

// Like FileWriter, but the partial file outlives whoever writes it, to be continued later.
class ResumableFile {
 public:
  // Opens `path` + ".partial" as it was left, or empty. Throws Error where another process has it.
  explicit ResumableFile(std::filesystem::path path);
  ~ResumableFile();
  ResumableFile(const ResumableFile&) = delete;
  ResumableFile& operator=(const ResumableFile&) = delete;
  uint64_t size() const;
  void truncate(uint64_t bytes);
  void read_at(uint64_t offset, std::span<std::byte> bytes) const;  // all of them, or Error
  void append(std::span<const std::byte> bytes);
  void write_at(uint64_t offset, std::span<const std::byte> bytes);
  void commit();  // as FileWriter's

 private:
  std::filesystem::path path_, partial_;
  int file_ = -1;
};

// A file's bytes in memory, read as they are touched. Throws Error naming it.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  std::span<const std::byte> bytes() const { return {begin_, size_}; }

 private:
  const std::byte* begin_ = nullptr;
  size_t size_ = 0;
};

// $XDG_CACHE_HOME/kdengine or ~/.cache/kdengine; empty if neither variable is set.
std::filesystem::path default_cache_directory();

using Digest = std::array<std::byte, 16>;  // XXH3-128, big-endian
Digest digest(std::span<const std::byte> bytes);
std::string hex_of(const Digest& digest);                  // 32 hex digits
std::string hash_hex(std::span<const std::byte> bytes);    // hex_of(digest(bytes))
std::string hash_file(const std::filesystem::path& path);  // of the contents, likewise

}  // namespace kd
