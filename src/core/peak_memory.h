// How much memory this process has used at most.
#pragma once

#include <optional>

namespace kd {

// Bytes; nothing where the system does not say.
std::optional<double> peak_memory_bytes();

}  // namespace kd
