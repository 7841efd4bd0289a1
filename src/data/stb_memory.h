// A bound on what stb_image may allocate: compressed data can unpack to a thousand times its size
// before a decoder sees that the picture does not want it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kd {

// From now on no allocation of this thread's decoder is larger than a picture of so many pixels,
// in a file of so many bytes, may need. Beyond it decoding fails as out of memory.
void limit_decoder(size_t file_bytes, int64_t pixels);

void* decoder_malloc(size_t bytes);
void* decoder_realloc(void* memory, size_t bytes);

}  // namespace kd
