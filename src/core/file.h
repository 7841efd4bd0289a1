// Files as values: read whole, written to a temporary name, synced, renamed.
#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace kd {

std::vector<std::byte> read_file(const std::filesystem::path& path);  // throws Error naming it

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

// $XDG_CACHE_HOME/kdengine or ~/.cache/kdengine; empty if neither variable is set.
std::filesystem::path default_cache_directory();

std::array<std::byte, 16> digest(std::span<const std::byte> bytes);  // XXH3-128
std::string hash_hex(std::span<const std::byte> bytes);              // XXH3-128, 32 hex digits
std::string hash_file(const std::filesystem::path& path);            // of the contents

}  // namespace kd
