#include "io/logit_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/file.h"

namespace kd {
namespace {

constexpr std::array<char, 8> kMagic{'k', 'd', 'l', 'o', 'g', 'i', 't', 's'};
constexpr uint32_t kVersion = 1;
constexpr uint32_t kMaxHeader = 1 << 20;
constexpr size_t kAlign = 64, kChecksum = 16;
constexpr int64_t kMany = int64_t{1} << 40;  // of each extent: no product below overflows unseen

struct Preamble {
  std::array<char, 8> magic;
  uint32_t version, length;              // length: of the JSON that follows
  std::array<std::byte, kChecksum> sum;  // of the JSON
};
static_assert(sizeof(Preamble) == 32);

uint64_t data_begin(uint32_t length) {
  return (sizeof(Preamble) + length + kAlign - 1) / kAlign * kAlign;
}

std::string reason() { return std::strerror(errno); }

std::string text_of(const Json& json, const std::string& key) {
  return json.contains(key) ? json.at(key).dump() : "nothing";
}

}  // namespace

LogitFile::LogitFile(std::filesystem::path path, const Json& key, const Size& size,
                     LogitFormat format)
    : path_(std::move(path)) {
  std::error_code error;
  if (!std::filesystem::exists(path_, error)) begin(key, size, format);
  read_header();
  check_key(key);
  KD_CHECK(size_ == size && format_.str() == format.str(),
           "{}: {} pictures in {} views of {} classes, expected {} in {} of {}", path_.string(),
           size_.samples, size_.views, size_.classes, size.samples, size.views, size.classes);
}

LogitFile LogitFile::open(const std::filesystem::path& path) {
  LogitFile file(path);
  file.read_header();
  return file;
}

LogitFile::LogitFile(LogitFile&& other) noexcept
    : path_(std::move(other.path_)),
      file_(std::exchange(other.file_, -1)),
      key_(std::move(other.key_)),
      size_(other.size_),
      format_(other.format_),
      data_(other.data_) {}

LogitFile::~LogitFile() {
  if (file_ >= 0) ::close(file_);
}

void LogitFile::begin(const Json& key, const Size& size, const LogitFormat& format) const {
  const Json json = {{"key", key},
                     {"samples", size.samples},
                     {"views", size.views},
                     {"classes", size.classes},
                     {"format", format.str()}};
  const std::string text = json.dump();
  KD_CHECK(text.size() <= kMaxHeader, "{}: a header of {} bytes", path_.string(), text.size());
  Preamble preamble{kMagic, kVersion, static_cast<uint32_t>(text.size()), {}};
  preamble.sum = digest(std::as_bytes(std::span(text)));
  std::error_code error;
  if (path_.has_parent_path()) std::filesystem::create_directories(path_.parent_path(), error);
  KD_CHECK(!error, "{}: can't be created: {}", path_.parent_path().string(), error.message());
  FileWriter writer(path_);
  writer.write(&preamble, sizeof(preamble));
  writer.write(text);
  writer.write(std::string(data_begin(preamble.length) - sizeof(preamble) - text.size(), '\0'));
  writer.commit();
}

void LogitFile::read_header() {
  const std::string name = path_.string();
  file_ = ::open(path_.c_str(), O_RDWR | O_CLOEXEC);
  if (file_ < 0 && (errno == EACCES || errno == EROFS)) {
    file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);  // enough for a full one
  }
  KD_CHECK(file_ >= 0, "{}: can't be opened: {}", name, reason());
  struct stat status {};
  KD_CHECK(::fstat(file_, &status) == 0 && S_ISREG(status.st_mode), "{}: not a regular file", name);
  const auto bytes = static_cast<uint64_t>(status.st_size);
  Preamble preamble{};
  read_at(file_, path_, 0, std::as_writable_bytes(std::span(&preamble, 1)));
  KD_CHECK(bytes >= sizeof(preamble) && preamble.magic == kMagic, "{}: no cache of logits", name);
  KD_CHECK(preamble.version == kVersion, "{}: version {}, expected {}", name, preamble.version,
           kVersion);
  KD_CHECK(preamble.length <= kMaxHeader && data_begin(preamble.length) <= bytes,
           "{}: a header of {} bytes in a file of {}: cut short", name, preamble.length, bytes);
  std::string text(preamble.length, '\0');
  read_at(file_, path_, sizeof(preamble), std::as_writable_bytes(std::span(text)));
  KD_CHECK(digest(std::as_bytes(std::span(text))) == preamble.sum,
           "{}: the header's checksum is wrong", name);
  const Json json = parse_json(text, name + ": header");
  StrictObject object(json, name + ": header");
  key_ = object.raw("key");
  KD_CHECK(key_.is_object(), "{}: the key is no object", name);
  size_ = {object.required<int64_t>("samples"), object.required<int64_t>("views"),
           object.required<int64_t>("classes")};
  format_ = parse_logit_format(object.required<std::string>("format"));
  object.finish();
  for (const int64_t extent : {size_.samples, size_.views, size_.classes}) {
    KD_CHECK(extent >= 1 && extent <= kMany, "{}: an extent of {}", name, extent);
  }
  KD_CHECK(format_.highest < size_.classes, "{}: {} of {} classes", name, format_.str(),
           size_.classes);
  data_ = data_begin(preamble.length);
  KD_CHECK(bytes <= whole_bytes(), "{}: {} bytes, expected at most {}", name, bytes, whole_bytes());
}

void LogitFile::check_key(const Json& wanted) const {
  for (const auto& [name, value] : wanted.items()) {
    if (key_.contains(name) && key_.at(name) == value) continue;
    fail(ErrorCode::usage,
         "{}: {} changed: the cache was made with {}, now it is {}; name another folder, or delete "
         "the file",
         path_.string(), name, text_of(key_, name), value.dump());
  }
  for (const auto& [name, value] : key_.items()) {
    if (wanted.contains(name)) continue;
    fail(ErrorCode::usage, "{}: {} changed: the cache was made with {}, now there is none",
         path_.string(), name, value.dump());
  }
}

// A record: the encoded logits, the picture's hash (8 bytes), the checksum of both and the slot's
// number. A slot never written is zeros, or past the end of the file.
size_t LogitFile::record_bytes() const {
  return format_.bytes(size_.classes) + sizeof(uint64_t) + kChecksum;
}

uint64_t LogitFile::bytes_of(const Size& size, const LogitFormat& format) {
  uint64_t slots = 0, bytes = 0;
  const uint64_t record = format.bytes(size.classes) + sizeof(uint64_t) + kChecksum;
  const bool overflow = __builtin_mul_overflow(static_cast<uint64_t>(size.samples),
                                               static_cast<uint64_t>(size.views), &slots) ||
                        __builtin_mul_overflow(slots, record, &bytes);
  KD_CHECK(!overflow && bytes <= INT64_MAX - kMaxHeader - 2 * kAlign,
           "{} views of {} pictures with {} classes: too many bytes", size.views, size.samples,
           size.classes);
  return bytes;
}

uint64_t LogitFile::whole_bytes() const { return data_ + bytes_of(size_, format_); }

uint64_t LogitFile::place(const Slot& slot) const {
  KD_CHECK(
      slot.sample >= 0 && slot.sample < size_.samples && slot.view >= 0 && slot.view < size_.views,
      "{}: picture {}, view {} of {} pictures in {} views", path_.string(), slot.sample, slot.view,
      size_.samples, size_.views);
  return data_ + static_cast<uint64_t>(slot.view * size_.samples + slot.sample) * record_bytes();
}

LogitFile::State LogitFile::read_slot(const Slot& slot, std::vector<std::byte>& record) const {
  const uint64_t at = place(slot);
  record.assign(record_bytes() + sizeof(at), std::byte{0});
  const std::span<std::byte> stored = std::span(record).first(record_bytes());
  read_at(file_, path_, at, stored);
  if (std::ranges::all_of(stored, [](std::byte b) { return b == std::byte{0}; })) {
    return State::missing;
  }
  std::array<std::byte, kChecksum> sum{};
  const auto body = static_cast<ptrdiff_t>(record_bytes() - kChecksum);
  std::copy_n(record.begin() + body, kChecksum, sum.begin());
  std::memcpy(record.data() + body, &at, sizeof(at));
  const auto checked = std::span(record).first(static_cast<size_t>(body) + sizeof(at));
  return digest(checked) == sum ? State::present : State::damaged;
}

LogitFile::State LogitFile::read(const Slot& slot, uint64_t picture,
                                 std::span<float> logits) const {
  std::vector<std::byte> record;
  const State state = read_slot(slot, record);
  if (state != State::present) return state;
  uint64_t stored = 0;
  std::memcpy(&stored, record.data() + format_.bytes(size_.classes), sizeof(stored));
  if (stored != picture) {
    fail(ErrorCode::input,
         "{}: picture {} changed since its logits were kept; name another folder, or delete the "
         "file",
         path_.string(), slot.sample);
  }
  KD_CHECK(format_.decode(record.data(), logits), "{}: picture {}, view {}: no logits of {}",
           path_.string(), slot.sample, slot.view, format_.str());
  return state;
}

void LogitFile::write(const Slot& slot, uint64_t picture, std::span<const float> logits) {
  const uint64_t at = place(slot);
  const size_t payload = format_.bytes(size_.classes), body = payload + sizeof(picture);
  std::vector<std::byte> record(record_bytes());
  format_.encode(logits, record.data());
  std::memcpy(record.data() + payload, &picture, sizeof(picture));
  std::memcpy(record.data() + body, &at, sizeof(at));
  const auto sum = digest(std::span(record).first(body + sizeof(at)));
  std::ranges::copy(sum, record.begin() + static_cast<ptrdiff_t>(body));
  write_at(file_, path_, at, record);
}

LogitFile::Count LogitFile::count() const {
  Count count;
  std::vector<std::byte> record;
  for (int64_t view = 0; view < size_.views; ++view) {
    for (int64_t sample = 0; sample < size_.samples; ++sample) {
      const State state = read_slot({sample, view}, record);
      count.present += state == State::present;
      count.damaged += state == State::damaged;
    }
  }
  return count;
}

void LogitFile::sync() const {
  KD_CHECK(::fdatasync(file_) == 0 || errno == EROFS || errno == EINVAL, "{}: can't be written: {}",
           path_.string(), reason());
}

}  // namespace kd
