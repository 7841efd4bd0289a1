// Every reader of files as a function of bytes: what fuzzing calls, and what the unit tests feed
// with the corpus.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kd::fuzz {

struct Reader {
  std::string_view name;  // of its corpus folder and of its target, fuzz_<name>
  void (*read)(std::span<const std::byte> bytes);  // throws whatever the reader throws
};
const std::vector<Reader>& readers();

// Reads; "" or the sentence of the Error. Throws std::logic_error where the reader broke its
// promise: an exception that is no Error, an Error that blames us or the device, no sentence.
std::string outcome(const Reader& reader, std::span<const std::byte> bytes);

}  // namespace kd::fuzz
