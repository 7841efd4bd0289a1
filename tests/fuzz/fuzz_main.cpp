// One target: the reader KD_READER names.
#include <cstdint>
#include <cstdlib>
#include <iostream>

#include "fuzz/readers.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const kd::fuzz::Reader* reader = [] {
    for (const kd::fuzz::Reader& known : kd::fuzz::readers()) {
      if (known.name == KD_READER) return &known;
    }
    std::cerr << "no reader " KD_READER "\n";
    std::abort();
  }();
  try {
    kd::fuzz::outcome(*reader, std::as_bytes(std::span(data, size)));
  } catch (const std::exception& broken) {
    std::cerr << "broken promise: " << broken.what() << "\n";
    std::abort();
  }
  return 0;
}
