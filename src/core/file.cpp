#include "core/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

#include "kd/error.h"

namespace kd {
namespace {

// Closes at the end of the scope.
class Descriptor {
 public:
  explicit Descriptor(int file) : file_(file) {}
  ~Descriptor() {
    if (file_ >= 0) ::close(file_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return file_; }

 private:
  int file_;
};

std::string reason() { return std::strerror(errno); }

Descriptor open_to_read(const std::filesystem::path& path) {
  const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) fail(ErrorCode::input, "{}: can't be opened: {}", path.string(), reason());
  return Descriptor(file);
}

std::string hex(XXH128_hash_t hash) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, hash);
  std::string text;
  for (const unsigned char byte : canonical.digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

}  // namespace

std::vector<std::byte> read_file(const std::filesystem::path& path) {
  const Descriptor file = open_to_read(path);
  struct stat status {};
  KD_CHECK(::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode), "{}: not a regular file",
           path.string());
  std::vector<std::byte> bytes(static_cast<size_t>(status.st_size));
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(file.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    KD_CHECK(got >= 0, "{}: can't be read: {}", path.string(), reason());
    if (got == 0) break;  // shrunk while we read
    done += static_cast<size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

FileWriter::FileWriter(std::filesystem::path path)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  file_ = ::open(partial_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  KD_CHECK(file_ >= 0, "{}: can't be written: {}", path_.string(), reason());
}

FileWriter::~FileWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(partial_.c_str());
}

void FileWriter::write(const void* data, size_t bytes) {
  const char* at = static_cast<const char*>(data);
  while (bytes > 0) {
    const ssize_t put = ::write(file_, at, bytes);
    if (put < 0 && errno == EINTR) continue;
    KD_CHECK(put >= 0, "{}: can't be written: {}", path_.string(), reason());
    at += put;
    bytes -= static_cast<size_t>(put);
  }
}

void FileWriter::commit() {
  KD_CHECK(::fsync(file_) == 0, "{}: can't be written: {}", path_.string(), reason());
  const int closed = ::close(std::exchange(file_, -1));
  if (closed != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) {
    const std::string why = reason();
    ::unlink(partial_.c_str());
    fail(ErrorCode::input, "{}: can't be written: {}", path_.string(), why);
  }
  const std::filesystem::path folder = path_.has_parent_path() ? path_.parent_path() : ".";
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());  // some file systems can't; the file is whole
}

void write_file(const std::filesystem::path& path, std::string_view text) {
  FileWriter writer(path);
  writer.write(text);
  writer.commit();
}

std::filesystem::path default_cache_directory() {
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::filesystem::path(cache) / "kdengine";
  }
  if (const char* home = std::getenv("HOME"); home != nullptr && *home != '\0') {
    return std::filesystem::path(home) / ".cache" / "kdengine";
  }
  return {};
}

std::array<std::byte, 16> digest(std::span<const std::byte> bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::array<std::byte, 16> made{};
  std::memcpy(made.data(), canonical.digest, made.size());
  return made;
}

std::string hash_hex(std::span<const std::byte> bytes) {
  return hex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hash_file(const std::filesystem::path& path) {
  const Descriptor file = open_to_read(path);
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(),
                                                                       XXH3_freeState);
  XXH3_128bits_reset(state.get());
  std::vector<std::byte> chunk(1 << 20);
  for (;;) {
    const ssize_t got = ::read(file.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    KD_CHECK(got >= 0, "{}: can't be read: {}", path.string(), reason());
    if (got == 0) break;
    XXH3_128bits_update(state.get(), chunk.data(), static_cast<size_t>(got));
  }
  return hex(XXH3_128bits_digest(state.get()));
}

}  // namespace kd
