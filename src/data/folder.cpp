// Image folders: train/<class>/* and val/<class>/*, or <class>/* with a validation share, or
// pictures without labels.
#include <algorithm>
#include <mutex>

#include "data/dataset.h"
#include "data/listing.h"
#include "data/views.h"
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
  const std::vector<std::string>& class_names() const override { return list_.classes; }

  // Decodes, and keeps what fits: small pictures are decoded once, not in every epoch.
  Image image(int64_t index) const override {
    const auto at = static_cast<size_t>(index);
    {
      const std::lock_guard lock(mutex_);
      if (kept_[at]) return *kept_[at];
    }
    Image image = load_image(list_.files[at], channels_);
    const std::lock_guard lock(mutex_);
    if (!kept_[at] && kept_bytes_ + image.pixels.size() <= kKeepBytes) {
      kept_bytes_ += image.pixels.size();
      kept_[at] = std::make_shared<const Image>(image);
    }
    return image;
  }

 private:
  Listing list_;
  int channels_;
  mutable std::mutex mutex_;
  mutable std::vector<std::shared_ptr<const Image>> kept_;
  mutable size_t kept_bytes_ = 0;
};

// `all` cut in two by val_split; of what remains the first per_class of each class are kept.
DataSplits split_folder(const Listing& all, const fs::path& path, const DataOptions& options) {
  const Shares shares = split_by_label(all.labels, options.val_split, options.seed, 0);
  KD_CHECK(!shares.kept.empty() && (options.val_split == 0 || !shares.aside.empty()),
           "{}: the split {} leaves {} training and {} validation pictures", path.string(),
           options.val_split, shares.kept.size(), shares.aside.size());
  const Listing train = subset(all, shares.kept);
  return {std::make_shared<FolderDataset>(
              subset(train, first_per_class(train.labels, options.per_class)), options.channels),
          std::make_shared<FolderDataset>(subset(all, shares.aside), options.channels),
          all.classes.empty() ? "pictures" : "folder", ""};
}

}  // namespace

std::optional<DataSplits> open_folder(const fs::path& path, const DataOptions& options) {
  const bool train = fs::is_directory(path / "train"), val = fs::is_directory(path / "val");
  if (train && val) {
    const Listing list = list_classes(path / "train"), val_list = list_classes(path / "val");
    for (size_t i = 0; i < std::max(list.classes.size(), val_list.classes.size()); ++i) {
      const std::string a = i < list.classes.size() ? list.classes[i] : "nothing";
      const std::string b = i < val_list.classes.size() ? val_list.classes[i] : "nothing";
      KD_CHECK(a == b, "{}: the classes of train/ and val/ differ: '{}' and '{}'", path.string(), a,
               b);
    }
    return DataSplits{
        std::make_shared<FolderDataset>(
            subset(list, first_per_class(list.labels, options.per_class)), options.channels),
        std::make_shared<FolderDataset>(val_list, options.channels), "folder", ""};
  }
  KD_CHECK(!train && !val, "{}: has train/ or val/ but not both", path.string());
  if (sorted_entries(path, Entries::folders).empty()) {
    if (sorted_entries(path, Entries::pictures).empty()) return std::nullopt;
    return split_folder(list_all(path, {}), path, options);
  }
  KD_CHECK(options.val_split > 0, "{}: one folder of classes needs --val-split", path.string());
  return split_folder(list_classes(path), path, options);
}

std::shared_ptr<const Dataset> open_extra(const fs::path& path,
                                          const std::vector<std::string>& classes, int channels) {
  return std::make_shared<FolderDataset>(list_all(path, classes), channels);
}

}  // namespace kd
