// What tests of every folder share: temporary folders, and where real data may be.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

namespace kd::test {

// A fresh folder, removed with everything in it at the end of the scope.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// $KD_DATA, or shared/data beside the checkout; empty where there is none (then skip, and say so).
std::optional<std::filesystem::path> real_data();

}  // namespace kd::test
