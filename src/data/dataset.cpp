#include "data/dataset.h"

#include <algorithm>
#include <map>

#include "core/file.h"
#include "data/views.h"
#include "kd/error.h"

namespace kd {

Image MemoryDataset::image(int64_t index) const {
  const auto bytes = static_cast<ptrdiff_t>(parts_.height) * parts_.width * parts_.channels;
  const auto begin = parts_.pixels.begin() + index * bytes;
  return {parts_.height, parts_.width, parts_.channels, {begin, begin + bytes}};
}

std::vector<uint8_t> convert_channels(std::vector<uint8_t> pixels, int from, int to) {
  if (from == to) return pixels;
  std::vector<uint8_t> result;
  if (from == 1) {
    for (const uint8_t grey : pixels) result.insert(result.end(), 3, grey);
  } else {
    for (size_t i = 0; i + 2 < pixels.size(); i += 3) {
      const int luma = 299 * pixels[i] + 587 * pixels[i + 1] + 114 * pixels[i + 2];
      result.push_back(static_cast<uint8_t>((luma + 500) / 1000));
    }
  }
  return result;
}

std::vector<int64_t> first_per_class(const std::vector<int>& labels, int64_t n) {
  std::vector<int64_t> kept;
  std::map<int, int64_t> seen;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (n <= 0 || seen[labels[i]]++ < n) kept.push_back(static_cast<int64_t>(i));
  }
  return kept;
}

namespace {

std::string fingerprint_of(const DataSplits& splits) {
  std::string text = splits.format;
  for (const auto& split : {splits.train, splits.val, splits.dev}) {
    if (!split) continue;
    for (int64_t i = 0; i < split->size(); ++i) {
      text += '\n' + std::filesystem::path(split->name(i)).filename().string() + ':' +
              std::to_string(split->label(i));
    }
  }
  return hash_hex(std::as_bytes(std::span(text)));
}

// A share of each class of the training pictures becomes `dev`.
void set_dev_aside(DataSplits& splits, const DataOptions& options) {
  if (options.dev_split == 0) return;
  std::vector<int> labels;
  for (int64_t i = 0; i < splits.train->size(); ++i) labels.push_back(splits.train->label(i));
  const Shares shares = split_by_label(labels, options.dev_split, options.seed, 1);
  KD_CHECK(!shares.kept.empty() && !shares.aside.empty(),
           "the development split {} leaves {} training and {} development pictures",
           options.dev_split, shares.kept.size(), shares.aside.size());
  splits.dev = std::make_shared<SubsetDataset>(splits.train, shares.aside);
  splits.train = std::make_shared<SubsetDataset>(splits.train, shares.kept);
}

void append_extra(DataSplits& splits, const DataOptions& options) {
  if (options.extra.empty()) return;
  std::vector<std::shared_ptr<const Dataset>> parts{splits.train};
  for (const auto& folder : options.extra) {
    parts.push_back(open_extra(folder, splits.train->class_names(), options.channels));
  }
  splits.train = std::make_shared<JoinedDataset>(std::move(parts));
}

}  // namespace

DataSplits open_data(const std::filesystem::path& path, const DataOptions& options) {
  KD_CHECK(std::filesystem::is_directory(path), "{}: no such folder of data", path.string());
  KD_CHECK(options.val_split >= 0 && options.val_split < 1,
           "the validation split {} is not in [0, 1)", options.val_split);
  KD_CHECK(options.dev_split >= 0 && options.dev_split < 1,
           "the development split {} is not in [0, 1)", options.dev_split);
  for (const auto& open : {open_cifar, open_idx, open_folder}) {
    std::optional<DataSplits> splits = open(path, options);
    if (!splits) continue;
    set_dev_aside(*splits, options);
    append_extra(*splits, options);
    splits->fingerprint = fingerprint_of(*splits);
    return *splits;
  }
  fail(ErrorCode::input,
       "{}: no data recognised; expected train/<class>/ and val/<class>/ folders of pictures, "
       "<class>/ "
       "folders with --val-split, pictures alone, CIFAR binary batches, or IDX files",
       path.string());
}

}  // namespace kd
