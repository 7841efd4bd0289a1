// JPEG files by libjpeg-turbo, whole or in part. Built without it nothing is recognised here, and
// stb_image decodes them.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/resize.h"

namespace kd {

// Nothing where the file is none that libjpeg-turbo turns into RGB (not JPEG, CMYK, 12 bits,
// damaged).
std::optional<Size> jpeg_size(std::span<const std::byte> file);

// Of the picture at 1 / shrink of its size (1, 2, 4 or 8; rounded up).
struct JpegPart {
  int shrink;
  Window window;
};
inline Size shrunk(const Size& size, int shrink) {
  return {(size.height + shrink - 1) / shrink, (size.width + shrink - 1) / shrink};
}
// RGB of that part, decoded as libjpeg does by default: the same bytes whatever the window. Valid
// as long as `memory`, which only grows. Throws Error naming `name` where the file is damaged or
// ends early.
Pixels decode_jpeg(std::span<const std::byte> file, const std::string& name, const JpegPart& part,
                   std::vector<uint8_t>& memory);

}  // namespace kd
