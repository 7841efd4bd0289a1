#include "support/support.h"

#include <cstdlib>
#include <stdexcept>

namespace kd::test {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "kdtest-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr)
    throw std::runtime_error("no temporary folder: " + pattern);
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::optional<std::filesystem::path> real_data() {
  const char* named = std::getenv("KD_DATA");
  const std::filesystem::path path =
      named ? std::filesystem::path(named)
            : std::filesystem::path(KD_SOURCE_DIR) / ".." / "shared" / "data";
  if (!std::filesystem::exists(path / "teachers")) return std::nullopt;
  return path;
}

}  // namespace kd::test
