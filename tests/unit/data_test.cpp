// Pictures to batches: PIL's resize, pure augmentation, the file formats, and files that lie.
#include "kd/data.h"

#include <gtest/gtest.h>

#include <fstream>
#include <set>

#include "core/file.h"
#include "kd/error.h"
#include "support/pictures.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

using test::crop;
using test::picture;

std::vector<float> prepared(const Image& image, const Preprocess& p) {
  std::vector<float> out(static_cast<size_t>(p.crop_height * p.crop_width * p.channels()));
  prepare_image(image, p, out.data());
  return out;
}

std::vector<float> augmented(const Image& image, const Preprocess& p, const Augment& a,
                             uint64_t seed, int64_t epoch, int64_t id) {
  std::vector<float> out(static_cast<size_t>(p.crop_height * p.crop_width * p.channels()));
  augment_image(image, p, a, {seed, epoch, id}, out.data());
  return out;
}

// PIL 9.4, Image.resize(BILINEAR) of the same 7 x 9 picture to the sizes of torchvision's Resize(3)
// and Resize(10): 3 x 3 and 10 x 12. PIL rounds after rows and after columns, we once: 1 of 255.
TEST(TransformTest, ResizesAsPil) {
  const std::map<int, std::vector<int>> pil{
      {3, {102, 132, 140, 111, 113, 148, 107, 157, 140}},
      {10,
       {0,   26,  56,  87,  118, 149, 179, 210, 241, 112, 46,  72,  37,  67,  103, 139, 175, 124,
        106, 143, 179, 143, 136, 166, 84,  120, 138, 142, 184, 108, 78,  113, 108, 143, 186, 222,
        131, 172, 131, 28,  79,  120, 165, 184, 52,  71,  121, 162, 178, 121, 81,  82,  139, 91,
        85,  130, 120, 165, 160, 103, 135, 84,  85,  137, 133, 81,  82,  135, 131, 183, 184, 133,
        15,  74,  139, 172, 59,  99,  164, 196, 84,  116, 181, 240, 62,  126, 132, 81,  110, 179,
        184, 133, 162, 111, 116, 180, 109, 107, 95,  91,  175, 186, 175, 156, 154, 135, 123, 121,
        146, 60,  54,  143, 232, 161, 155, 212, 109, 166, 160, 74}}};
  for (const auto& [side, pixels] : pil) {
    Preprocess p = crop(side, side == 3 ? 3 : 12, "GRAY");
    p.resize = side;
    const std::vector<float> got = prepared(picture(7, 9, 1), p);
    ASSERT_EQ(got.size(), pixels.size());
    for (size_t i = 0; i < pixels.size(); ++i) EXPECT_NEAR(got[i] * 255, pixels[i], 1.01) << i;
  }
}

TEST(TransformTest, CentreCropAndColourOrder) {
  const Image image = picture(6, 6, 3);
  Preprocess p = crop(6, 6);
  p.mean = {0.1, 0.2, 0.3};
  p.std = {0.5, 0.25, 0.2};
  const std::vector<float> rgb = prepared(image, p);
  EXPECT_FLOAT_EQ(rgb[0], static_cast<float>((image.pixels[0] / 255.0 - 0.1) / 0.5));
  EXPECT_FLOAT_EQ(rgb[2], static_cast<float>((image.pixels[2] / 255.0 - 0.3) / 0.2));
  p.colour = "BGR";  // mean and std are in the order of `colour`
  const std::vector<float> bgr = prepared(image, p);
  EXPECT_FLOAT_EQ(bgr[0], static_cast<float>((image.pixels[2] / 255.0 - 0.1) / 0.5));
  EXPECT_FLOAT_EQ(bgr[2], static_cast<float>((image.pixels[0] / 255.0 - 0.3) / 0.2));
}

TEST(TransformTest, AugmentationIsAPureFunction) {
  const Image image = picture(12, 12, 3);
  const Preprocess p = crop(12, 12);
  Augment a;
  a.pad_crop = 2;
  a.flip = 0.5;
  a.brightness = a.contrast = a.saturation = 0.3;
  EXPECT_EQ(augmented(image, p, a, 1, 2, 3), augmented(image, p, a, 1, 2, 3));
  EXPECT_NE(augmented(image, p, a, 1, 2, 3), augmented(image, p, a, 1, 2, 4));
  EXPECT_NE(augmented(image, p, a, 1, 2, 3), augmented(image, p, a, 1, 3, 3));
  EXPECT_NE(augmented(image, p, a, 1, 2, 3), augmented(image, p, a, 2, 2, 3));
  EXPECT_EQ(augmented(image, p, {}, 1, 2, 3), prepared(image, p)) << "nothing asked, nothing done";
}

TEST(TransformTest, FlipMirrors) {
  const Image image = picture(4, 5, 1);
  const Preprocess p = crop(4, 5, "GRAY");
  Augment always;
  always.flip = 1;
  const std::vector<float> plain = prepared(image, p),
                           mirrored = augmented(image, p, always, 0, 0, 0);
  for (size_t y = 0; y < 4; ++y) {
    for (size_t x = 0; x < 5; ++x) EXPECT_EQ(mirrored[y * 5 + x], plain[y * 5 + 4 - x]);
  }
}

// Every shift of pad-and-crop occurs about equally often, and what comes from outside is black.
TEST(TransformTest, PadCropShiftsEvenly) {
  Image white{3, 3, 1, std::vector<uint8_t>(9, 255)};
  const Preprocess p = crop(3, 3, "GRAY");
  Augment a;
  a.pad_crop = 1;
  std::map<std::vector<float>, int> seen;
  for (int64_t id = 0; id < 4500; ++id) ++seen[augmented(white, p, a, 0, 0, id)];
  EXPECT_EQ(seen.size(), 9u);
  for (const auto& [pixels, times] : seen) EXPECT_NEAR(times, 500, 120);
}

TEST(TransformTest, RandomResizedCropStaysInside) {
  const Image image = picture(40, 30, 3);
  const Preprocess p = crop(16, 16);
  Augment a;
  a.random_resized_crop = true;
  std::set<std::vector<float>> seen;
  for (int64_t id = 0; id < 50; ++id) seen.insert(augmented(image, p, a, 0, 0, id));
  EXPECT_GT(seen.size(), 45u);
}

class DataTest : public testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_.path() / name; }
  std::string message(const fs::path& path, const DataOptions& options = {}) const {
    try {
      open_data(path, options);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::input);
      return error.what();
    }
    return "no error";
  }
  void says(const std::string& part, const DataOptions& options = {}) const {
    const std::string text = message(folder_.path(), options);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  static std::string idx(uint32_t magic, const std::vector<uint32_t>& sizes, size_t bytes) {
    std::string text;
    const auto word = [&](uint32_t value) {
      for (int shift = 24; shift >= 0; shift -= 8) text += static_cast<char>(value >> shift & 255);
    };
    word(magic);
    for (const uint32_t size : sizes) word(size);
    for (size_t i = 0; i < bytes; ++i) text += static_cast<char>(i % 3);
    return text;
  }
  void write_idx() const {
    for (const char* part : {"train", "t10k"}) {
      write_file(at(std::string(part) + "-images-idx3-ubyte"), idx(0x803, {6, 4, 5}, 120));
      write_file(at(std::string(part) + "-labels-idx1-ubyte"), idx(0x801, {6}, 6));
    }
  }
  void write_cifar() const {
    std::string names;
    for (int i = 0; i < 10; ++i) names += "class" + std::to_string(i) + "\n";
    write_file(at("batches.meta.txt"), names);
    std::string records;
    for (int i = 0; i < 4; ++i) {
      records += static_cast<char>(i);
      for (int k = 0; k < 3072; ++k) records += static_cast<char>(k / 1024 * 50 + i);
    }
    for (int i = 1; i <= 5; ++i)
      write_file(at("data_batch_" + std::to_string(i) + ".bin"), records);
    write_file(at("test_batch.bin"), records);
  }
  void write_folder(const std::string& split, const std::vector<std::string>& classes, int count) {
    for (const std::string& name : classes) test::write_pictures(at(split) / name, count);
  }
  test::TemporaryFolder folder_;
};

TEST_F(DataTest, ReadsIdx) {
  write_idx();
  DataOptions options;
  options.channels = 1;
  const DataSplits splits = open_data(folder_.path(), options);
  EXPECT_EQ(splits.format, "idx");
  ASSERT_EQ(splits.train->size(), 6);
  EXPECT_EQ(splits.train->label(4), 1);
  const Image image = splits.train->image(1);
  EXPECT_EQ(image.height, 4);
  EXPECT_EQ(image.width, 5);
  EXPECT_EQ(image.pixels[0], 20 % 3);
  EXPECT_EQ(open_data(folder_.path(), {}).train->image(0).pixels.size(), 60u) << "grey repeated";
}

TEST_F(DataTest, IdxFilesThatLieAreNamed) {
  DataOptions grey;
  grey.channels = 1;
  const std::string images = "train-images-idx3-ubyte", labels = "train-labels-idx1-ubyte";
  const auto with = [&](const std::string& name, const std::string& bytes,
                        const std::string& part) {
    write_idx();
    write_file(at(name), bytes);
    says(part, grey);
    says(name, grey);
  };
  with(images, idx(0x801, {6, 4, 5}, 120), "not an IDX file of pictures");
  with(images, idx(0x803, {6, 4, 5}, 119), "expected 6 pictures of 4 x 5");
  with(images, idx(0x803, {0xffffffff, 4096, 4096}, 120), "expected 4294967295 pictures");
  with(images, "x", "not an IDX file");
  with(labels, idx(0x801, {5}, 5), "5 labels for 6 pictures");
  write_idx();
  fs::remove(at("t10k-labels-idx1-ubyte"));
  says("is missing", grey);
}

TEST_F(DataTest, ReadsCifarBatches) {
  write_cifar();
  const DataSplits splits = open_data(folder_.path(), {});
  EXPECT_EQ(splits.format, "cifar-binary");
  EXPECT_EQ(splits.train->size(), 20);
  EXPECT_EQ(splits.val->label(2), 2);
  const Image image = splits.val->image(3);  // planes become interleaved
  EXPECT_EQ(image.pixels[0], 3);
  EXPECT_EQ(image.pixels[1], 53);
  EXPECT_EQ(image.pixels[2], 103);
  write_file(at("data_batch_3.bin"), "short");
  says("no whole number of records");
  write_cifar();
  fs::remove(at("data_batch_4.bin"));
  says("data_batch_4.bin");
  write_cifar();
  write_file(at("batches.meta.txt"), "one\ntwo\n");
  says("2 names");
}

TEST_F(DataTest, FoldersThatDisagreeAreNamed) {
  write_folder("train", {"cat", "dog"}, 2);
  says("train/ or val/ but not both");
  write_folder("val", {"cat", "cow"}, 1);
  says("'dog' and 'cow'");
  fs::remove_all(at("val"));
  write_folder("val", {"cat", "dog"}, 1);
  EXPECT_EQ(message(folder_.path()), "no error");
  fs::create_directories(at("train") / "emu");
  says("holds no pictures");
  says("emu");
}

TEST_F(DataTest, ASplitIsDisjointAndStable) {
  write_folder("", {"cat", "dog"}, 20);
  says("needs --val-split");
  DataOptions options;
  options.val_split = 0.25;
  const DataSplits a = open_data(folder_.path(), options), b = open_data(folder_.path(), options);
  EXPECT_EQ(a.train->size() + a.val->size(), 40);
  EXPECT_EQ(a.val->size(), 10) << "a quarter of each class";
  std::set<std::string> names;
  for (int64_t i = 0; i < a.val->size(); ++i) {
    EXPECT_EQ(a.val->name(i), b.val->name(i));
    names.insert(a.val->name(i));
  }
  for (int64_t i = 0; i < a.train->size(); ++i) EXPECT_FALSE(names.contains(a.train->name(i)));
}

TEST_F(DataTest, PerClassTakesTheFirstBySortedName) {
  write_folder("train", {"cat", "dog"}, 5);
  write_folder("val", {"cat", "dog"}, 1);
  DataOptions options;
  options.per_class = 2;
  const DataSplits splits = open_data(folder_.path(), options);
  ASSERT_EQ(splits.train->size(), 4);
  EXPECT_EQ(fs::path(splits.train->name(1)).filename(), "101.png");
  EXPECT_EQ(splits.val->size(), 2);
}

class LoaderTest : public DataTest {
 protected:
  std::vector<float> all(LoaderOptions options, int64_t epoch, int64_t first = 0) {
    options.preprocess = crop(5, 5);
    options.batch = 4;
    Loader loader(open_data(folder_.path(), {}).train, options);
    loader.start(epoch, first);
    std::vector<float> values;
    while (const Batch* batch = loader.next()) {
      const auto* pixels = batch->pixels.as<uint8_t>();
      values.insert(values.end(), pixels, pixels + batch->pixels.elements());
      const auto* placements = batch->placements.as<int32_t>();
      for (int64_t i = 0; i < batch->placements.elements(); ++i) {
        values.push_back(static_cast<float>(placements[i]));
      }
      for (const int64_t id : batch->ids) values.push_back(static_cast<float>(id));
      if (!batch->partners) continue;
      const auto* shares = batch->shares.as<float>();
      values.insert(values.end(), shares, shares + options.batch);
      for (const auto& [tensor, count] :
           {std::pair{batch->partners, options.batch}, {batch->boxes, 4 * options.batch}}) {
        const auto* numbers = tensor.as<int32_t>();
        for (int64_t i = 0; i < count; ++i) values.push_back(static_cast<float>(numbers[i]));
      }
    }
    return values;
  }
};

TEST_F(LoaderTest, WorkersAndPrefetchChangeNothing) {
  write_folder("train", {"cat", "dog"}, 11);
  write_folder("val", {"cat", "dog"}, 1);
  LoaderOptions options;
  options.training = true;
  options.augment.flip = 0.5;
  options.augment.pad_crop = 1;
  options.augment.rand_augment = 2;
  options.augment.erasing = 0.5;
  options.augment.mixup = options.augment.cutmix = 1;
  const int64_t each = 4 * 75 + 12 + 4 + 4 * 6;  // numbers of a batch
  options.workers = 1;
  options.prefetch = 1;
  const std::vector<float> one = all(options, 3);
  EXPECT_EQ(one.size(), static_cast<size_t>(5 * each)) << "22 pictures are 5 batches of 4";
  for (const int workers : {2, 5}) {
    options.workers = workers;
    options.prefetch = workers + 1;
    EXPECT_EQ(all(options, 3), one);
  }
  EXPECT_NE(all(options, 4), one) << "another epoch, another order";
  const std::vector<float> rest = all(options, 3, 2);
  EXPECT_EQ(rest, std::vector<float>(one.begin() + 2 * each, one.end()));
}

TEST_F(LoaderTest, EvaluationKeepsTheLastPartialBatch) {
  write_folder("train", {"cat", "dog"}, 3);
  write_folder("val", {"cat", "dog"}, 1);
  LoaderOptions options;
  options.preprocess = crop(5, 5);
  options.batch = 4;
  Loader loader(open_data(folder_.path(), {}).train, options);
  loader.start(0);
  EXPECT_EQ(loader.next()->count, 4);
  const Batch* last = loader.next();
  ASSERT_NE(last, nullptr);
  EXPECT_EQ(last->count, 2);
  EXPECT_EQ(last->labels.as<int32_t>()[1], 1);
  EXPECT_EQ(last->labels.as<int32_t>()[2], -1);
  EXPECT_EQ(loader.next(), nullptr);
}

TEST_F(LoaderTest, UnreadablePicturesAreNamedCountedAndBounded) {
  write_folder("train", {"cat", "dog"}, 4);
  write_folder("val", {"cat", "dog"}, 1);
  write_file(at("train") / "cat" / "100.png", "torn");
  write_file(at("train") / "dog" / "102.png", "");
  LoaderOptions options;
  options.preprocess = crop(5, 5);
  options.batch = 4;
  const auto run = [&](int64_t allowed) {
    options.max_bad_images = allowed;
    std::vector<std::string> named;
    options.warn = [&](const std::string& line) { named.push_back(line); };
    Loader loader(open_data(folder_.path(), {}).train, options);
    loader.start(0);
    while (loader.next() != nullptr) {
    }
    EXPECT_EQ(loader.bad_images(), 2);
    return named.size();
  };
  EXPECT_EQ(run(2), 2u);
  EXPECT_THROW(run(1), Error);
}

}  // namespace
}  // namespace kd
