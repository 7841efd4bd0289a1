#include "core/peak_memory.h"

#include <fstream>
#include <string>

namespace kd {

// VmHWM: getrusage's maximum would begin with that of the program that started this one.
std::optional<double> peak_memory_bytes() {
  std::ifstream file("/proc/self/status");
  std::string word;
  double kib = 0;
  while (file >> word) {
    if (word == "VmHWM:" && file >> kib) return kib * 1024;
  }
  return std::nullopt;
}

}  // namespace kd
