#include "core/peak_memory.h"

#include <fstream>
#include <string>

namespace kd {

namespace {

std::optional<double> status_bytes(const std::string& key) {
  std::ifstream file("/proc/self/status");
  std::string word;
  double kib = 0;
  while (file >> word) {
    if (word == key && file >> kib) return kib * 1024;
  }
  return std::nullopt;
}

}  // namespace

// getrusage's maximum would begin with that of the program that started this one.
std::optional<double> peak_memory_bytes() { return status_bytes("VmHWM:"); }
std::optional<double> resident_memory_bytes() { return status_bytes("VmRSS:"); }

}  // namespace kd
