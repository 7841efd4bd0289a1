#include "data/rand_augment.h"

#include <array>
#include <cmath>
#include <numbers>

#include "data/colour.h"

namespace kd {
namespace {

// Pixel (x, y) comes from (a x + b y + c, d x + e y + f), both counted at pixel centres.
struct Affine {
  double a = 1, b = 0, c = 0, d = 0, e = 1, f = 0;
};

Image moved(const Image& image, const Affine& from) {
  const auto channels = static_cast<size_t>(image.channels);
  Image made{image.height, image.width, image.channels, {}};
  made.pixels.assign(image.pixels.size(), 0);
  uint8_t* to = made.pixels.data();
  for (int row = 0; row < image.height; ++row) {
    for (int column = 0; column < image.width; ++column, to += channels) {
      const double x = column + 0.5, y = row + 0.5;
      const double at_x = std::floor(from.a * x + from.b * y + from.c);
      const double at_y = std::floor(from.d * x + from.e * y + from.f);
      if (at_x < 0 || at_y < 0 || at_x >= image.width || at_y >= image.height) continue;
      const size_t pixel =
          static_cast<size_t>(at_y) * static_cast<size_t>(image.width) + static_cast<size_t>(at_x);
      std::copy_n(image.pixels.data() + pixel * channels, channels, to);
    }
  }
  return made;
}

Affine rotation(const Image& image, double degrees) {
  const double angle = degrees * std::numbers::pi / 180;
  const double cosine = std::cos(angle), sine = std::sin(angle);
  const double x = image.width / 2.0, y = image.height / 2.0;
  // Rows count downwards, so the source of a counter-clockwise turn lies clockwise of a pixel.
  return {cosine, -sine, x - cosine * x + sine * y, sine, cosine, y - sine * x - cosine * y};
}

Image sharpened(const Image& image, double factor) {
  Image made = image;
  if (factor == 1) return made;
  const int channels = image.channels, line = image.width * channels;
  for (int row = 1; row + 1 < image.height; ++row) {
    for (int i = channels; i < line - channels; ++i) {
      const auto value = [&](int down, int right) {
        return int{image.pixels[static_cast<size_t>((row + down) * line + i + right * channels)]};
      };
      int sum = 4 * value(0, 0);
      for (int down = -1; down <= 1; ++down) {
        for (int right = -1; right <= 1; ++right) sum += value(down, right);
      }
      const double smooth = to_byte(sum / 13.0);
      made.pixels[static_cast<size_t>(row * line + i)] =
          to_byte(smooth + factor * (value(0, 0) - smooth));
    }
  }
  return made;
}

using Table = std::array<uint8_t, 256>;
using Histogram = std::array<int64_t, 256>;

// Each channel goes through the table that its histogram gives.
template <class MakeTable>
Image mapped(Image image, MakeTable make_table) {
  const auto channels = static_cast<size_t>(image.channels);
  for (size_t c = 0; c < channels; ++c) {
    Histogram counts{};
    for (size_t i = c; i < image.pixels.size(); i += channels) ++counts[image.pixels[i]];
    const Table table = make_table(counts);
    for (size_t i = c; i < image.pixels.size(); i += channels) {
      image.pixels[i] = table[image.pixels[i]];
    }
  }
  return image;
}

template <class Function>
Table table_of(Function function) {
  Table table{};
  for (int byte = 0; byte < 256; ++byte) {
    table[static_cast<size_t>(byte)] = static_cast<uint8_t>(function(byte));
  }
  return table;
}

int unchanged(int byte) { return byte; }

Table stretched(const Histogram& counts) {
  int low = 0, high = 255;
  while (low < 255 && counts[static_cast<size_t>(low)] == 0) ++low;
  while (high > 0 && counts[static_cast<size_t>(high)] == 0) --high;
  if (high <= low) return table_of(unchanged);
  return table_of([=](int byte) { return to_byte((byte - low) * 255.0 / (high - low)); });
}

// PIL's: a value becomes the number of smaller ones, in steps of a 255th of all but the largest.
Table equalized(const Histogram& counts) {
  int64_t all = 0, largest = 0;
  for (const int64_t count : counts) {
    all += count;
    if (count > 0) largest = count;
  }
  const int64_t step = (all - largest) / 255;
  if (step == 0) return table_of(unchanged);
  int64_t smaller = step / 2;
  return table_of([&](int byte) {
    const int64_t level = std::min<int64_t>(255, smaller / step);
    smaller += counts[static_cast<size_t>(byte)];
    return level;
  });
}

Image posterized(const Image& image, double magnitude) {
  const int dropped = static_cast<int>(std::lround(magnitude / 7.5));
  return mapped(image, [=](const Histogram&) {
    return table_of([=](int byte) { return byte >> dropped << dropped; });
  });
}

Image solarized(const Image& image, double magnitude) {
  const double threshold = 256 * (1 - magnitude / 30);
  return mapped(image, [=](const Histogram&) {
    return table_of([=](int byte) { return byte >= threshold ? 255 - byte : byte; });
  });
}

Image recoloured(const Image& image, void (*adjust)(Image&, double), double factor) {
  Image made = image;
  adjust(made, factor);
  return made;
}

}  // namespace

Image distorted(const Image& image, Distortion distortion, double magnitude) {
  const auto pixels = [&](int size) { return std::trunc(magnitude / 30 * 150 / 331 * size); };
  const double factor = 1 + 0.03 * magnitude;
  switch (distortion) {
    case Distortion::identity:
      return image;
    case Distortion::shear_x:
      return moved(image, {.b = magnitude / 100});
    case Distortion::shear_y:
      return moved(image, {.d = magnitude / 100});
    case Distortion::translate_x:
      return moved(image, {.c = -pixels(image.width)});
    case Distortion::translate_y:
      return moved(image, {.f = -pixels(image.height)});
    case Distortion::rotate:
      return moved(image, rotation(image, magnitude));
    case Distortion::brightness:
      return recoloured(image, adjust_brightness, factor);
    case Distortion::colour:
      return recoloured(image, adjust_saturation, factor);
    case Distortion::contrast:
      return recoloured(image, adjust_contrast, factor);
    case Distortion::sharpness:
      return sharpened(image, factor);
    case Distortion::posterize:
      return posterized(image, magnitude);
    case Distortion::solarize:
      return solarized(image, magnitude);
    case Distortion::autocontrast:
      return mapped(image, stretched);
    case Distortion::equalize:
      return mapped(image, equalized);
  }
  return image;
}

Image rand_augmented(Image image, int count, double magnitude, RandomSequence& random) {
  for (int i = 0; i < count; ++i) {
    const auto distortion = static_cast<Distortion>(random.below(kDistortions));
    const bool negative = random.uniform() < 0.5;
    const bool has_sign = distortion >= Distortion::shear_x && distortion <= Distortion::sharpness;
    image = distorted(image, distortion, has_sign && negative ? -magnitude : magnitude);
  }
  return image;
}

}  // namespace kd
