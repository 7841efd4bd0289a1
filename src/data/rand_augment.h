// RandAugment (Cubuk et al., CVPR Workshops 2020): pictures changed by operations drawn at random.
#pragma once

#include "kd/data.h"
#include "kd/random.h"

namespace kd {

enum class Distortion : uint8_t {
  identity,
  shear_x,       // magnitude / 100: a row moves sideways by that much of its distance from the top
  shear_y,       // the same of columns
  translate_x,   // magnitude / 30 x 150 / 331 of the width
  translate_y,   // ... of the height
  rotate,        // degrees, counter-clockwise about the centre
  brightness,    // factor 1 + 0.03 magnitude, as the three that follow
  colour,        // saturation
  contrast,      // from the mean grey
  sharpness,     // from the picture smoothed by (1 1 1; 1 5 1; 1 1 1) / 13; its edge is left alone
  posterize,     // keeps the upper 8 - magnitude / 7.5 bits
  solarize,      // inverts values from 256 (1 - magnitude / 30) on
  autocontrast,  // stretches each channel to 0..255
  equalize,      // flattens each channel's histogram
};
constexpr int kDistortions = 14;

// Magnitudes are 0 to 30, those of shears, translations, rotation and the four factors also
// negative; they are not checked. At 0 each that has one leaves the picture as it is. Moved pixels
// are the nearest ones; what comes from outside is black.
Image distorted(const Image& image, Distortion distortion, double magnitude);

// `count` operations one after another, with random signs where there are any.
Image rand_augmented(Image image, int count, double magnitude, RandomSequence& random);

}  // namespace kd
