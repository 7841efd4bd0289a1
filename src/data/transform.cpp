// One picture to one network input: resize, crop, augment, normalise. Every function is pure.
#include "data/transform.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "data/colour.h"
#include "data/erasing.h"
#include "data/image.h"
#include "data/jpeg.h"
#include "data/rand_augment.h"
#include "kd/error.h"
#include "kd/random.h"

namespace kd {
namespace {

constexpr int kTableWidth = 257;  // of pixel_table

// A picture of the network's H x W, and where in it the crop lies.
struct StagedImage {
  Image image;
  Placement place;
};
StagedImage blank(const Preprocess& p) {
  StagedImage staged{{p.crop_height, p.crop_width, p.channels(), {}}, {}};
  staged.image.pixels.resize(static_cast<size_t>(p.crop_height) *
                             static_cast<size_t>(p.crop_width * p.channels()));
  return staged;
}

// The shorter side becomes `side`; the longer one is rounded down, as torchvision does.
Size resized_shorter(const Size& size, int side) {
  const int shorter = std::min(size.height, size.width);
  if (shorter == side) return size;
  const auto scaled = [&](int length) {
    return std::max(1, static_cast<int>(int64_t{length} * side / shorter));
  };
  return {scaled(size.height), scaled(size.width)};
}

// The size at which the centre crop happens: resized as asked (what the crop then lacks is black,
// as torchvision pads it), or as little as the crop needs.
Size fitted(const Size& size, const Preprocess& p) {
  if (p.resize > 0) return resized_shorter(size, p.resize);
  if (size == Size{p.crop_height, p.crop_width}) return size;
  return resized_shorter(size, std::max(p.crop_height, p.crop_width));
}

// What becomes of a picture: `region` of it, at the size `to`.
struct View {
  const Picture& picture;
  Region region;
  Size to;
  bool jpeg_scaling = false;
  Size from() const { return {picture.height, picture.width}; }
};

// By how much a JPEG may be shrunk while it is decoded, so that it is still shrunk afterwards.
int free_shrink(const View& view) {
  int shrink = 1;
  while (view.jpeg_scaling && shrink < 8 && view.region.height >= 2.0 * shrink * view.to.height &&
         view.region.width >= 2.0 * shrink * view.to.width) {
    shrink *= 2;
  }
  return shrink;
}

// The decoded pixels of a part of a JPEG, valid until this thread's next call.
Pixels decoded(const Picture& picture, int shrink, const Window& window) {
  thread_local std::vector<uint8_t> memory;
  const Pixels rgb = decode_jpeg(picture.jpeg, picture.name, {shrink, window}, memory);
  if (picture.channels == 3) return rgb;
  thread_local std::vector<uint8_t> grey;
  grey.resize(static_cast<size_t>(window.height) * static_cast<size_t>(window.width));
  for (int y = 0; y < window.height; ++y) {
    to_grey(rgb.data + y * rgb.stride,
            {grey.data() + ptrdiff_t{y} * window.width, static_cast<size_t>(window.width)});
  }
  return {grey.data(), window.width};
}

// Writes the part `window` of the view. Reads, and decodes, no more than that takes.
void render(const View& view, const Window& window, const MutablePixels& out) {
  const Picture& picture = view.picture;
  const int shrink = picture.jpeg.empty() ? 1 : free_shrink(view);
  const Region& r = view.region;
  const ResizePlan plan{shrunk(view.from(), shrink),
                        {r.top / shrink, r.left / shrink, r.height / shrink, r.width / shrink},
                        view.to,
                        window};
  const bool same = view.to == view.from() && view.region == region_of(view.to);
  const Window read = same ? window : pixels_read(plan);
  const auto stride = static_cast<ptrdiff_t>(picture.width) * picture.channels;
  const Pixels from = picture.jpeg.empty() ? Pixels{picture.pixels.data() + read.top * stride +
                                                        ptrdiff_t{read.left} * picture.channels,
                                                    stride}
                                           : decoded(picture, shrink, read);
  if (!same) return resize(plan, picture.channels, from, out);
  for (int y = 0; y < window.height; ++y) {
    std::copy_n(from.data + y * from.stride, ptrdiff_t{window.width} * picture.channels,
                out.data + y * out.stride);
  }
}

Image rendered(const View& view) {
  Image image{view.to.height, view.to.width, view.picture.channels, {}};
  const auto stride = static_cast<ptrdiff_t>(image.width) * image.channels;
  image.pixels.resize(static_cast<size_t>(stride) * static_cast<size_t>(image.height));
  render(view, all_of(view.to), {image.pixels.data(), stride});
  return image;
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
Placement centre(const Size& size, const Preprocess& p) {
  const auto half = [](int rest) { return static_cast<int>(std::nearbyint(rest / 2.0)); };
  return {half(size.height - p.crop_height), half(size.width - p.crop_width), false};
}

// Writes the crop alone, black where the view ends.
void cut_out(const View& view, const Preprocess& p, const Placement& place,
             std::span<uint8_t> out) {
  const Window window{std::max(0, place.top), std::max(0, place.left),
                      std::min(view.to.height, place.top + p.crop_height) - std::max(0, place.top),
                      std::min(view.to.width, place.left + p.crop_width) - std::max(0, place.left)};
  if (window.height < p.crop_height || window.width < p.crop_width) {
    std::ranges::fill(out, uint8_t{0});
  }
  if (window.height <= 0 || window.width <= 0) return;
  const auto stride = static_cast<ptrdiff_t>(p.crop_width) * view.picture.channels;
  const ptrdiff_t at = (window.top - place.top) * stride +
                       ptrdiff_t{window.left - place.left} * view.picture.channels;
  render(view, window, {out.data() + at, stride});
}

// The view at the network's size: as it is, or cut where it is larger or smaller.
Placement stage(const View& view, const Preprocess& p, const Placement& place,
                std::span<uint8_t> out) {
  if (view.to == Size{p.crop_height, p.crop_width}) {
    render(view, all_of(view.to),
           {out.data(), static_cast<ptrdiff_t>(p.crop_width) * view.picture.channels});
    return place;
  }
  cut_out(view, p, place, out);
  return {0, 0, place.mirrored};
}

View whole(const Picture& picture, const Size& to) {
  return {picture, region_of({picture.height, picture.width}), to};
}

void check_fits(const Picture& picture, const Preprocess& p, std::span<const uint8_t> out) {
  KD_CHECK(picture.channels == p.channels(), "a picture has {} channels, the network takes {}",
           picture.channels, p.channels());
  KD_CHECK(out.size() == static_cast<size_t>(p.crop_height) * static_cast<size_t>(p.crop_width) *
                             static_cast<size_t>(p.channels()),
           "{} bytes for a picture of {} x {}", out.size(), p.crop_height, p.crop_width);
}

// Torchvision's: 8-100 % of the area, aspect 3/4 to 4/3, ten tries, then the largest centre crop.
Region random_region(const Picture& image, RandomSequence& random) {
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

Image resize_shorter(const Picture& picture, int side) {
  return rendered(whole(picture, resized_shorter({picture.height, picture.width}, side)));
}

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
  StagedImage staged = blank(p);
  staged.place = stage_image(view_of(image), p, staged.image.pixels);
  write_normalised(staged, p, out);
}

void augment_image(const Image& image, const Preprocess& p, const Augment& a, const SampleKey& key,
                   float* out) {
  StagedImage staged = blank(p);
  staged.place = stage_augmented(view_of(image), p, a, key, staged.image.pixels);
  write_normalised(staged, p, out);
}

Placement stage_image(const Picture& picture, const Preprocess& p, std::span<uint8_t> out) {
  check_fits(picture, p, out);
  const Size to = fitted({picture.height, picture.width}, p);
  return stage(whole(picture, to), p, centre(to, p), out);
}

Placement stage_augmented(const Picture& picture, const Preprocess& p, const Augment& a,
                          const SampleKey& key, std::span<uint8_t> out) {
  check_fits(picture, p, out);
  const auto epoch = static_cast<uint32_t>(key.epoch);
  const auto id = static_cast<uint64_t>(key.sample_id);
  RandomSequence random(key.seed, Purpose::augment, epoch, id);
  // Drawn in one order whatever is enabled, so switching one thing on leaves the others' numbers
  // alone.
  const bool mirrored = random.uniform() < a.flip;
  const double crop_y = random.uniform(), crop_x = random.uniform();
  const std::array<double, 3> factors{random.uniform(1 - a.brightness, 1 + a.brightness),
                                      random.uniform(1 - a.contrast, 1 + a.contrast),
                                      random.uniform(1 - a.saturation, 1 + a.saturation)};
  View view = whole(picture, fitted({picture.height, picture.width}, p));
  if (a.random_resized_crop) {
    view.region = random_region(picture, random);
    view.to = {p.crop_height, p.crop_width};
  }
  view.jpeg_scaling = a.jpeg_scaling;
  Placement place = centre(view.to, p);
  place.mirrored = mirrored;
  if (a.pad_crop > 0) {
    const int places = 2 * a.pad_crop + 1;
    place.top += static_cast<int>(crop_y * places) - a.pad_crop;
    place.left += static_cast<int>(crop_x * places) - a.pad_crop;
  }
  const bool recoloured = a.brightness > 0 || a.contrast > 0 || a.saturation > 0;
  if (!recoloured && a.rand_augment == 0 && a.erasing <= 0) return stage(view, p, place, out);
  Image made = rendered(view);
  if (recoloured) {
    adjust_brightness(made, factors[0]);
    adjust_contrast(made, factors[1]);
    adjust_saturation(made, factors[2]);
  }
  if (a.rand_augment > 0) {
    RandomSequence choices(key.seed, Purpose::distort, epoch, 2 * id);
    made = rand_augmented(std::move(made), a.rand_augment, a.rand_augment_magnitude, choices);
  }
  const Picture changed = view_of(made);
  const View as_it_is = whole(changed, {made.height, made.width});
  if (a.erasing <= 0) return stage(as_it_is, p, place, out);
  RandomSequence rectangle(key.seed, Purpose::distort, epoch, 2 * id + 1);
  Image crop = blank(p).image;
  cut_out(as_it_is, p, place, crop.pixels);  // black from outside may be erased too
  erase_randomly(crop, a.erasing, mean_colour(p), rectangle);
  std::ranges::copy(crop.pixels, out.begin());
  return {0, 0, mirrored};
}

}  // namespace kd
