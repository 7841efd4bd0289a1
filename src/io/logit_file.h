// A teacher's logits on disk: a header that says what they belong to, then a slot of fixed size
// for each view of each picture, filled in any order. README.md describes the format.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"

namespace kd {

// How logits are written down.
struct LogitFormat {
  enum class Kind : uint8_t { fp32, fp16, top };
  Kind kind = Kind::fp32;
  int64_t highest = 0;  // of top: how many are kept
  bool exact() const { return kind == Kind::fp32; }
  std::string str() const;
  size_t bytes(int64_t classes) const;  // of one picture's
  // top: the others are given back as one value each, that keeps their mass under a softmax.
  void encode(std::span<const float> logits, std::byte* to) const;
  // false: what is there can't have been encoded.
  bool decode(const std::byte* from, std::span<float> logits) const;
};
LogitFormat parse_logit_format(const std::string& name);  // "fp32", "fp16", "top8"

class LogitFile {
 public:
  struct Size {
    int64_t samples = 0, views = 1, classes = 0;
    bool operator==(const Size&) const = default;
  };
  struct Slot {
    int64_t sample = 0, view = 0;
  };
  enum class State : uint8_t { missing, damaged, present };

  // Opens the file, or begins one. One with another key is refused: Error{usage} that names the
  // first entry that differs, what the file has, and what is wanted.
  LogitFile(std::filesystem::path path, const Json& key, const Size& size, LogitFormat format);
  // Opens what is there, whatever its key.
  static LogitFile open(const std::filesystem::path& path);
  ~LogitFile();
  LogitFile(LogitFile&& other) noexcept;
  LogitFile& operator=(LogitFile&&) = delete;

  const Json& key() const { return key_; }
  const Size& size() const { return size_; }
  const LogitFormat& format() const { return format_; }
  const std::filesystem::path& path() const { return path_; }
  int64_t slots() const { return size_.samples * size_.views; }
  uint64_t whole_bytes() const;  // once every slot is filled
  static uint64_t bytes_of(const Size& size, const LogitFormat& format);  // without the header

  // picture: a hash of the pixels that the teacher saw; a slot of other pixels throws Error. What
  // was torn by a crash counts as damaged, and is written anew.
  State read(const Slot& slot, uint64_t picture, std::span<float> logits) const;
  void write(const Slot& slot, uint64_t picture, std::span<const float> logits);
  struct Count {
    int64_t present = 0, damaged = 0;
  };
  Count count() const;  // reads every slot
  void sync() const;

 private:
  explicit LogitFile(std::filesystem::path path) : path_(std::move(path)) {}
  void begin(const Json& key, const Size& size, const LogitFormat& format) const;
  void read_header();
  void check_key(const Json& wanted) const;
  uint64_t place(const Slot& slot) const;
  State read_slot(const Slot& slot, std::vector<std::byte>& record) const;
  size_t record_bytes() const;

  std::filesystem::path path_;
  int file_ = -1;
  Json key_;
  Size size_;
  LogitFormat format_;
  uint64_t data_ = 0;  // where the slots begin
};

}  // namespace kd
