// Bytes as text, and text that is safe inside HTML and XML.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace kd {

std::string to_base64(std::span<const std::byte> bytes);
std::vector<std::byte> from_base64(std::string_view text, const std::string& where);

// Valid UTF-8 without markup: & < > " ' become entities; control characters (but newline and tab)
// and bytes that are not UTF-8 become U+FFFD.
std::string escape(std::string_view text);

}  // namespace kd
