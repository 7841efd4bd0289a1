#include "data/colour.h"

namespace kd {
namespace {

double grey(const uint8_t* pixel, int channels) {
  return channels == 1 ? double(pixel[0]) : 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2];
}

// Each value moves away from `anchor(pixel)` by the factor.
template <class Anchor>
void blend(Image& image, double factor, Anchor anchor) {
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < image.pixels.size(); i += channels) {
    const double base = anchor(image.pixels.data() + i);
    for (size_t c = 0; c < channels; ++c) {
      image.pixels[i + c] = to_byte(base + factor * (image.pixels[i + c] - base));
    }
  }
}

}  // namespace

void adjust_brightness(Image& image, double factor) {
  if (factor != 1) blend(image, factor, [](const uint8_t*) { return 0.0; });
}

void adjust_contrast(Image& image, double factor) {
  if (factor == 1) return;
  double sum = 0;
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t i = 0; i < image.pixels.size(); i += channels) {
    sum += grey(image.pixels.data() + i, image.channels);
  }
  const double mean = sum / (double(image.height) * image.width);
  blend(image, factor, [=](const uint8_t*) { return mean; });
}

void adjust_saturation(Image& image, double factor) {
  if (factor == 1 || image.channels == 1) return;
  blend(image, factor, [](const uint8_t* pixel) { return grey(pixel, 3); });
}

}  // namespace kd
