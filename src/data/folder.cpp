// Image folders: train/<class>/* and val/<class>/*, or <class>/* with a validation share.
#include <algorithm>
#include <array>
#include <mutex>

#include "data/dataset.h"
#include "kd/error.h"
#include "kd/random.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

constexpr size_t kKeepBytes = size_t{1} << 30;  // decoded pictures kept in memory, a split

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 8> kKnown{".png", ".jpg", ".jpeg", ".bmp",
                                                   ".ppm", ".pgm", ".gif",  ".tga"};
  return std::ranges::find(kKnown, extension) != kKnown.end();
}

std::vector<fs::path> sorted_entries(const fs::path& folder, bool folders) {
  std::vector<fs::path> entries;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.path().filename().string().starts_with('.')) continue;
    if (folders ? entry.is_directory() : entry.is_regular_file() && is_picture(entry.path())) {
      entries.push_back(entry.path());
    }
  }
  std::ranges::sort(entries);
  return entries;
}

struct Listing {
  std::vector<fs::path> files;
  std::vector<int> labels;
  std::vector<std::string> classes;
};

Listing list_classes(const fs::path& folder) {
  Listing list;
  for (const fs::path& entry : sorted_entries(folder, true)) {
    const std::vector<fs::path> files = sorted_entries(entry, false);
    KD_CHECK(!files.empty(), "{}: the class folder holds no pictures", entry.string());
    for (const fs::path& file : files) {
      list.files.push_back(file);
      list.labels.push_back(static_cast<int>(list.classes.size()));
    }
    list.classes.push_back(entry.filename().string());
  }
  KD_CHECK(list.classes.size() >= 2, "{}: {} class folders, expected two or more", folder.string(),
           list.classes.size());
  return list;
}

Listing subset(const Listing& list, const std::vector<int64_t>& kept) {
  Listing result{{}, {}, list.classes};
  for (const int64_t i : kept) {
    result.files.push_back(list.files[static_cast<size_t>(i)]);
    result.labels.push_back(list.labels[static_cast<size_t>(i)]);
  }
  return result;
}

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

// Each picture goes by its own number: adding one does not move the others.
bool in_validation(uint64_t seed, int64_t index, double share) {
  const auto words = random_words(seed, Purpose::split, 0, static_cast<uint64_t>(index), 0);
  return uniform01(words[0]) < share;
}

DataSplits split_folder(const fs::path& path, const DataOptions& options) {
  const Listing all = list_classes(path);
  std::vector<int64_t> train, val;
  for (size_t i = 0; i < all.files.size(); ++i) {
    const auto index = static_cast<int64_t>(i);
    (in_validation(options.seed, index, options.val_split) ? val : train).push_back(index);
  }
  KD_CHECK(!train.empty() && !val.empty(),
           "{}: the split {} leaves {} training and {} validation pictures", path.string(),
           options.val_split, train.size(), val.size());
  const Listing part = subset(all, train);
  return {std::make_shared<FolderDataset>(
              subset(part, first_per_class(part.labels, options.per_class)), options.channels),
          std::make_shared<FolderDataset>(subset(all, val), options.channels), "folder", ""};
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
  if (sorted_entries(path, true).empty()) return std::nullopt;
  KD_CHECK(options.val_split > 0, "{}: one folder of classes needs --val-split", path.string());
  return split_folder(path, options);
}

}  // namespace kd
