#include "backend/cuda/plan_cache.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "core/file.h"
#include "kd/error.h"

namespace kd::cuda {
namespace {

constexpr std::string_view kMagic = "kdplan\n";
constexpr int kVersion = 1;

std::string hash_of(std::string_view text) {
  return hash_hex(std::as_bytes(std::span(text.data(), text.size())));
}

// The header's lines, one taken after the other.
class Header {
 public:
  explicit Header(std::string_view text) : rest_(text) {}
  // The value of the next line, which must have this name; none if it has not.
  std::optional<std::string_view> next(std::string_view name) {
    const size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest_.substr(0, end);
    if (!line.starts_with(name) || line.substr(name.size(), 1) != " ") return std::nullopt;
    rest_.remove_prefix(end + 1);
    return line.substr(name.size() + 1);
  }
  std::string_view rest() const { return rest_; }

 private:
  std::string_view rest_;
};

// Empty, or what is wrong; on the way `plan` is found.
std::string check(std::string_view file, const PlanOwner& owner, std::string_view key,
                  std::string_view& plan) {
  if (!file.starts_with(kMagic)) return "it is no plan file";
  Header header(file.substr(kMagic.size()));
  const auto differs = [&](std::string_view name, const std::string& want) -> std::string {
    const auto value = header.next(name);
    if (!value) return format("its header has no {}", name);
    if (*value == want) return {};
    return format("it has {} '{}', expected '{}'", name, *value, want);
  };
  for (const auto& [name, want] :
       {std::pair<std::string_view, std::string>{"version", std::to_string(kVersion)},
        {"device", owner.device},
        {"sm", std::to_string(owner.sm)},
        {"cudnn", std::to_string(owner.cudnn)},
        {"key", std::string(key)}}) {
    if (std::string why = differs(name, want); !why.empty()) return why;
  }
  const auto size = header.next("size");
  if (!size) return "its header has no size";
  const auto checksum = header.next("checksum");
  if (!checksum) return "its header has no checksum";
  if (!header.rest().starts_with('\n')) return "its header has no end";
  plan = header.rest().substr(1);
  if (std::to_string(plan.size()) != *size) {
    return format("it holds {} bytes, expected {}", plan.size(), *size);
  }
  if (hash_of(plan) != *checksum) return "its checksum is wrong";
  return {};
}

// A folder's name: letters, digits, '-' and '.' stay.
std::string folder_of(const PlanOwner& owner) {
  std::string name = format("{}_sm{}_cudnn{}", owner.device, owner.sm, owner.cudnn);
  std::ranges::replace_if(
      name,
      [](char c) {
        return !std::isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.' && c != '_';
      },
      '_');
  return name;
}

}  // namespace

std::string encode_plan(const PlanOwner& owner, std::string_view key, std::string_view plan) {
  return format("{}version {}\ndevice {}\nsm {}\ncudnn {}\nkey {}\nsize {}\nchecksum {}\n\n{}",
                kMagic, kVersion, owner.device, owner.sm, owner.cudnn, key, plan.size(),
                hash_of(plan), plan);
}

FoundPlan decode_plan(std::string_view file, const PlanOwner& owner, std::string_view key) {
  std::string_view plan;
  std::string why = check(file, owner, key, plan);
  if (!why.empty()) return {std::nullopt, std::move(why)};
  return {std::string(plan), {}};
}

PlanCache::PlanCache(std::filesystem::path directory, PlanOwner owner)
    : directory_(std::move(directory) / folder_of(owner)), owner_(std::move(owner)) {}

std::filesystem::path PlanCache::file(std::string_view key) const {
  return directory_ / (hash_of(key) + ".plan");
}

FoundPlan PlanCache::find(std::string_view key) const {
  const std::filesystem::path path = file(key);
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return {};
  try {
    const std::vector<std::byte> bytes = read_file(path);
    return decode_plan({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, owner_, key);
  } catch (const Error& error) {
    return {std::nullopt, error.what()};
  }
}

std::string PlanCache::store(std::string_view key, std::string_view plan) const {
  try {
    std::filesystem::create_directories(directory_);
    // The writer's own temporary name, so that two processes do not write to one file.
    const std::filesystem::path path = file(key), own = path.string() + std::to_string(getpid());
    write_file(own, encode_plan(owner_, key, plan));
    std::error_code refused;
    std::filesystem::rename(own, path, refused);
    if (!refused) return {};
    std::filesystem::remove(own);
    return format("{}: {}", path.string(), refused.message());
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace kd::cuda
