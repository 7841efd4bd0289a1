// Image folders: train/<class>/* and val/<class>/*, or <class>/* with a validation share, or
// pictures without labels.
#include <algorithm>
#include <mutex>

#include "core/file.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/listing.h"
#include "kd/error.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeepBytes = size_t{1} << 30;  // decoded pictures kept in memory, a split

class FolderDataset final : public Dataset {
 public:
  FolderDataset(Listing list, int channels)
      : list_(std::move(list)), channels_(channels), kept_(list_.files.size()) {}
  int64_t size() const override { return static_cast<int64_t>(list_.files.size()); }
  int label(int64_t index) const override { return list_.labels[static_cast<size_t>(index)]; }
  std::string name(int64_t index) const override {
    return list_.files[static_cast<size_t>(index)].string();
  }
  int channels() const override { return channels_; }
  bool of_files() const override { return true; }
  const std::vector<std::string>& class_names() const override { return list_.classes; }

  // Small pictures are decoded once, not in every epoch: what fits is kept. JPEG files are not,
  // since they are decoded in part.
  Picture picture(int64_t index) const override {
    const auto at = static_cast<size_t>(index);
    {
      const std::lock_guard lock(mutex_);
      if (kept_[at]) return *kept_[at];
    }
    const std::string file = list_.files[at].string();
    Picture picture = picture_of_file(read_file(file), file, channels_);
    if (!picture.jpeg.empty()) return picture;
    const std::lock_guard lock(mutex_);
    if (!kept_[at] && kept_bytes_ + picture.pixels.size() <= kKeepBytes) {
      kept_bytes_ += picture.pixels.size();
      kept_[at] = picture;
    }
    return picture;
  }

 private:
  Listing list_;
  int channels_;
  mutable std::mutex mutex_;
  mutable std::vector<std::optional<Picture>> kept_;
  mutable size_t kept_bytes_ = 0;
};

}  // namespace

std::optional<Source> open_folder(const fs::path& path, int channels) {
  if (!fs::is_directory(path)) return std::nullopt;
  const int wanted = channels == 0 ? 3 : channels;
  const bool train = fs::is_directory(path / "train"), val = fs::is_directory(path / "val");
  if (train && val) {
    const Listing list = list_classes(path / "train"), val_list = list_classes(path / "val");
    for (size_t i = 0; i < std::max(list.classes.size(), val_list.classes.size()); ++i) {
      const std::string a = i < list.classes.size() ? list.classes[i] : "nothing";
      const std::string b = i < val_list.classes.size() ? val_list.classes[i] : "nothing";
      KD_CHECK(a == b, "{}: the classes of train/ and val/ differ: '{}' and '{}'", path.string(), a,
               b);
    }
    return Source{std::make_shared<FolderDataset>(list, wanted),
                  std::make_shared<FolderDataset>(val_list, wanted), "folder"};
  }
  KD_CHECK(!train && !val, "{}: has train/ or val/ but not both", path.string());
  if (sorted_entries(path, Entries::folders).empty()) {
    if (sorted_entries(path, Entries::pictures).empty()) return std::nullopt;
    return Source{std::make_shared<FolderDataset>(list_all(path, {}), wanted), nullptr, "pictures"};
  }
  return Source{std::make_shared<FolderDataset>(list_classes(path), wanted), nullptr, "folder"};
}

std::shared_ptr<const Dataset> open_extra(const fs::path& path,
                                          const std::vector<std::string>& classes, int channels) {
  return std::make_shared<FolderDataset>(list_all(path, classes), channels);
}

}  // namespace kd
