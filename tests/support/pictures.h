// Small pictures and folders of them.
#pragma once

#include "kd/data.h"

namespace kd::test {

inline Image picture(int height, int width, int channels) {
  Image image{height, width, channels, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < channels; ++c) {
        image.pixels.push_back(static_cast<uint8_t>((y * 67 + x * 41 + x * y * 13 + 90 * c) % 256));
      }
    }
  }
  return image;
}

inline Preprocess crop(int height, int width, const std::string& colour = "RGB") {
  Preprocess p;
  p.crop_height = height;
  p.crop_width = width;
  p.colour = colour;
  return p;
}

// The network's pixels, as training makes them.
inline Image staged(const Image& image, const Preprocess& p, const Augment& augment,
                    const SampleKey& key) {
  Image made{p.crop_height, p.crop_width, p.channels(), {}};
  made.pixels.resize(static_cast<size_t>(p.crop_height * p.crop_width * p.channels()));
  stage_augmented(view_of(image), p, augment, key, made.pixels);
  return made;
}

// 100.png, 101.png, ...
inline void write_pictures(const std::filesystem::path& folder, int count) {
  std::filesystem::create_directories(folder);
  for (int i = 0; i < count; ++i) {
    save_png(picture(5, 5, 3), folder / (std::to_string(100 + i) + ".png"));
  }
}

}  // namespace kd::test
