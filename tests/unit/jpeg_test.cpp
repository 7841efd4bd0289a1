// JPEG files decoded in part give the bytes of the whole, and damaged ones are named.
#include "data/jpeg.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "data/image.h"
#include "kd/error.h"
#include "kd/random.h"
#include "support/jpeg_file.h"
#include "support/pictures.h"
#include "support/support.h"

namespace kd {
namespace {

using test::JpegKind;
using Bytes = std::vector<std::byte>;

class JpegTest : public testing::Test {
 protected:
  void SetUp() override {
    if (test::encode_jpeg(test::scenery(8, 8, 0), {}).empty()) {
      GTEST_SKIP() << "this build has no libjpeg-turbo";
    }
  }
  static std::vector<JpegKind> kinds() {
    return {{.horizontal = 1, .vertical = 1},
            {.horizontal = 2, .vertical = 1},
            {.horizontal = 2, .vertical = 2},
            {.horizontal = 1, .vertical = 2},
            {.horizontal = 4, .vertical = 1},
            {.quality = 40, .progressive = true},
            {.horizontal = 1, .vertical = 1, .progressive = true},
            {.grey = true},
            {.quality = 97, .restart = 3}};
  }
  static std::vector<uint8_t> part(const Bytes& file, const JpegPart& wanted) {
    std::vector<uint8_t> memory, out;
    const Pixels pixels = decode_jpeg(file, "test.jpg", wanted, memory);
    for (int y = 0; y < wanted.window.height; ++y) {
      const uint8_t* row = pixels.data + y * pixels.stride;
      out.insert(out.end(), row, row + ptrdiff_t{3} * wanted.window.width);
    }
    return out;
  }
  static std::vector<uint8_t> cut(const std::vector<uint8_t>& whole, const Size& size,
                                  const Window& w) {
    std::vector<uint8_t> rows;
    for (int y = w.top; y < w.top + w.height; ++y) {
      const auto* begin = whole.data() + 3 * (y * size.width + w.left);
      rows.insert(rows.end(), begin, begin + ptrdiff_t{3} * w.width);
    }
    return rows;
  }
};

TEST_F(JpegTest, APartIsThatOfTheWhole) {
  RandomSequence random(7, Purpose::init, 0, 0);
  const auto below = [&](int limit) { return static_cast<int>(random.below(uint32_t(limit))); };
  int narrow = 0;
  for (const JpegKind& kind : kinds()) {
    for (const Size& size : {Size{131, 203}, Size{64, 64}, Size{37, 500}, Size{9, 7}}) {
      const Bytes file = test::encode_jpeg(test::scenery(size.height, size.width, 3), kind);
      for (const int shrink : {1, 2, 4, 8}) {
        const Size all = shrunk(size, shrink);
        const std::vector<uint8_t> whole = part(file, {shrink, all_of(all)});
        for (int i = 0; i < 25; ++i) {
          Window w{below(all.height), below(all.width), 0, 0};
          w.height = 1 + below(all.height - w.top);
          w.width = 1 + below(all.width - w.left);
          narrow += w.left > 64 && w.left + w.width + 64 < all.width;
          ASSERT_EQ(part(file, {shrink, w}), cut(whole, all, w))
              << kind.horizontal << " x " << kind.vertical << (kind.progressive ? " prog" : "")
              << (kind.grey ? " grey" : "") << ", " << size.height << " x " << size.width << " / "
              << shrink << ", at " << w.top << ", " << w.left << ": " << w.height << " x "
              << w.width;
        }
      }
    }
  }
  EXPECT_GT(narrow, 20) << "windows far from both sides";
}

// stb_image is another decoder of the same standard.
TEST_F(JpegTest, IsTheDecodedPicture) {
  const Image image = test::scenery(96, 128, 1);
  const Bytes file = test::encode_jpeg(image, {.quality = 97, .horizontal = 1, .vertical = 1});
  const Image decoded = decode(picture_of_file(file, "test.jpg", 3));
  ASSERT_EQ(decoded.pixels.size(), image.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    sum += std::abs(int{decoded.pixels[i]} - int{image.pixels[i]});
  }
  EXPECT_LT(sum / static_cast<double>(image.pixels.size()), 3);
}

TEST_F(JpegTest, TrainingSeesTheSameBytesAsOfTheWholePicture) {
  std::vector<Augment> ways(6);
  ways[1].random_resized_crop = true;
  ways[2].pad_crop = 5;
  ways[3].random_resized_crop = true;
  ways[3].brightness = ways[3].contrast = 0.3;
  ways[4].rand_augment = 2;
  ways[5].erasing = 1;
  for (const JpegKind& kind : kinds()) {
    const Bytes file = test::encode_jpeg(test::scenery(120, 170, 2), kind);
    for (const int channels : {1, 3}) {
      const Picture jpeg = picture_of_file(file, "test.jpg", channels);
      ASSERT_FALSE(jpeg.jpeg.empty());
      const Image whole = decode(jpeg);
      Preprocess p = test::crop(48, 56, channels == 1 ? "GRAY" : "RGB");
      for (const int side : {0, 40, 64}) {
        p.resize = side;
        std::vector<uint8_t> a(static_cast<size_t>(48 * 56 * channels)), b(a.size());
        const Placement here = stage_image(jpeg, p, a), there = stage_image(view_of(whole), p, b);
        EXPECT_EQ(a, b);
        EXPECT_EQ(here.top, there.top);
        for (const Augment& way : ways) {
          for (int64_t id = 0; id < 4; ++id) {
            stage_augmented(jpeg, p, way, {1, 2, id}, a);
            stage_augmented(view_of(whole), p, way, {1, 2, id}, b);
            EXPECT_EQ(a, b) << side << ", sample " << id;
          }
        }
      }
    }
  }
}

TEST_F(JpegTest, ScalingIsAskedForAndCloseToResizing) {
  const Bytes file = test::encode_jpeg(test::scenery(400, 600, 4), {});
  const Picture jpeg = picture_of_file(file, "test.jpg", 3);
  const Preprocess p = test::crop(32, 32);
  Augment plain, scaling;
  scaling.jpeg_scaling = true;
  std::vector<uint8_t> a(size_t{32 * 32 * 3}), b(a.size()), again(a.size());
  stage_augmented(jpeg, p, plain, {}, a);
  stage_augmented(jpeg, p, scaling, {}, b);
  stage_augmented(jpeg, p, scaling, {}, again);
  EXPECT_EQ(b, again);
  EXPECT_NE(a, b);
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += std::abs(int{a[i]} - int{b[i]});
  EXPECT_LT(sum / static_cast<double>(a.size()), 6);
}

TEST_F(JpegTest, DamageIsNamedOrBorne) {
  const Image image = test::scenery(80, 90, 5);
  for (const JpegKind& kind : kinds()) {
    const Bytes file = test::encode_jpeg(image, kind);
    for (size_t length = 0; length < file.size() - 2; length += 37) {
      const Bytes torn(file.begin(), file.begin() + static_cast<ptrdiff_t>(length));
      try {
        decode(picture_of_file(torn, "torn.jpg", 3));
        ADD_FAILURE() << length << " of " << file.size() << " bytes are a picture";
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::input);
        EXPECT_NE(std::string(error.what()).find("torn.jpg"), std::string::npos) << error.what();
      }
    }
    RandomSequence random(3, Purpose::init, 0, 0);
    for (int i = 0; i < 200; ++i) {
      Bytes damaged = file;
      for (int k = 0; k < 3; ++k) {
        const uint32_t at = random.below(static_cast<uint32_t>(file.size()));
        damaged[at] = std::byte{static_cast<uint8_t>(random.below(256))};
      }
      try {
        const Image read = decode(picture_of_file(damaged, "damaged.jpg", 3));
        EXPECT_EQ(read.pixels.size(), size_t(read.height) * size_t(read.width) * 3);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::input);
      }
    }
  }
}

// Any part of a resized picture has the bytes of the whole.
TEST(ResizeTest, TheWindowDoesNotMatter) {
  RandomSequence random(11, Purpose::init, 0, 0);
  const auto below = [&](int limit) { return static_cast<int>(random.below(uint32_t(limit))); };
  for (const int channels : {1, 3}) {
    for (int round = 0; round < 60; ++round) {
      const Size from{3 + below(90), 3 + below(90)}, to{1 + below(70), 1 + below(70)};
      Image image = test::picture(from.height, from.width, channels);
      const Region region{random.uniform(0, from.height / 2.0), random.uniform(0, from.width / 2.0),
                          from.height / 2.0, from.width / 2.0};
      const auto made = [&](const Window& window) {
        const ResizePlan plan{from, region, to, window};
        const Window read = pixels_read(plan);
        EXPECT_GE(read.top, 0);
        EXPECT_LE(read.left + read.width, from.width);
        const ptrdiff_t stride = ptrdiff_t{from.width} * channels,
                        out_stride = ptrdiff_t{window.width} * channels;
        // Only the pixels it says it reads are there.
        std::vector<uint8_t> needed;
        for (int y = read.top; y < read.top + read.height; ++y) {
          const uint8_t* row = image.pixels.data() + y * stride + ptrdiff_t{read.left} * channels;
          needed.insert(needed.end(), row, row + ptrdiff_t{read.width} * channels);
        }
        std::vector<uint8_t> out(static_cast<size_t>(window.height * out_stride));
        resize(plan, channels, {needed.data(), ptrdiff_t{read.width} * channels},
               {out.data(), out_stride});
        return out;
      };
      const std::vector<uint8_t> whole = made(all_of(to));
      Window w{below(to.height), below(to.width), 0, 0};
      w.height = 1 + below(to.height - w.top);
      w.width = 1 + below(to.width - w.left);
      std::vector<uint8_t> expected;
      for (int y = w.top; y < w.top + w.height; ++y) {
        const auto begin = whole.begin() + (ptrdiff_t{y} * to.width + w.left) * channels;
        expected.insert(expected.end(), begin, begin + ptrdiff_t{w.width} * channels);
      }
      EXPECT_EQ(made(w), expected);
    }
  }
}

}  // namespace
}  // namespace kd
