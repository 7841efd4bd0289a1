#include "data/listing.h"

#include <algorithm>
#include <array>
#include <set>

#include "kd/error.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& path) {
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(),
                         [](unsigned char c) { return std::tolower(c); });
  constexpr std::array<std::string_view, 8> kKnown{".png", ".jpg", ".jpeg", ".bmp",
                                                   ".ppm", ".pgm", ".gif",  ".tga"};
  return std::ranges::find(kKnown, extension) != kKnown.end();
}

// Links may lead back: each folder is entered once.
void append_below(const fs::path& folder, int label, std::set<fs::path>& entered, Listing& list) {
  KD_CHECK(entered.insert(fs::canonical(folder)).second,
           "{}: a link leads back to a folder that is listed already", folder.string());
  for (const fs::path& file : sorted_entries(folder, Entries::pictures)) {
    list.files.push_back(file);
    list.labels.push_back(label);
  }
  for (const fs::path& entry : sorted_entries(folder, Entries::folders)) {
    append_below(entry, label, entered, list);
  }
}

}  // namespace

std::vector<fs::path> sorted_entries(const fs::path& folder, Entries which) {
  std::vector<fs::path> entries;
  std::error_code error;
  const fs::directory_iterator all(folder, error);
  KD_CHECK(!error, "{}: can't be listed: {}", folder.string(), error.message());
  for (const auto& entry : all) {
    if (entry.path().filename().string().starts_with('.')) continue;
    std::error_code unreadable;  // a link to nowhere, or to itself, is neither
    if (which == Entries::folders ? entry.is_directory(unreadable)
                                  : entry.is_regular_file(unreadable) && is_picture(entry.path())) {
      entries.push_back(entry.path());
    }
  }
  std::ranges::sort(entries);
  return entries;
}

Listing list_classes(const fs::path& folder) {
  Listing list;
  for (const fs::path& entry : sorted_entries(folder, Entries::folders)) {
    const std::vector<fs::path> files = sorted_entries(entry, Entries::pictures);
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

Listing list_all(const fs::path& folder, const std::vector<std::string>& classes) {
  Listing list{{}, {}, classes};
  KD_CHECK(fs::is_directory(folder), "{}: no such folder of pictures", folder.string());
  std::string known, other;
  std::set<fs::path> entered{fs::canonical(folder)};
  for (const fs::path& file : sorted_entries(folder, Entries::pictures)) {
    list.files.push_back(file);
    list.labels.push_back(-1);
  }
  for (const fs::path& entry : sorted_entries(folder, Entries::folders)) {
    const std::string name = entry.filename().string();
    const auto found = std::ranges::find(classes, name);
    const bool is_class = found != classes.end();
    (is_class ? known : other) = name;
    const int label = is_class ? static_cast<int>(found - classes.begin()) : -1;
    append_below(entry, label, entered, list);
  }
  KD_CHECK(known.empty() || other.empty(), "{}: '{}' is a class of the data, '{}' is not",
           folder.string(), known, other);
  KD_CHECK(!list.files.empty(), "{}: the folder holds no pictures", folder.string());
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

}  // namespace kd
