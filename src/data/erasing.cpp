#include "data/erasing.h"

#include <cmath>

#include "data/colour.h"

namespace kd {
namespace {

void fill(Image& image, int row, int first, int count, const Colour& colour) {
  const int channels = image.channels;
  uint8_t* at = image.pixels.data() + static_cast<ptrdiff_t>(row * image.width + first) * channels;
  for (int i = 0; i < count; ++i) at = std::copy_n(colour.begin(), channels, at);
}

}  // namespace

Colour mean_colour(const Preprocess& p) {
  Colour colour{};
  for (int c = 0; c < p.channels(); ++c) {
    const int channel = p.colour == "BGR" ? 2 - c : c;
    colour[static_cast<size_t>(c)] = to_byte(255 * p.mean[static_cast<size_t>(channel)]);
  }
  return colour;
}

void erase_randomly(Image& image, double probability, const Colour& colour,
                    RandomSequence& random) {
  if (random.uniform() >= probability) return;
  const double area = double(image.height) * image.width;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double target = area * random.uniform(0.02, 0.33);
    const double aspect = std::exp(random.uniform(std::log(0.3), std::log(3.3)));
    const double at_y = random.uniform(), at_x = random.uniform();
    const int height = static_cast<int>(std::lround(std::sqrt(target * aspect)));
    const int width = static_cast<int>(std::lround(std::sqrt(target / aspect)));
    if (height < 1 || width < 1 || height >= image.height || width >= image.width) continue;
    const int top = static_cast<int>(at_y * (image.height - height + 1));
    const int left = static_cast<int>(at_x * (image.width - width + 1));
    for (int row = top; row < top + height; ++row) fill(image, row, left, width, colour);
    return;
  }
}

}  // namespace kd
