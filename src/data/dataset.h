// Datasets whose pictures are kept decoded in memory, and what recognises each format.
#pragma once

#include <optional>

#include "kd/data.h"

namespace kd {

// Pictures of one size, decoded, in memory.
class MemoryDataset final : public Dataset {
 public:
  struct Parts {
    std::string name;  // of the file, for messages
    int height = 0, width = 0, channels = 3;
    std::vector<uint8_t> pixels;  // (N, H, W, C)
    std::vector<int> labels;
    std::vector<std::string> class_names;
  };
  explicit MemoryDataset(Parts parts) : parts_(std::move(parts)) {}
  int64_t size() const override { return static_cast<int64_t>(parts_.labels.size()); }
  int label(int64_t index) const override { return parts_.labels[static_cast<size_t>(index)]; }
  std::string name(int64_t index) const override {
    return parts_.name + "[" + std::to_string(index) + "]";
  }
  int channels() const override { return parts_.channels; }
  Picture picture(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return parts_.class_names; }

 private:
  Parts parts_;
};

// What a folder, or file, holds: everything, in the order that sample ids follow.
struct Source {
  std::shared_ptr<const Dataset> train, val;  // val null: one set, of which val_split cuts some off
  std::string format;
};

// Each returns nothing if `path` does not look like its format at all. channels 0: those in which
// the format keeps its pictures (a folder's are RGB).
std::optional<Source> open_folder(const std::filesystem::path& path, int channels);
std::optional<Source> open_cifar(const std::filesystem::path& path, int channels);
std::optional<Source> open_idx(const std::filesystem::path& path, int channels);
std::optional<Source> open_packed(const std::filesystem::path& path, int channels);
// Whichever it is. Throws Error where it is none of them.
Source open_source(const std::filesystem::path& path, int channels);

// All pictures of a folder in any depth; class folders among them are known by their names.
std::shared_ptr<const Dataset> open_extra(const std::filesystem::path& path,
                                          const std::vector<std::string>& classes, int channels);

// Keeps the first n of each class, in order; 0 keeps all.
std::vector<int64_t> first_per_class(const std::vector<int>& labels, int64_t n);

}  // namespace kd
