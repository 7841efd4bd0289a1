#include "core/file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <bit>
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

Digest canonical(XXH128_hash_t hash) {
  XXH128_canonical_t big_endian;
  XXH128_canonicalFromHash(&big_endian, hash);
  return std::bit_cast<Digest>(big_endian);
}

[[noreturn]] void cannot_write(const std::filesystem::path& path) {
  fail(ErrorCode::input, "{}: can't be written: {}", path.string(), reason());
}

// One call of `put` may take less than it was given.
template <class Put>
void write_all(const std::filesystem::path& path, std::span<const std::byte> bytes,
               const Put& put) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t taken = put(bytes.subspan(done), done);
    if (taken < 0 && errno == EINTR) continue;
    if (taken < 0) cannot_write(path);
    done += static_cast<size_t>(taken);
  }
}

// Makes the partial file durable and gives it its name. Closes it whatever happens.
void publish(int& file, const std::filesystem::path& partial, const std::filesystem::path& path) {
  if (::fsync(file) != 0) cannot_write(path);
  const int closed = ::close(std::exchange(file, -1));
  if (closed != 0 || ::rename(partial.c_str(), path.c_str()) != 0) {
    const std::string why = reason();
    ::unlink(partial.c_str());
    fail(ErrorCode::input, "{}: can't be written: {}", path.string(), why);
  }
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory.get() >= 0) ::fsync(directory.get());  // some file systems can't; the file is whole
}

}  // namespace

size_t read_at(int file, const std::filesystem::path& path, uint64_t offset,
               std::span<std::byte> to) {
  size_t done = 0;
  while (done < to.size()) {
    const ssize_t got =
        ::pread(file, to.data() + done, to.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    KD_CHECK(got >= 0, "{}: can't be read: {}", path.string(), reason());
    if (got == 0) break;
    done += static_cast<size_t>(got);
  }
  return done;
}

void write_at(int file, const std::filesystem::path& path, uint64_t offset,
              std::span<const std::byte> bytes) {
  write_all(path, bytes, [&](auto rest, size_t done) {
    return ::pwrite(file, rest.data(), rest.size(), static_cast<off_t>(offset + done));
  });
}

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
  if (file_ < 0) cannot_write(path_);
}

FileWriter::~FileWriter() {
  if (file_ < 0) return;
  ::close(file_);
  ::unlink(partial_.c_str());
}

void FileWriter::write(const void* data, size_t bytes) {
  write_all(path_, {static_cast<const std::byte*>(data), bytes},
            [&](auto rest, size_t) { return ::write(file_, rest.data(), rest.size()); });
}

void FileWriter::commit() { publish(file_, partial_, path_); }

ResumableFile::ResumableFile(std::filesystem::path path)
    : path_(std::move(path)), partial_(path_.string() + ".partial") {
  file_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (file_ < 0) cannot_write(path_);
  if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    fail(ErrorCode::input, "{}: another process is writing it", partial_.string());
  }
}

ResumableFile::~ResumableFile() {
  if (file_ >= 0) ::close(file_);
}

uint64_t ResumableFile::size() const {
  struct stat status {};
  KD_CHECK(::fstat(file_, &status) == 0, "{}: can't be read: {}", partial_.string(), reason());
  return static_cast<uint64_t>(status.st_size);
}

void ResumableFile::truncate(uint64_t bytes) {
  if (::ftruncate(file_, static_cast<off_t>(bytes)) != 0) cannot_write(path_);
}

void ResumableFile::read_at(uint64_t offset, std::span<std::byte> bytes) const {
  KD_CHECK(kd::read_at(file_, partial_, offset, bytes) == bytes.size(),
           "{}: can't be read: the file ends early", partial_.string());
}

void ResumableFile::append(std::span<const std::byte> bytes) { write_at(size(), bytes); }

void ResumableFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  kd::write_at(file_, path_, offset, bytes);
}

void ResumableFile::commit() { publish(file_, partial_, path_); }

MappedFile::MappedFile(const std::filesystem::path& path) {
  const Descriptor file = open_to_read(path);
  struct stat status {};
  KD_CHECK(::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode), "{}: not a regular file",
           path.string());
  size_ = static_cast<size_t>(status.st_size);
  if (size_ == 0) return;
  void* at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.get(), 0);
  KD_CHECK(at != MAP_FAILED, "{}: can't be mapped into memory: {}", path.string(), reason());
  begin_ = static_cast<const std::byte*>(at);
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(begin_), size_);
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

Digest digest(std::span<const std::byte> bytes) {
  return canonical(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string hex_of(const Digest& digest) {
  std::string text;
  for (const std::byte byte : digest) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    text += kDigits[std::to_integer<size_t>(byte >> 4)];
    text += kDigits[std::to_integer<size_t>(byte & std::byte{15})];
  }
  return text;
}

std::string hash_hex(std::span<const std::byte> bytes) { return hex_of(digest(bytes)); }

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
  return hex_of(canonical(XXH3_128bits_digest(state.get())));
}

}  // namespace kd
