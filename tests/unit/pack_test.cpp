// Packed sets: the same pictures as their source, whatever is asked of them; resumed to the same
// bytes; files that lie.
#include "kd/pack.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "data/pack_file.h"
#include "kd/data.h"
#include "kd/error.h"
#include "support/jpeg_file.h"
#include "support/pictures.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using Bytes = std::vector<std::byte>;

void write_bytes(const fs::path& path, std::span<const std::byte> bytes) {
  std::ofstream(path, std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

class PackTest : public testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_.path() / name; }
  // Pictures of different sizes, all different.
  void write_classes(const std::string& folder, int count) const {
    for (const char* name : {"cat", "dog"}) {
      fs::create_directories(at(folder) / name);
      for (int i = 0; i < count; ++i) {
        const Image image = test::scenery(20 + i, 31 - i, i + (*name == 'd' ? 100 : 0));
        save_png(image, at(folder) / name / (std::to_string(100 + i) + ".png"));
      }
    }
  }
  void write_splits() const {
    write_classes("data/train", 6);
    write_classes("data/val", 3);
  }
  PackConfig config(const std::string& source = "data", const std::string& output = "set") const {
    PackConfig c;
    c.source = at(source);
    c.output = at(output);
    return c;
  }
  static void same(const Dataset& a, const Dataset& b) {
    ASSERT_EQ(a.size(), b.size());
    EXPECT_EQ(a.class_names(), b.class_names());
    for (int64_t i = 0; i < a.size(); ++i) {
      EXPECT_EQ(a.label(i), b.label(i));
      EXPECT_EQ(fs::path(a.name(i)).filename(), fs::path(b.name(i)).filename());
      const Image x = a.image(i), y = b.image(i);
      EXPECT_EQ(x.height, y.height);
      EXPECT_EQ(x.width, y.width);
      EXPECT_EQ(x.pixels, y.pixels) << a.name(i);
    }
  }
  void same_data(const DataOptions& options, const std::string& source = "data",
                 const std::string& set = "set") const {
    const DataSplits a = open_data(at(source), options), b = open_data(at(set), options);
    EXPECT_EQ(a.fingerprint, b.fingerprint);
    EXPECT_EQ(a.format, b.format);
    same(*a.train, *b.train);
    same(*a.val, *b.val);
    EXPECT_EQ(a.dev == nullptr, b.dev == nullptr);
    if (a.dev && b.dev) same(*a.dev, *b.dev);
  }
  static std::string message(const std::function<void()>& work) {
    try {
      work();
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  std::string message_of_file(std::span<const std::byte> bytes) const {
    write_bytes(at("hostile"), bytes);
    return message([&] { open_data(at("hostile"), {}); });
  }
  test::TemporaryFolder folder_;
};

TEST_F(PackTest, ReadsAsItsFolder) {
  write_splits();
  const PackSummary summary = pack(config(), {});
  EXPECT_EQ(summary.pictures, 18);
  EXPECT_EQ(summary.bytes, fs::file_size(at("set")));
  EXPECT_FALSE(fs::exists(at("set.partial")));
  EXPECT_FALSE(fs::exists(at("set.journal.partial")));
  DataOptions options;
  same_data(options);
  options.channels = 1;
  same_data(options);
  options.per_class = 4;
  options.dev_split = 0.25;
  same_data(options);
  EXPECT_EQ(open_data(at("set"), {}).val->name(4), at("set").string() + "/val/dog/101.png");
}

TEST_F(PackTest, OneFolderOfClassesIsSplitWhenItIsRead) {
  write_classes("data", 10);
  pack(config(), {});
  EXPECT_NE(message([&] { open_data(at("set"), {}); }).find("--val-split"), std::string::npos);
  DataOptions options;
  options.val_split = 0.3;
  options.seed = 5;
  same_data(options);
}

TEST_F(PackTest, PicturesWithoutLabels) {
  test::write_pictures(at("data"), 4);
  pack(config(), {});
  same_data({});
  EXPECT_EQ(open_data(at("set"), {}).train->label(2), -1);
}

TEST_F(PackTest, OfAPackedSetIsTheSame) {
  write_splits();
  pack(config(), {});
  pack(config("set", "again"), {});
  same_data({}, "set", "again");
}

// What training begins with when it resizes.
TEST_F(PackTest, ResizedAsTheNetworkWouldIsTheSameToIt) {
  write_splits();
  PackConfig c = config();
  c.size = 16;
  pack(c, {});
  PackConfig cropped = config("data", "cropped");
  cropped.height = 12;
  cropped.width = 14;
  pack(cropped, {});
  const DataSplits whole = open_data(at("data"), {}), resized = open_data(at("set"), {}),
                   cut = open_data(at("cropped"), {});
  EXPECT_NE(whole.fingerprint, resized.fingerprint);
  EXPECT_NE(resized.format.find("shorter side 16"), std::string::npos) << resized.format;
  Preprocess p = test::crop(12, 14);
  std::vector<uint8_t> a(size_t{12 * 14 * 3}), b(a.size());
  Augment augment;
  augment.pad_crop = 2;
  augment.flip = 0.5;
  augment.brightness = 0.2;
  for (int64_t i = 0; i < whole.train->size(); ++i) {
    p.resize = 0;
    stage_image(whole.train->picture(i), p, a);
    stage_image(cut.train->picture(i), p, b);
    EXPECT_EQ(a, b);
    p.resize = 16;
    stage_image(whole.train->picture(i), p, a);
    stage_image(resized.train->picture(i), p, b);
    EXPECT_EQ(a, b);
    stage_augmented(whole.train->picture(i), p, augment, {1, 2, i}, a);
    stage_augmented(resized.train->picture(i), p, augment, {1, 2, i}, b);
    EXPECT_EQ(a, b);
  }
}

TEST_F(PackTest, JpegFilesAreKeptOrDecoded) {
  for (const std::string split : {"train", "val"}) {
    for (const std::string name : {"cat", "dog"}) {
      const fs::path folder = at("data") / split / name;
      fs::create_directories(folder);
      for (int i = 0; i < 4; ++i) {
        const Image image = test::scenery(60, 70, i);
        const Bytes file = test::encode_jpeg(image, {.progressive = i == 2});
        if (file.empty()) GTEST_SKIP() << "this build has no libjpeg-turbo";
        write_bytes(folder / (std::to_string(i) + ".jpg"), file);
      }
      save_png(test::scenery(10, 12, 9), folder / "4.png");
    }
  }
  PackConfig c = config();
  pack(c, {});
  same_data({});
  const auto decoded = fs::file_size(at("set"));
  c.keep_jpeg = true;
  pack(c, {});
  same_data({});
  EXPECT_LT(fs::file_size(at("set")), decoded / 2);
  EXPECT_FALSE(open_data(at("set"), {}).train->picture(0).jpeg.empty());
  EXPECT_EQ(verify_packed(at("set"), {}).pictures, 20);
}

TEST_F(PackTest, UnreadablePicturesAreNamedAndBounded) {
  write_splits();
  write_file(at("data/train/cat/102.png"), "torn");
  PackConfig c = config();
  const std::string text = message([&] { pack(c, {}); });
  EXPECT_NE(text.find("102.png"), std::string::npos) << text;
  EXPECT_FALSE(fs::exists(at("set")));
  c.max_bad_images = 1;
  const PackSummary summary = pack(c, {});
  EXPECT_EQ(summary.left_out, 1);
  EXPECT_EQ(open_data(at("set"), {}).train->size(), 11);
}

// Stops when `pictures` are written.
PackSummary pack_some(const PackConfig& config, int64_t pictures) {
  int64_t done = 0;
  PackWatcher watcher;
  watcher.progress = [&](const PackProgress& p) { done = p.what == "packing" ? p.done : 0; };
  watcher.stop = [&] { return done >= pictures; };
  return pack(config, watcher);
}

TEST_F(PackTest, ContinuesToTheSameBytes) {
  write_classes("data", 30);
  PackConfig c = config();
  c.workers = 1;
  const PackSummary whole = pack(c, {});
  const std::string bytes = hash_file(at("set"));
  fs::remove(at("set"));
  const PackSummary first = pack_some(c, 20);
  EXPECT_TRUE(first.interrupted);
  EXPECT_FALSE(fs::exists(at("set")));
  c.workers = 3;
  const PackSummary second = pack(c, {});
  EXPECT_GE(second.continued, 20);
  EXPECT_EQ(second.source_hash, whole.source_hash);
  EXPECT_EQ(hash_file(at("set")), bytes);

  const auto partial = at("set.partial");
  pack_some(c, 24);
  Bytes torn = read_file(partial);  // what a power cut may leave: something else in the middle
  std::fill_n(torn.begin() + static_cast<ptrdiff_t>(torn.size() / 2), 64, std::byte{0});
  write_bytes(partial, torn);
  const PackSummary third = pack(c, {});
  EXPECT_GT(third.continued, 0);
  EXPECT_LT(third.continued, 24);
  EXPECT_EQ(hash_file(at("set")), bytes);

  pack_some(c, 24);
  c.size = 8;  // another job: nothing of it is of use
  EXPECT_EQ(pack(c, {}).continued, 0);
  c.size = 0;
  pack_some(c, 24);
  save_png(test::scenery(9, 9, 0), at("data/cat/100.png"));  // another source
  EXPECT_EQ(pack(c, {}).continued, 0);
  EXPECT_NE(hash_file(at("set")), bytes);
}

TEST_F(PackTest, TwoAtOnceAreRefused) {
  write_splits();
  const ResumableFile other(at("set"));
  EXPECT_NE(message([&] { pack(config(), {}); }).find("another process"), std::string::npos);
}

// A file whose checksums fit what it says.
class HostilePackTest : public PackTest {
 protected:
  void SetUp() override {
    write_splits();
    pack(config(), {});
    bytes_ = read_file(at("set"));
    const PackFile file(at("set"));
    index_.metadata = file.metadata();
    for (int64_t i = 0; i < file.size(); ++i) {
      index_.records.push_back(file.record(i));
      index_.names.push_back("picture" + std::to_string(i));
    }
    const PackRecord& last = index_.records.back();
    end_ = align_pack(last.offset + last.bytes);
  }
  Bytes with(const PackIndex& index) const {
    const Bytes text = encode_pack_index(index), header = encode_pack_header(end_, text);
    Bytes made(bytes_.begin(), bytes_.begin() + static_cast<ptrdiff_t>(end_));
    std::ranges::copy(header, made.begin());
    made.insert(made.end(), text.begin(), text.end());
    return made;
  }
  void refuses(const std::function<void(PackIndex&)>& lie, const std::string& part) const {
    PackIndex index = index_;
    lie(index);
    const std::string text = message_of_file(with(index));
    EXPECT_NE(text.find(part), std::string::npos) << text;
  }
  Bytes bytes_;
  PackIndex index_;
  uint64_t end_ = 0;
};

TEST_F(HostilePackTest, AnIndexThatLiesIsNamed) {
  EXPECT_EQ(message_of_file(with(index_)), "no error");
  constexpr uint64_t kHuge = ~uint64_t{0} - 63;
  refuses([](PackIndex& i) { i.records[3].offset = kHuge; }, "picture3: ");
  refuses([](PackIndex& i) { i.records[3].bytes = kHuge; }, "expected to lie between");
  refuses([](PackIndex& i) { i.records[3].offset = i.records[2].offset; }, "picture3");
  refuses([](PackIndex& i) { i.records[0].offset = 0; }, "between 64");
  refuses([](PackIndex& i) { i.records[3].offset += 1; }, "picture3");
  refuses([](PackIndex& i) { std::swap(i.records[3], i.records[4]); }, "picture4");
  refuses([](PackIndex& i) { i.records[17].offset += 1 << 20; }, "picture17");
  refuses([](PackIndex& i) { i.records[5].height = 0; }, "0 x ");
  refuses([](PackIndex& i) { i.records[5].height = i.records[5].width = 0xffffffff; },
          "4294967295 x 4294967295 pixels");
  refuses([](PackIndex& i) { i.records[5].height += 1; }, "picture5");
  refuses([](PackIndex& i) { i.records[5].channels = 4; }, "4 channels");
  refuses([](PackIndex& i) { i.records[5].encoding = PackEncoding::left_out; }, "encoding 2");
  refuses([](PackIndex& i) { i.records[5].label = 2; }, "label 2 of 2 classes");
  refuses([](PackIndex& i) { i.records[5].label = -1; }, "label -1");
  refuses([](PackIndex& i) { i.records.pop_back(); }, "names for 17 pictures");
  refuses([](PackIndex& i) { i.names.pop_back(); }, "17 names");
  refuses([](PackIndex& i) { i.metadata.train = 40; }, "40 training");
  refuses([](PackIndex& i) { i.metadata.val = 5; }, "5 validation");
  refuses([](PackIndex& i) { i.metadata.channels = 7; }, "7 channels");
  refuses([](PackIndex& i) { i.metadata.train = -6, i.metadata.val = 24; }, "-6 training");
}

TEST_F(HostilePackTest, APictureThatIsNoJpegOfItsSizeIsNamed) {
  PackIndex index = index_;
  index.records[5].encoding = PackEncoding::jpeg;
  write_bytes(at("hostile"), with(index));
  const DataSplits data = open_data(at("hostile"), {});
  const std::string text = message([&] { data.train->image(5); });
  EXPECT_NE(text.find("picture5"), std::string::npos) << text;
}

TEST_F(HostilePackTest, CutShortAtAnyLength) {
  for (size_t length = 0; length < bytes_.size(); length += length < 200 ? 1 : 97) {
    const std::string text = message_of_file(std::span(bytes_).first(length));
    EXPECT_NE(text, "no error") << length;
  }
  Bytes longer = bytes_;
  longer.push_back(std::byte{0});
  EXPECT_NE(message_of_file(longer).find("the header says"), std::string::npos);
  EXPECT_NE(message_of_file(Bytes(200, std::byte{'x'})).find("not a packed set"),
            std::string::npos);
}

TEST_F(HostilePackTest, ChangedBytesAreNoticed) {
  for (size_t i = 0; i < bytes_.size(); i += i < kPackHeaderBytes ? 1 : i >= end_ ? 5 : 1009) {
    Bytes changed = bytes_;
    changed[i] ^= std::byte{4};
    const std::string text = message_of_file(changed);
    const bool outside = i < kPackHeaderBytes || i >= end_;
    if (outside) {
      EXPECT_NE(text, "no error") << i;
      continue;
    }
    EXPECT_EQ(text, "no error") << "pictures are compared when they are read";
    const bool noticed = message([&] { verify_packed(at("hostile"), {}); }) != "no error";
    bool between = true;  // pictures are padded
    for (const PackRecord& r : index_.records) {
      between = between && (i < r.offset || i >= r.offset + r.bytes);
    }
    EXPECT_NE(noticed, between) << i;
  }
}

TEST_F(HostilePackTest, ADamagedPictureIsOneUnreadablePicture) {
  const auto at_byte = static_cast<size_t>(index_.records[2].offset + 5);
  bytes_[at_byte] ^= std::byte{1};
  write_bytes(at("hostile"), bytes_);
  LoaderOptions options;
  options.preprocess = test::crop(5, 5);
  options.batch = 4;
  options.max_bad_images = 1;
  std::string named;
  options.warn = [&](const std::string& line) { named += line; };
  Loader loader(open_data(at("hostile"), {}).train, options);
  loader.start(0);
  while (loader.next() != nullptr) {
  }
  EXPECT_EQ(loader.bad_images(), 1);
  EXPECT_NE(named.find("train/cat/102.png: does not match its checksum"), std::string::npos)
      << named;
}

}  // namespace
}  // namespace kd
