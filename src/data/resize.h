// Bilinear resizing with antialiasing, as PIL's, of the part of the result that is wanted.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace kd {

struct Size {
  int height, width;
  bool operator==(const Size&) const = default;
};
// A rectangle in whole pixels.
struct Window {
  int top, left, height, width;
};
inline Window all_of(const Size& size) { return {0, 0, size.height, size.width}; }
// A rectangle in fractions of pixels.
struct Region {
  double top, left, height, width;
  bool operator==(const Region&) const = default;
};
inline Region region_of(const Size& size) {
  return {0, 0, double(size.height), double(size.width)};
}

// Rows of interleaved bytes.
struct Pixels {
  const uint8_t* data;
  ptrdiff_t stride;  // bytes from row to row
};
struct MutablePixels {
  uint8_t* data;
  ptrdiff_t stride;
};

// `region` of a picture becomes `to`, and of that `window` is made.
struct ResizePlan {
  Size from;
  Region region;
  Size to;
  Window window;
};

// The part of the picture that such a resize reads.
Window pixels_read(const ResizePlan& plan);

// `src` is the part pixels_read() names, `channels` 1 or 3. Rows first, then columns, in f32;
// rounded once. The bytes do not depend on the window.
void resize(const ResizePlan& plan, int channels, const Pixels& src, const MutablePixels& dst);

}  // namespace kd
