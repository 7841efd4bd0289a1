// Files that lie: the corpus of the fuzzer, fed to each reader without one, and what it has found.
#include <gtest/gtest.h>
#include <zlib.h>

#include <ctime>
#include <fstream>
#include <limits>

#include "core/file.h"
#include "core/json.h"
#include "distill/run_folder.h"
#include "fuzz/readers.h"
#include "io/finite.h"
#include "kd/config.h"
#include "kd/data.h"
#include "kd/model.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

TEST(HostileTest, EveryFileOfTheCorpusIsReadOrRefusedInASentence) {
  for (const fuzz::Reader& reader : fuzz::readers()) {
    const fs::path folder = fs::path(KD_SOURCE_DIR) / "tests/fuzz/corpus" / reader.name;
    int files = 0, read = 0;
    for (const auto& entry : fs::directory_iterator(folder)) {
      SCOPED_TRACE(entry.path().string());
      const std::clock_t begun = std::clock();
      std::string what = "nothing";
      EXPECT_NO_THROW(what = fuzz::outcome(reader, read_file(entry.path())));
      EXPECT_LT(std::clock() - begun, 2 * CLOCKS_PER_SEC);
      ++files;
      read += what.empty();
    }
    EXPECT_GE(files, 15) << reader.name;
    EXPECT_GE(read, 1) << reader.name << ": no seed is a good file";
  }
}

template <class Read>
void says(const std::string& part, const Read& read) {
  try {
    read();
    ADD_FAILURE() << "no error, expected: " << part;
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(HostileTest, JsonHasLimits) {
  const auto parse = [](const std::string& text) { return [text] { parse_json(text, "f"); }; };
  says("nest deeper than 64", parse(std::string(100000, '[')));
  says("a number is too large", parse("[1e999]"));
  std::string keys = "{";
  for (int i = 0; i < 10001; ++i) keys += "\"" + std::to_string(i) + "\":0,";
  says("more than 10000 keys", parse(keys + "\"x\":0}"));
  says("expected at most", parse(std::string((16 << 20) + 1, ' ')));
}

TEST(HostileTest, NumbersAreNotBentIntoShape) {
  const Json json = parse_json(R"({"a": 2.5, "b": 4294967297, "c": true, "d": [1, 2, 3]})", "f");
  StrictObject object(json, "f");
  says("'a' is 2.5, expected an integer", [&] { object.required<int>("a"); });
  says("'b' is 4294967297", [&] { object.required<int>("b"); });
  says("'c' is true", [&] { object.required<int>("c"); });
  says("another type or length", [&] { object.required<std::array<int, 2>>("d"); });
  EXPECT_EQ(object.required<int64_t>("b"), 4294967297);
  EXPECT_EQ(object.required<double>("a"), 2.5);
}

TEST(HostileTest, ATeachersNumberBeyondAnIndexIsRefused) {
  const test::TemporaryFolder folder;
  write_file(folder.path() / "r.json",
             R"({"terms": [{"term": "hint", "at": [["a", "b", 9223372036854775808]]}]})");
  says("'at' is", [&] {
    RunConfig config;
    read_config(folder.path() / "r.json", config);
  });
}

class HostilePictureTest : public testing::Test {
 protected:
  Image read(const std::string& bytes, int channels = 3) const {
    write_file(folder_.path() / "picture", bytes);
    return load_image(folder_.path() / "picture", channels);
  }
  static std::string seed(const std::string& name) {
    const auto bytes = read_file(fs::path(KD_SOURCE_DIR) / "tests/fuzz/corpus/image" / name);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  test::TemporaryFolder folder_;
};

TEST_F(HostilePictureTest, SixteenBitsOfGreyAreReadWithinTheirBounds) {
  EXPECT_EQ(read(seed("p5_16.pgm")).pixels.size(), 12u);
  EXPECT_EQ(read(seed("p5_16.pgm"), 1).pixels.size(), 4u);
}

TEST_F(HostilePictureTest, BombsAreRefusedBeforeTheyUnpack) {
  says("15000 x 15000 pixels, expected at most", [&] { read(seed("huge.png")); });
  says("65535 x 65535 pixels, expected at most", [&] { read(seed("huge.gif")); });
  says("can't be decoded", [&] { read(seed("bomb.png")); });     // 4 MiB for one pixel
  says("can't be decoded", [&] { read(seed("huffman.jpg")); });  // a table of more than 256 codes
  says("more than 100 scans", [&] { read(seed("scans.jpg")); });
}

TEST(HostileListingTest, LinksThatLeadBackAreNamed) {
  const test::TemporaryFolder folder;
  for (const char* name : {"train/cat", "train/dog", "val/cat", "val/dog"}) {
    fs::create_directories(folder.path() / name);
    write_file(folder.path() / name / "a.pgm", "P5\n1 1\n255\na");
  }
  fs::create_directories(folder.path() / "extra/a");
  for (const char* link : {"b", "c"}) {
    fs::create_directory_symlink(folder.path() / "extra", folder.path() / "extra/a" / link);
  }
  DataOptions options;
  options.extra.push_back(folder.path() / "extra");
  says("a link leads back", [&] { open_data(folder.path(), options); });
}

TEST(HostileListingTest, WhatUnpacksToMoreThanItSaysIsNotUnpacked) {
  const test::TemporaryFolder folder;
  std::string bytes("\0\0\x08\x03\0\0\0\1\0\0\0\1\0\0\0\1", 16);
  bytes.resize(size_t{64} << 20);
  gzFile file = gzopen((folder.path() / "train-images-idx3-ubyte.gz").c_str(), "wb");
  gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
  gzclose(file);
  write_file(folder.path() / "train-labels-idx1-ubyte", "");
  says("more bytes than its header speaks of", [&] { open_data(folder.path(), {}); });
}

TEST(HostileModelTest, WeightsThatAreNoNumbersAreCounted) {
  Model model = load_model(fs::path(KD_SOURCE_DIR) / "tests/fuzz/corpus/model/small.bin");
  EXPECT_EQ(not_finite(model), "");
  model.tensors.at("fc.bias").as<float>()[1] = std::numeric_limits<float>::quiet_NaN();
  const std::string warning = not_finite(model);
  EXPECT_NE(warning.find("1 of "), std::string::npos) << warning;
  EXPECT_NE(warning.find("'fc.bias'"), std::string::npos) << warning;
}

TEST(HostileModelTest, OpsOfTrainingStepsAreNoModels) {
  says("'optimizer_update' is an op of training steps",
       [] { load_model(fs::path(KD_SOURCE_DIR) / "tests/fuzz/corpus/model/training_op"); });
  says("dimension below 1",
       [] { load_model(fs::path(KD_SOURCE_DIR) / "tests/fuzz/corpus/model/zero"); });
}

TEST(HostileArchitectureTest, WhatAFewBytesAskForIsBounded) {
  const test::TemporaryFolder folder;
  const auto build = [&](const std::string& channels, const std::string& blocks) {
    write_file(folder.path() / "m.json",
               R"({"input_size": [8, 8], "stem": {"kind": "cifar", "channels": 8}, "stages": [
                   {"block": "basic", "channels": )" +
                   channels + R"(, "blocks": )" + blocks + "}]}");
    return [&] { build_model(folder.path() / "m.json", 0, 0); };
  };
  says("parameters, expected at most", build("65536", "1"));
  says("channels 65537", build("65537", "1"));
  says("blocks 1000", build("8", "1000"));
}

}  // namespace
}  // namespace kd
