// Nearest valid name, for messages about unknown keys, flags, layers.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kd {

// The candidate with the smallest edit distance, or "" if none is near (more than half of it
// differs).
std::string nearest_name(std::string_view name, std::span<const std::string> candidates);

// "; did you mean 'x'?" or "; valid: a, b, c" for the end of a message.
std::string suggestion(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace kd
