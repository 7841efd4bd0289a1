// How much memory this process uses, and has used at most.
#pragma once

#include <optional>

namespace kd {

// Bytes; nothing where the system does not say.
std::optional<double> peak_memory_bytes();
std::optional<double> resident_memory_bytes();  // now

}  // namespace kd
