// One picture to one network input: resize, crop, augment, normalise. Every function is pure.
#include <algorithm>
#include <array>
#include <cmath>

#include "data/colour.h"
#include "data/erasing.h"
#include "data/rand_augment.h"
#include "kd/data.h"
#include "kd/error.h"
#include "kd/random.h"

namespace kd {
namespace {

constexpr int kTableWidth = 257;  // of pixel_table

// A rectangle of a picture, in pixels; it may reach over the edge where padding is wanted.
struct Region {
  double top, left, height, width;
};

// The weights of one output pixel over input pixels [first, first + weights.size()).
struct Taps {
  int first;
  std::vector<double> weights;
};

// Bilinear with antialiasing, as PIL's: a triangle as wide as the shrinking factor, at least one
// pixel.
std::vector<Taps> taps(double start, double length, int out, int size) {
  std::vector<Taps> result;
  const double scale = length / out, support = std::max(scale, 1.0);
  for (int i = 0; i < out; ++i) {
    const double centre = start + (i + 0.5) * scale;
    const int first = std::clamp(static_cast<int>(std::floor(centre - support + 0.5)), 0, size - 1);
    const int last =
        std::clamp(static_cast<int>(std::floor(centre + support + 0.5)), first + 1, size);
    Taps tap{first, {}};
    double sum = 0;
    for (int at = first; at < last; ++at) {
      tap.weights.push_back(std::max(0.0, 1 - std::abs((at + 0.5 - centre) / support)));
      sum += tap.weights.back();
    }
    if (sum == 0) tap.weights.assign(1, 1.0);
    for (double& weight : tap.weights) weight /= sum > 0 ? sum : 1;
    result.push_back(std::move(tap));
  }
  return result;
}

// Rows first, then columns; values stay in 0..255 and are rounded once.
Image resized(const Image& image, const Region& region, int height, int width) {
  const std::vector<Taps> rows = taps(region.top, region.height, height, image.height);
  const std::vector<Taps> columns = taps(region.left, region.width, width, image.width);
  const int channels = image.channels;
  Image result{height, width, channels, {}};
  result.pixels.resize(static_cast<size_t>(height) * static_cast<size_t>(width * channels));
  std::vector<double> line(static_cast<size_t>(image.width * channels));
  for (int y = 0; y < height; ++y) {
    const Taps& row = rows[static_cast<size_t>(y)];
    std::ranges::fill(line, 0.0);
    for (size_t k = 0; k < row.weights.size(); ++k) {
      const size_t at = (static_cast<size_t>(row.first) + k) * line.size();
      for (size_t i = 0; i < line.size(); ++i) line[i] += row.weights[k] * image.pixels[at + i];
    }
    for (int x = 0; x < width; ++x) {
      const Taps& column = columns[static_cast<size_t>(x)];
      for (int c = 0; c < channels; ++c) {
        double value = 0;
        for (size_t k = 0; k < column.weights.size(); ++k) {
          const size_t pixel = static_cast<size_t>(column.first) + k;
          value += column.weights[k] *
                   line[pixel * static_cast<size_t>(channels) + static_cast<size_t>(c)];
        }
        result.pixels[static_cast<size_t>((y * width + x) * channels + c)] =
            static_cast<uint8_t>(std::clamp(value + 0.5, 0.0, 255.0));
      }
    }
  }
  return result;
}

// The shorter side becomes `side`; the longer one is rounded down, as torchvision does.
Image resize_shorter(const Image& image, int side) {
  const int shorter = std::min(image.height, image.width);
  if (shorter == side) return image;
  const auto scaled = [&](int size) {
    return std::max(1, static_cast<int>(int64_t{size} * side / shorter));
  };
  return resized(image, {0, 0, double(image.height), double(image.width)}, scaled(image.height),
                 scaled(image.width));
}

// The picture at which the centre crop happens: resized as asked (what the crop then lacks is
// black, as torchvision pads it), or as little as the crop needs.
Image fitted(const Image& image, const Preprocess& p) {
  if (p.resize > 0) return resize_shorter(image, p.resize);
  if (image.height == p.crop_height && image.width == p.crop_width) return image;
  return resize_shorter(image, std::max(p.crop_height, p.crop_width));
}

// Writes the crop, normalised.
void write_normalised(const StagedImage& staged, const Preprocess& p, float* out) {
  const Image& image = staged.image;
  const Placement& place = staged.place;
  const int channels = image.channels;
  const Tensor table = pixel_table(p);
  for (int y = 0; y < p.crop_height; ++y) {
    for (int x = 0; x < p.crop_width; ++x) {
      const int row = place.top + y;
      const int column = place.left + (place.mirrored ? p.crop_width - 1 - x : x);
      const bool inside = row >= 0 && row < image.height && column >= 0 && column < image.width;
      const uint8_t* pixel =
          inside ? image.pixels.data() +
                       static_cast<ptrdiff_t>((row * image.width + column)) * channels
                 : nullptr;
      float* at = out + static_cast<ptrdiff_t>(y * p.crop_width + x) * channels;
      for (int c = 0; c < channels; ++c) {
        const float* values = table.as<float>() + ptrdiff_t{c} * kTableWidth;
        at[static_cast<int>(values[256])] = values[pixel ? pixel[c] : 0];
      }
    }
  }
}

// torchvision's CenterCrop: halves are rounded to even.
Placement centre(const Image& image, const Preprocess& p) {
  const auto half = [](int rest) { return static_cast<int>(std::nearbyint(rest / 2.0)); };
  return {half(image.height - p.crop_height), half(image.width - p.crop_width), false};
}

// The crop alone, black where the picture ends.
StagedImage cut_out(const Image& image, const Preprocess& p, const Placement& place) {
  const int channels = image.channels;
  const auto row_bytes = static_cast<ptrdiff_t>(p.crop_width) * channels;
  Image cut{p.crop_height, p.crop_width, channels, {}};
  cut.pixels.assign(static_cast<size_t>(p.crop_height * row_bytes), 0);
  const int first = std::max(0, -place.left),
            last = std::min(p.crop_width, image.width - place.left);
  for (int y = 0; y < p.crop_height; ++y) {
    const int row = place.top + y;
    if (row < 0 || row >= image.height || first >= last) continue;
    const uint8_t* from =
        image.pixels.data() +
        (static_cast<ptrdiff_t>(row) * image.width + place.left + first) * channels;
    std::copy_n(from, (last - first) * channels,
                cut.pixels.data() + y * row_bytes + ptrdiff_t{first} * channels);
  }
  return {std::move(cut), {0, 0, place.mirrored}};
}

// The picture at the network's size: as it is, or cut where it is larger or smaller.
StagedImage staged(Image image, const Preprocess& p, const Placement& place) {
  if (image.height == p.crop_height && image.width == p.crop_width) {
    return {std::move(image), place};
  }
  return cut_out(image, p, place);
}

// Torchvision's: 8-100 % of the area, aspect 3/4 to 4/3, ten tries, then the largest centre crop.
Region random_region(const Image& image, RandomSequence& random) {
  const double area = double(image.height) * image.width;
  Region found{0, 0, 0, 0};
  for (int attempt = 0; attempt < 10; ++attempt) {  // all draws are taken, whichever try fits
    const double target = area * random.uniform(0.08, 1);
    const double aspect = std::exp(random.uniform(std::log(3.0 / 4), std::log(4.0 / 3)));
    const double width = std::round(std::sqrt(target * aspect));
    const double height = std::round(std::sqrt(target / aspect));
    const double at_y = random.uniform(), at_x = random.uniform();
    if (found.height > 0 || width < 1 || height < 1 || width > image.width || height > image.height)
      continue;
    found = {std::floor(at_y * (image.height - height + 1)),
             std::floor(at_x * (image.width - width + 1)), height, width};
  }
  if (found.height > 0) return found;
  const double side = std::min(image.height, image.width);
  return {(image.height - side) / 2, (image.width - side) / 2, side, side};
}

}  // namespace

Tensor pixel_table(const Preprocess& p) {
  Tensor table = Tensor::host({DType::f32, {p.channels(), kTableWidth}});
  for (int c = 0; c < p.channels(); ++c) {
    const int target = p.colour == "BGR" ? 2 - c : c;
    const double mean = p.mean[static_cast<size_t>(target)],
                 std = p.std[static_cast<size_t>(target)];
    float* values = table.as<float>() + ptrdiff_t{c} * kTableWidth;
    for (int byte = 0; byte < 256; ++byte) {
      values[byte] = static_cast<float>((static_cast<double>(byte) / 255 - mean) / std);
    }
    values[256] = static_cast<float>(target);
  }
  return table;
}

void prepare_image(const Image& image, const Preprocess& p, float* out) {
  write_normalised(stage_image(image, p), p, out);
}

void augment_image(const Image& image, const Preprocess& p, const Augment& a, uint64_t seed,
                   int64_t epoch, int64_t sample_id, float* out) {
  write_normalised(stage_augmented(image, p, a, seed, epoch, sample_id), p, out);
}

StagedImage stage_image(const Image& image, const Preprocess& p) {
  Image at_size = fitted(image, p);
  const Placement place = centre(at_size, p);
  return staged(std::move(at_size), p, place);
}

StagedImage stage_augmented(const Image& image, const Preprocess& p, const Augment& a,
                            uint64_t seed, int64_t epoch, int64_t sample_id) {
  RandomSequence random(seed, Purpose::augment, static_cast<uint32_t>(epoch),
                        static_cast<uint64_t>(sample_id));
  // Drawn in one order whatever is enabled, so switching one thing on leaves the others' numbers
  // alone.
  const bool mirrored = random.uniform() < a.flip;
  const double crop_y = random.uniform(), crop_x = random.uniform();
  const std::array<double, 3> factors{random.uniform(1 - a.brightness, 1 + a.brightness),
                                      random.uniform(1 - a.contrast, 1 + a.contrast),
                                      random.uniform(1 - a.saturation, 1 + a.saturation)};
  Image made = a.random_resized_crop
                   ? resized(image, random_region(image, random), p.crop_height, p.crop_width)
                   : fitted(image, p);
  adjust_brightness(made, factors[0]);
  adjust_contrast(made, factors[1]);
  adjust_saturation(made, factors[2]);
  if (a.rand_augment > 0) {
    RandomSequence choices(seed, Purpose::distort, static_cast<uint32_t>(epoch),
                           2 * static_cast<uint64_t>(sample_id));
    made = rand_augmented(std::move(made), a.rand_augment, a.rand_augment_magnitude, choices);
  }
  Placement place = centre(made, p);
  place.mirrored = mirrored;
  if (a.pad_crop > 0) {
    const int places = 2 * a.pad_crop + 1;
    place.top += static_cast<int>(crop_y * places) - a.pad_crop;
    place.left += static_cast<int>(crop_x * places) - a.pad_crop;
  }
  if (a.erasing <= 0) return staged(std::move(made), p, place);
  RandomSequence rectangle(seed, Purpose::distort, static_cast<uint32_t>(epoch),
                           2 * static_cast<uint64_t>(sample_id) + 1);
  StagedImage crop = cut_out(made, p, place);  // black from outside may be erased too
  erase_randomly(crop.image, a.erasing, mean_colour(p), rectangle);
  return crop;
}

}  // namespace kd
