// Dtypes, shapes, tensors, names, strict JSON, files.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "core/file.h"
#include "core/json.h"
#include "core/names.h"
#include "kd/error.h"
#include "kd/tensor.h"
#include "support/support.h"

namespace kd {
namespace {

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(DTypeTest, EveryHalfSurvivesARoundTrip) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = f16_to_f32(half);
    if (std::isnan(value)) {
      EXPECT_TRUE(std::isnan(f16_to_f32(f32_to_f16(value))));
    } else {
      ASSERT_EQ(f32_to_f16(value), half) << bits;
    }
    const float brain = bf16_to_f32(half);
    if (!std::isnan(brain)) {
      ASSERT_EQ(f32_to_bf16(brain), half) << bits;
    }
  }
}

TEST(DTypeTest, RoundsToNearestEven) {
  EXPECT_EQ(f32_to_f16(1.0f), 0x3c00);
  EXPECT_EQ(f32_to_f16(1.0f + 0x1p-11f), 0x3c00);      // half way: to even
  EXPECT_EQ(f32_to_f16(1.0f + 3 * 0x1p-11f), 0x3c02);  // half way: to even
  EXPECT_EQ(f32_to_f16(65504.0f), 0x7bff);             // largest half
  EXPECT_EQ(f32_to_f16(65520.0f), 0x7c00);             // rounds to infinity
  EXPECT_EQ(f32_to_f16(0x1p-25f), 0x0000);             // half of the smallest: to even
  EXPECT_EQ(f32_to_f16(0x1.8p-25f), 0x0001);
  EXPECT_EQ(f32_to_bf16(1.0f + 0x1p-8f), 0x3f80);
  EXPECT_TRUE(std::isnan(bf16_to_f32(f32_to_bf16(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(DTypeTest, NamesRoundTripAndSuggest) {
  EXPECT_EQ(dtype_from_name("bf16"), DType::bf16);
  EXPECT_NE(message_of([] { dtype_from_name("bf61"); }).find("did you mean 'bf16'"),
            std::string::npos);
}

TEST(ShapeTest, ChecksRankSignAndOverflow) {
  EXPECT_EQ(Shape({2, 3, 4}).elements(), 24);
  EXPECT_EQ(Shape({}).elements(), 1);
  EXPECT_EQ(Shape({2, 0}).elements(), 0);
  EXPECT_THROW(Shape({1, 2, 3, 4, 5, 6}), Error);
  EXPECT_THROW(Shape({-1}), Error);
  const Shape huge{int64_t{1} << 40, int64_t{1} << 40};
  EXPECT_NE(message_of([&] { huge.elements(); }).find("overflows"), std::string::npos);
}

TEST(TensorTest, MustFitItsBuffer) {
  const Buffer buffer = allocate_host(64);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  EXPECT_NO_THROW(Tensor({DType::f32, {8}}, buffer, 32));
  EXPECT_THROW(Tensor({DType::f32, {9}}, buffer, 32), Error);
  EXPECT_THROW(Tensor({DType::f32, {0}}, buffer, 65), Error);
}

TEST(NamesTest, FindsTheNearest) {
  const std::vector<std::string> names{"epochs", "batch-size", "weight-decay"};
  EXPECT_EQ(nearest_name("epohcs", names), "epochs");
  EXPECT_EQ(nearest_name("weight_decay", names), "weight-decay");
  EXPECT_EQ(nearest_name("zzzzzz", names), "");
  EXPECT_EQ(suggestion("zzz", {"a", "b"}), "; valid: a, b");
}

TEST(JsonTest, NamesUnknownMissingAndWrong) {
  const Json json = parse_json(R"({"epochs": "ten", "lr": 0.1})", "run.json");
  StrictObject object(json, "run.json");
  EXPECT_DOUBLE_EQ(object.required<double>("lr"), 0.1);
  EXPECT_EQ(object.optional<int>("absent", 7), 7);
  EXPECT_EQ(message_of([&] { object.required<int>("epochs"); }),
            "run.json: 'epochs' is \"ten\", expected an integer");
  EXPECT_EQ(message_of([&] { object.required<int>("seed"); }),
            "run.json: the key 'seed' is missing");
  StrictObject strict(json, "run.json");
  strict.has("epoch");
  strict.has("lr");
  EXPECT_EQ(message_of([&] { strict.finish(); }),
            "run.json: unknown key 'epochs'; did you mean 'epoch'?");
}

TEST(JsonTest, RefusesDuplicatesAndGarbage) {
  EXPECT_NE(message_of([] { parse_json(R"({"a":{"b":1,"b":2}})", "x"); }).find("appears twice"),
            std::string::npos);
  EXPECT_NO_THROW(parse_json(R"([{"a":1},{"a":2}])", "x"));
  EXPECT_NE(message_of([] { parse_json("{", "x"); }).find("not valid JSON"), std::string::npos);
}

TEST(FileTest, NothingUnderTheFinalNameBeforeCommit) {
  const test::TemporaryFolder folder;
  const auto path = folder.path() / "file";
  {
    FileWriter writer(path);
    writer.write("half");
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  write_file(path, "whole");
  const auto bytes = read_file(path);
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "whole");
  EXPECT_EQ(hash_file(path), hash_hex(bytes));
}

TEST(FileTest, NamesAFullDisk) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP() << "no /dev/full on this system";
  const test::TemporaryFolder folder;
  std::filesystem::create_symlink("/dev/full", folder.path() / "file.partial");
  const std::string message = message_of([&] { write_file(folder.path() / "file", "text"); });
  EXPECT_NE(message.find("No space left"), std::string::npos) << message;
  EXPECT_FALSE(std::filesystem::exists(folder.path() / "file"));
}

TEST(FileTest, NamesMissingFilesAndFolders) {
  EXPECT_NE(message_of([] { read_file("/nowhere/file"); }).find("/nowhere/file"),
            std::string::npos);
  EXPECT_NE(message_of([] { write_file("/nowhere/file", ""); }).find("can't be written"),
            std::string::npos);
}

}  // namespace
}  // namespace kd
