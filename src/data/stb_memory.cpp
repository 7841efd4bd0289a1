#include "data/stb_memory.h"

#include <cstdlib>

namespace kd {
namespace {

// 16 bits of four channels, a byte of filter for each row, and room to grow by doubling.
constexpr size_t kBytesPerPixel = 24, kAlways = size_t{1} << 20;

thread_local size_t most = kAlways;  // before the first picture: what stbi_info may want

}  // namespace

void limit_decoder(size_t file_bytes, int64_t pixels) {
  most = kAlways + 2 * file_bytes + kBytesPerPixel * static_cast<size_t>(pixels);
}

void* decoder_malloc(size_t bytes) { return bytes <= most ? std::malloc(bytes) : nullptr; }
void* decoder_realloc(void* memory, size_t bytes) {
  return bytes <= most ? std::realloc(memory, bytes) : nullptr;
}

}  // namespace kd
