// RandAugment's operations on pictures small enough to work out by hand, and random erasing.
#include <gtest/gtest.h>

#include <set>

#include "data/erasing.h"
#include "data/rand_augment.h"
#include "support/pictures.h"

namespace kd {
namespace {

using Bytes = std::vector<uint8_t>;
using Distinct = std::set<std::vector<int>>;
using test::crop;
using test::picture;

Bytes after(const Image& image, Distortion distortion, double magnitude = 0) {
  return distorted(image, distortion, magnitude).pixels;
}
// One row of grey pixels.
Bytes row_after(const Bytes& row, Distortion distortion, double magnitude = 0) {
  return after({1, static_cast<int>(row.size()), 1, row}, distortion, magnitude);
}

TEST(RandAugmentTest, MagnitudeZeroChangesNothing) {
  for (const int channels : {1, 3}) {
    const Image image = picture(7, 10, channels);
    for (int i = 0; i <= static_cast<int>(Distortion::solarize); ++i) {
      EXPECT_EQ(after(image, static_cast<Distortion>(i)), image.pixels) << i;
    }
    EXPECT_EQ(after(image, Distortion::identity, 30), image.pixels);
  }
}

TEST(RandAugmentTest, TurnsCounterClockwise) {
  EXPECT_EQ(after({2, 2, 1, {1, 2, 3, 4}}, Distortion::rotate, 90), (Bytes{2, 4, 1, 3}));
  EXPECT_EQ(after({2, 3, 1, {1, 2, 3, 4, 5, 6}}, Distortion::rotate, 180),
            (Bytes{6, 5, 4, 3, 2, 1}));
  EXPECT_EQ(after({1, 3, 1, {1, 2, 3}}, Distortion::rotate, -90), (Bytes{0, 2, 0}))
      << "black from outside";
}

// 150 / 331 of 10 pixels are 4.5.
TEST(RandAugmentTest, Translates) {
  EXPECT_EQ(row_after({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Distortion::translate_x, 30),
            (Bytes{0, 0, 0, 0, 1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(row_after({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, Distortion::translate_x, -30),
            (Bytes{5, 6, 7, 8, 9, 10, 0, 0, 0, 0}));
  EXPECT_EQ(after({3, 1, 3, {1, 2, 3, 4, 5, 6, 7, 8, 9}}, Distortion::translate_y, 30),
            (Bytes{0, 0, 0, 1, 2, 3, 4, 5, 6}));
}

// At 100 a row moves by its distance from the top, 1/2 and 3/2, and half a pixel is rounded up.
TEST(RandAugmentTest, Shears) {
  const Image image{2, 3, 1, {1, 2, 3, 4, 5, 6}};
  EXPECT_EQ(after(image, Distortion::shear_x, 100), (Bytes{2, 3, 0, 6, 0, 0}));
  EXPECT_EQ(after(image, Distortion::shear_y, 100), (Bytes{4, 0, 0, 0, 0, 0}));
}

TEST(RandAugmentTest, ChangesColours) {
  EXPECT_EQ(row_after({100, 200, 0}, Distortion::brightness, 10), (Bytes{130, 255, 0}));
  EXPECT_EQ(row_after({100, 200, 0}, Distortion::brightness, -30), (Bytes{10, 20, 0}));
  EXPECT_EQ(row_after({0, 200}, Distortion::contrast, -10), (Bytes{30, 170}));
  EXPECT_EQ(after({1, 1, 3, {255, 0, 0}}, Distortion::colour, -30), (Bytes{94, 69, 69}));
  EXPECT_EQ(row_after({7, 200}, Distortion::colour, -30), (Bytes{7, 200})) << "grey has no colour";
}

// The middle smoothed is 5 x 130 / 13 = 50.
TEST(RandAugmentTest, SharpensButTheEdge) {
  const Image image{3, 3, 1, {0, 0, 0, 0, 130, 0, 0, 0, 0}};
  EXPECT_EQ(after(image, Distortion::sharpness, -30), (Bytes{0, 0, 0, 0, 58, 0, 0, 0, 0}));
  EXPECT_EQ(after(image, Distortion::sharpness, 30), (Bytes{0, 0, 0, 0, 202, 0, 0, 0, 0}));
}

TEST(RandAugmentTest, DropsBitsAndInverts) {
  EXPECT_EQ(row_after({0xff, 0x13, 0x0f}, Distortion::posterize, 30), (Bytes{0xf0, 0x10, 0}));
  EXPECT_EQ(row_after({0xff, 0x13, 0x0f}, Distortion::posterize, 7.5), (Bytes{0xfe, 0x12, 0x0e}));
  EXPECT_EQ(row_after({0, 127, 128, 255}, Distortion::solarize, 15), (Bytes{0, 127, 127, 0}));
  EXPECT_EQ(row_after({0, 255}, Distortion::solarize, 30), (Bytes{255, 0}));
}

TEST(RandAugmentTest, StretchesAndFlattensHistograms) {
  EXPECT_EQ(row_after({50, 100, 150}, Distortion::autocontrast), (Bytes{0, 128, 255}));
  EXPECT_EQ(row_after({50, 50}, Distortion::autocontrast), (Bytes{50, 50}));
  // Channels on their own: 10..20 and 0..255, the third flat.
  EXPECT_EQ(after({1, 2, 3, {10, 0, 9, 20, 255, 9}}, Distortion::autocontrast),
            (Bytes{0, 0, 9, 255, 255, 9}));
  Bytes two(510, 10);
  for (size_t i = 255; i < two.size(); ++i) two[i] = 20;
  const Bytes flattened = row_after(two, Distortion::equalize);
  EXPECT_EQ(flattened[0], 0);
  EXPECT_EQ(flattened[300], 255);
  EXPECT_EQ(row_after({1, 2, 3}, Distortion::equalize), (Bytes{1, 2, 3})) << "too few to count";
}

TEST(RandAugmentTest, IsAPureFunctionOfTheKey) {
  Augment a;
  a.rand_augment = 2;
  for (const int channels : {1, 3}) {
    const Image image = picture(12, 12, channels);
    const Preprocess p = crop(12, 12, channels == 1 ? "GRAY" : "RGB");
    const auto made = [&](uint64_t seed, int64_t epoch, int64_t id) {
      return test::staged(image, p, a, {seed, epoch, id}).pixels;
    };
    Distinct seen;
    for (int64_t epoch = 0; epoch < 40; ++epoch) {
      EXPECT_EQ(made(1, epoch, 3), made(1, epoch, 3));
      const Bytes pixels = made(1, epoch, 3);
      seen.emplace(pixels.begin(), pixels.end());
    }
    EXPECT_GT(seen.size(), 25u) << "epochs differ";
    EXPECT_EQ(made(1, 2, 3).size(), image.pixels.size());
  }
}

// What was erased: the rectangle around all that changed, and how much did.
struct Erased {
  int top = 1000, bottom = -1, left = 1000, right = -1, pixels = 0;
  int area() const { return (bottom - top + 1) * (right - left + 1); }
};
Erased erased(const Image& before, const Image& now) {
  Erased found;
  for (int y = 0; y < now.height; ++y) {
    for (int x = 0; x < now.width; ++x) {
      const size_t at = static_cast<size_t>((y * now.width + x) * now.channels);
      bool same = true;
      for (size_t c = 0; c < static_cast<size_t>(now.channels); ++c) {
        same = same && now.pixels[at + c] == before.pixels[at + c];
      }
      if (same) continue;
      found.top = std::min(found.top, y), found.bottom = std::max(found.bottom, y);
      found.left = std::min(found.left, x), found.right = std::max(found.right, x);
      ++found.pixels;
    }
  }
  return found;
}

TEST(ErasingTest, ARectangleOfTheMeanColour) {
  Preprocess p = crop(32, 32, "BGR");
  p.mean = {0.2, 0.4, 0.6};  // of blue, green, red
  Augment a;
  a.erasing = 1;
  Image black{32, 32, 3, Bytes(size_t{32 * 32 * 3}, 0)};
  Distinct seen;
  for (int64_t id = 0; id < 100; ++id) {
    const Image made = test::staged(black, p, a, {0, 0, id});
    const Erased found = erased(black, made);
    ASSERT_EQ(found.area(), found.pixels) << "whole";
    ASSERT_GE(found.pixels, 12);   // 2 % of 1024, less what rounding takes
    ASSERT_LE(found.pixels, 372);  // 33 %, and what rounding gives
    const size_t at = static_cast<size_t>((found.top * 32 + found.left) * 3);
    EXPECT_EQ(made.pixels[at], 153);
    EXPECT_EQ(made.pixels[at + 1], 102);
    EXPECT_EQ(made.pixels[at + 2], 51);
    seen.emplace(made.pixels.begin(), made.pixels.end());
  }
  EXPECT_GT(seen.size(), 95u);
}

TEST(ErasingTest, AsOftenAsAskedAndPure) {
  const Image image = picture(16, 16, 1);
  const Preprocess p = crop(16, 16, "GRAY");
  Augment a;
  a.erasing = 0.3;
  int changed = 0;
  for (int64_t id = 0; id < 1000; ++id) {
    const Bytes made = test::staged(image, p, a, {5, 1, id}).pixels;
    EXPECT_EQ(made, test::staged(image, p, a, {5, 1, id}).pixels);
    changed += made != image.pixels;
  }
  EXPECT_NEAR(changed, 300, 75);
}

// The rectangle lies in what the network sees: padding is made before, not on the device.
TEST(ErasingTest, ErasesPaddingToo) {
  Preprocess p = crop(8, 8, "GRAY");
  p.mean = {0.5, 0, 0};
  Augment a;
  a.erasing = 1;
  a.pad_crop = 6;
  const Image white{8, 8, 1, Bytes(64, 255)};
  int in_padding = 0;
  for (int64_t id = 0; id < 50; ++id) {
    Augment padded = a;
    padded.erasing = 0;
    std::vector<float> before(64), now(64);
    augment_image(white, p, padded, {0, 0, id}, before.data());
    augment_image(white, p, a, {0, 0, id}, now.data());
    for (size_t i = 0; i < 64; ++i) in_padding += before[i] < -0.4f && std::abs(now[i]) < 0.01f;
  }
  EXPECT_GT(in_padding, 50);
}

}  // namespace
}  // namespace kd
