// Packed sets: a data set as one file that is mapped into memory, decoded (and resized) once. What
// trains from a folder trains from its packed set (open_data, kd/data.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

namespace kd {

struct PackConfig {
  std::filesystem::path source;  // whatever open_data takes
  std::filesystem::path output;
  // Pictures are kept as large as they are, or their shorter side becomes `size`, or they are
  // resized to cover height x width and cropped to it in the centre. Training from the set then
  // gives the bytes of training from its source only where training would begin with just that.
  int size = 0;
  int height = 0, width = 0;
  int channels = 0;            // 1: grey, 3: colour, 0: as the source has them
  bool keep_jpeg = false;      // JPEG files as they are, to be decoded at each reading; no resizing
  int64_t max_bad_images = 0;  // unreadable ones are named and left out; more than this = Error
  int workers = 2;             // threads
};

// What takes its time: "checking what is there" (of an interrupted run), "packing", "verifying".
struct PackProgress {
  std::string what;
  int64_t done = 0, total = 0;  // pictures
  uint64_t bytes = 0;           // of them
};
// Every function may be empty.
struct PackWatcher {
  std::function<void(const std::string&)> note;  // one line of plain text
  std::function<void(const PackProgress&)> progress;
  std::function<bool()> stop;  // true: return; the same call continues
};

struct PackSummary {
  bool interrupted = false;
  int64_t pictures = 0, continued = 0, left_out = 0;  // continued: found from an interrupted run
  uint64_t bytes = 0;                                 // of the file
  std::string source_hash;  // XXH3-128 over names, labels and contents of what was packed, hex
};

// Writes config.output. What is done so far is kept in OUTPUT.partial and OUTPUT.journal.partial;
// after an interruption, or a kill, the same call continues there and ends with the same bytes.
PackSummary pack(const PackConfig& config, const PackWatcher& watcher);

// Compares every picture with its checksum, and decodes JPEG. Throws Error naming the first that
// differs.
PackSummary verify_packed(const std::filesystem::path& path, const PackWatcher& watcher);

}  // namespace kd
