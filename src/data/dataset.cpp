#include "data/dataset.h"

#include <algorithm>
#include <map>

#include "core/file.h"
#include "data/views.h"
#include "kd/error.h"

namespace kd {

Picture MemoryDataset::picture(int64_t index) const {
  const size_t bytes = static_cast<size_t>(parts_.height) * static_cast<size_t>(parts_.width) *
                       static_cast<size_t>(parts_.channels);
  const std::span<const uint8_t> all(parts_.pixels);
  return {parts_.height,
          parts_.width,
          parts_.channels,
          all.subspan(static_cast<size_t>(index) * bytes, bytes),
          {}};
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

std::vector<int> labels_of(const Dataset& data) {
  std::vector<int> labels;
  for (int64_t i = 0; i < data.size(); ++i) labels.push_back(data.label(i));
  return labels;
}

// One set is cut in two by val_split; of what remains the first per_class of each class are kept.
DataSplits cut(const Source& source, const std::filesystem::path& path,
               const DataOptions& options) {
  DataSplits splits{source.train, source.val, source.format, ""};
  if (!source.val) {
    KD_CHECK(options.val_split > 0 || source.train->class_names().empty(),
             "{}: one folder of classes needs --val-split", path.string());
    const Shares shares =
        split_by_label(labels_of(*source.train), options.val_split, options.seed, 0);
    KD_CHECK(!shares.kept.empty() && (options.val_split == 0 || !shares.aside.empty()),
             "{}: the split {} leaves {} training and {} validation pictures", path.string(),
             options.val_split, shares.kept.size(), shares.aside.size());
    splits.train = std::make_shared<SubsetDataset>(source.train, shares.kept);
    splits.val = std::make_shared<SubsetDataset>(source.train, shares.aside);
  }
  if (options.per_class > 0) {
    splits.train = std::make_shared<SubsetDataset>(
        splits.train, first_per_class(labels_of(*splits.train), options.per_class));
  }
  return splits;
}

// A share of each class of the training pictures becomes `dev`.
void set_dev_aside(DataSplits& splits, const DataOptions& options) {
  if (options.dev_split == 0) return;
  const Shares shares =
      split_by_label(labels_of(*splits.train), options.dev_split, options.seed, 1);
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

Source open_source(const std::filesystem::path& path, int channels) {
  KD_CHECK(std::filesystem::exists(path), "{}: no such folder or packed set of data",
           path.string());
  for (const auto& open : {open_packed, open_cifar, open_idx, open_folder}) {
    if (std::optional<Source> source = open(path, channels)) return *source;
  }
  fail(ErrorCode::input,
       "{}: no data recognised; expected train/<class>/ and val/<class>/ folders of pictures, "
       "<class>/ folders with --val-split, pictures alone, CIFAR binary batches, IDX files, or a "
       "set packed by kdpack",
       path.string());
}

DataSplits open_data(const std::filesystem::path& path, const DataOptions& options) {
  KD_CHECK(options.val_split >= 0 && options.val_split < 1,
           "the validation split {} is not in [0, 1)", options.val_split);
  KD_CHECK(options.dev_split >= 0 && options.dev_split < 1,
           "the development split {} is not in [0, 1)", options.dev_split);
  DataSplits splits = cut(open_source(path, options.channels), path, options);
  set_dev_aside(splits, options);
  append_extra(splits, options);
  splits.fingerprint = fingerprint_of(splits);
  return splits;
}

}  // namespace kd
