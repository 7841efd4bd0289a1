// One target: the reader KD_READER names.
#include <cstdint>
#include <cstdlib>
#include <ctime>
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
  // Of the process, not of the wall: the machine may be busy with other things.
  const std::clock_t begun = std::clock();
  try {
    kd::fuzz::outcome(*reader, std::as_bytes(std::span(data, size)));
  } catch (const std::exception& broken) {
    std::cerr << "broken promise: " << broken.what() << "\n";
    std::abort();
  }
  if (std::clock() - begun > CLOCKS_PER_SEC) {
    std::cerr << "broken promise: more than a second for one file\n";
    std::abort();
  }
  return 0;
}
