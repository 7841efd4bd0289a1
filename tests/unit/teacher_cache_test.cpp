// The file of a teacher's logits: what is written comes back, what lies is refused.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "core/file.h"
#include "io/logit_file.h"
#include "support/support.h"

namespace kd {
namespace {

class LogitFileTest : public testing::Test {
 protected:
  LogitFile make(const std::string& format = "fp32") const {
    return {path(), key_, {3, 2, 6}, parse_logit_format(format)};
  }
  std::filesystem::path path() const { return folder_.path() / "teacher_0.logits"; }
  // Changes a byte of the file, or cuts it.
  void damage(uint64_t at) const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(at));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(at));
    file.put(static_cast<char>(byte ^ 1));
  }
  std::string refusal() const {
    try {
      make();
    } catch (const Error& error) {
      return error.what();
    }
    return "none";
  }
  test::TemporaryFolder folder_;
  Json key_ = {{"teacher weights", "a"}, {"seed", 1}};
  const std::vector<float> logits_{1, 5, -2, 0.1f, 3, -7};
};

TEST_F(LogitFileTest, WhatIsWrittenComesBack) {
  for (const char* name : {"fp32", "fp16", "top2"}) {
    std::filesystem::remove(path());
    std::vector<float> read(6);
    {
      LogitFile file = make(name);
      EXPECT_EQ(file.read({2, 1}, 7, read), LogitFile::State::missing);
      file.write({2, 1}, 7, logits_);
    }
    LogitFile file = make(name);
    EXPECT_EQ(file.read({2, 1}, 7, read), LogitFile::State::present);
    EXPECT_EQ(file.read({2, 0}, 7, read), LogitFile::State::missing);
    EXPECT_EQ(file.count().present, 1);
    EXPECT_EQ(std::filesystem::file_size(path()), file.whole_bytes()) << "the last slot is written";
    if (file.format().exact()) {
      EXPECT_EQ(read, logits_);
    }
  }
}

TEST_F(LogitFileTest, TheHighestAreExactAndTheRestKeepsItsMass) {
  const LogitFormat format = parse_logit_format("top2");
  std::vector<std::byte> bytes(format.bytes(6));
  std::vector<float> read(6);
  format.encode(logits_, bytes.data());
  ASSERT_TRUE(format.decode(bytes.data(), read));
  EXPECT_EQ(read[1], 5);
  EXPECT_EQ(read[4], 3);
  const double mass = std::exp(1.0) + std::exp(-2.0) + std::exp(double{0.1f}) + std::exp(-7.0);
  EXPECT_NEAR(4 * std::exp(double{read[0]}), mass, 1e-5);
  bytes[0] = std::byte{9};
  EXPECT_FALSE(format.decode(bytes.data(), read)) << "class 9 of 6";
  for (const char* wrong : {"fp8", "top", "top0", "top-1", "top2x"}) {
    EXPECT_THROW(parse_logit_format(wrong), Error) << wrong;
  }
}

TEST_F(LogitFileTest, AnotherKeyIsRefusedByName) {
  make();
  key_["seed"] = 2;
  EXPECT_NE(refusal().find("seed changed: the cache was made with 1, now it is 2"),
            std::string::npos)
      << refusal();
  key_["seed"] = 1;
  EXPECT_EQ(refusal(), "none");
}

TEST_F(LogitFileTest, AnotherPictureIsRefused) {
  LogitFile file = make();
  std::vector<float> read(6);
  file.write({0, 0}, 7, logits_);
  EXPECT_THROW(file.read({0, 0}, 8, read), Error);
  EXPECT_THROW(file.read({3, 0}, 7, read), Error);
  EXPECT_THROW(file.read({0, 2}, 7, read), Error);
}

TEST_F(LogitFileTest, ADamagedRecordIsNoticedWhereverTheByte) {
  uint64_t first = 0, bytes = 0;
  {
    LogitFile file = make();
    file.write({0, 0}, 7, logits_);
    bytes = LogitFile::bytes_of(file.size(), file.format()) / 6;
    first = file.whole_bytes() - 6 * bytes;
  }
  for (uint64_t at = first; at < first + bytes; ++at) {
    damage(at);
    std::vector<float> read(6);
    LogitFile file = make();
    EXPECT_EQ(file.read({0, 0}, 7, read), LogitFile::State::damaged) << at;
    EXPECT_EQ(file.count().damaged, 1);
    damage(at);
  }
  std::filesystem::resize_file(path(), first + bytes - 5);  // as if killed while writing
  std::vector<float> read(6);
  LogitFile file = make();
  EXPECT_EQ(file.read({0, 0}, 7, read), LogitFile::State::damaged);
  file.write({0, 0}, 7, logits_);
  EXPECT_EQ(file.read({0, 0}, 7, read), LogitFile::State::present);
}

TEST_F(LogitFileTest, ALyingHeaderIsRefused) {
  make();
  const uint64_t whole = std::filesystem::file_size(path());
  for (uint64_t at = 0; at < 32 + 20; ++at) {  // the preamble, and some of the JSON
    damage(at);
    EXPECT_NE(refusal(), "none") << at;
    damage(at);
  }
  ASSERT_EQ(refusal(), "none");
  for (const uint64_t length : {uint64_t{0}, uint64_t{8}, uint64_t{40}, whole - 1}) {
    std::filesystem::resize_file(path(), length);
    EXPECT_NE(refusal(), "none") << length;
    std::filesystem::remove(path());
    make();
  }
  std::filesystem::resize_file(path(), 1 << 20);
  EXPECT_NE(refusal().find("expected at most"), std::string::npos);
}

}  // namespace
}  // namespace kd
