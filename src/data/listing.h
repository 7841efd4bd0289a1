// Which picture files a folder holds, and the classes they are of.
#pragma once

#include "kd/data.h"

namespace kd {

struct Listing {
  std::vector<std::filesystem::path> files;
  std::vector<int> labels;  // -1: none
  std::vector<std::string> classes;
};

// Folders, or picture files, directly in `folder`, sorted, without hidden ones.
enum class Entries : uint8_t { folders, pictures };
std::vector<std::filesystem::path> sorted_entries(const std::filesystem::path& folder,
                                                  Entries which);

// <class>/*, two classes or more. Throws Error naming an empty class folder.
Listing list_classes(const std::filesystem::path& folder);

// All pictures in any depth, sorted by path. Those in a folder of `classes` directly in `folder`
// have its label, the others none. Throws Error where some folders are classes and others are not,
// and where there are no pictures.
Listing list_all(const std::filesystem::path& folder, const std::vector<std::string>& classes);

Listing subset(const Listing& list, const std::vector<int64_t>& kept);

}  // namespace kd
