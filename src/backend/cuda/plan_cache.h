// Plans on disk, so that only a first run searches for them. Knows files, not cuDNN.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace kd::cuda {

// Whom a plan fits: it is useless on another device or for another cuDNN.
struct PlanOwner {
  std::string device;  // "NVIDIA H200"
  int sm = 0;
  int64_t cudnn = 0;  // 91900
  bool operator==(const PlanOwner&) const = default;
};

// The plan, or why there is none. A file that is not there needs no words: `refusal` is empty.
struct FoundPlan {
  std::optional<std::string> plan;
  std::string refusal;
};

// A file: the magic "kdplan", lines "name value" of the format's version, the owner, the key, the
// plan's size and checksum (XXH3-128 of the plan), an empty line, the plan.
std::string encode_plan(const PlanOwner& owner, std::string_view key, std::string_view plan);
FoundPlan decode_plan(std::string_view file, const PlanOwner& owner, std::string_view key);

class PlanCache {
 public:
  PlanCache(std::filesystem::path directory, PlanOwner owner);

  FoundPlan find(std::string_view key) const;
  // Atomic: another process sees the old file or the new one. Empty, or why it was not written; a
  // run does not need its cache.
  std::string store(std::string_view key, std::string_view plan) const;
  std::filesystem::path file(std::string_view key) const;

 private:
  std::filesystem::path directory_;  // of this owner
  PlanOwner owner_;
};

}  // namespace kd::cuda
