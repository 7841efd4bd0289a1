// The bodies of stb_image and stb_image_write, compiled once. Nothing of ours is here, and
// tools/lint leaves it out. Formats that no picture folder holds are left out.
#include <cstdlib>

#include "data/stb_memory.h"

#define STB_IMAGE_IMPLEMENTATION
#define STBI_NO_STDIO
#define STBI_NO_PSD
#define STBI_NO_HDR
#define STBI_NO_PIC
#define STBI_MALLOC(bytes) kd::decoder_malloc(bytes)
#define STBI_REALLOC(memory, bytes) kd::decoder_realloc(memory, bytes)
#define STBI_FREE(memory) std::free(memory)
#include <stb/stb_image.h>
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>
