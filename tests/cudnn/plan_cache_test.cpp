// The files of the plan cache: what is refused, and why. Needs no CUDA.
#include "backend/cuda/plan_cache.h"

#include <gtest/gtest.h>

#include <fstream>

#include "support/support.h"

namespace kd::cuda {
namespace {

const PlanOwner kOwner{"NVIDIA H200", 90, 91900};
const std::string kKey = "conv f16 x=1,8,8,8";
const std::string kPlan = std::string("{\"plan\": 1}\n\n{}\0 and more", 24);

std::string refusal(const std::string& file, const PlanOwner& owner = kOwner,
                    const std::string& key = kKey) {
  const FoundPlan found = decode_plan(file, owner, key);
  EXPECT_FALSE(found.plan.has_value());
  return found.refusal;
}

TEST(PlanFile, GivesBackWhatWasPutIn) {
  for (const std::string& plan : {kPlan, std::string(), std::string(1 << 20, 'x')}) {
    const FoundPlan found = decode_plan(encode_plan(kOwner, kKey, plan), kOwner, kKey);
    EXPECT_EQ(found.refusal, "");
    EXPECT_EQ(found.plan, plan);
  }
}

TEST(PlanFile, OfAnotherOwnerIsRefusedByName) {
  const std::string file = encode_plan(kOwner, kKey, kPlan);
  EXPECT_EQ(refusal(file, {"NVIDIA A100", 90, 91900}),
            "it has device 'NVIDIA H200', expected 'NVIDIA A100'");
  EXPECT_EQ(refusal(file, {"NVIDIA H200", 100, 91900}), "it has sm '90', expected '100'");
  EXPECT_EQ(refusal(file, {"NVIDIA H200", 90, 92000}), "it has cudnn '91900', expected '92000'");
  EXPECT_EQ(refusal(file, kOwner, "another"),
            "it has key 'conv f16 x=1,8,8,8', expected 'another'");
}

TEST(PlanFile, OfAnotherFormatIsRefused) {
  std::string file = encode_plan(kOwner, kKey, kPlan);
  EXPECT_EQ(refusal("PK" + file), "it is no plan file");
  EXPECT_EQ(refusal(""), "it is no plan file");
  EXPECT_EQ(refusal(file.replace(file.find("version 1"), 9, "version 2")),
            "it has version '2', expected '1'");
}

TEST(PlanFile, TruncatedAnywhereIsRefused) {
  const std::string file = encode_plan(kOwner, kKey, kPlan);
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_NE(refusal(file.substr(0, size)), "") << size;
  }
  EXPECT_EQ(refusal(file.substr(0, file.size() - 1)), "it holds 23 bytes, expected 24");
  EXPECT_EQ(refusal(file + "x"), "it holds 25 bytes, expected 24");
}

TEST(PlanFile, AFlippedBitAnywhereIsRefused) {
  const std::string file = encode_plan(kOwner, kKey, kPlan);
  for (size_t i = 0; i < file.size(); ++i) {
    std::string corrupt = file;
    corrupt[i] = static_cast<char>(corrupt[i] ^ 1);
    EXPECT_NE(refusal(corrupt), "") << i;
  }
  std::string corrupt = file;
  corrupt.back() ^= 1;
  EXPECT_EQ(refusal(corrupt), "its checksum is wrong");
}

TEST(PlanCache, FindsWhatWasStored) {
  const test::TemporaryFolder folder;
  const PlanCache cache(folder.path(), kOwner);
  EXPECT_EQ(cache.find(kKey).refusal, "");
  EXPECT_FALSE(cache.find(kKey).plan);
  EXPECT_EQ(cache.store(kKey, "first"), "");
  EXPECT_EQ(cache.store(kKey, kPlan), "");
  EXPECT_EQ(cache.find(kKey).plan, kPlan);
  EXPECT_FALSE(cache.find("another").plan);
  EXPECT_FALSE(PlanCache(folder.path(), {"NVIDIA H200", 90, 92000}).find(kKey).plan);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder.path())) {
    EXPECT_TRUE(entry.is_directory() || entry.path() == cache.file(kKey)) << "left over: " << entry;
  }
}

TEST(PlanCache, AFileInTheWrongPlaceIsRefused) {
  const test::TemporaryFolder folder;
  const PlanCache cache(folder.path(), kOwner), other(folder.path(), {"NVIDIA A100", 80, 91900});
  ASSERT_EQ(cache.store(kKey, kPlan), "");
  ASSERT_EQ(other.store("another", kPlan), "");
  std::filesystem::copy_file(cache.file(kKey), other.file(kKey));
  EXPECT_EQ(other.find(kKey).refusal, "it has device 'NVIDIA H200', expected 'NVIDIA A100'");
  EXPECT_EQ(other.store(kKey, kPlan), "");  // rebuilt
  EXPECT_EQ(other.find(kKey).plan, kPlan);
}

TEST(PlanCache, AFolderThatCannotBeWrittenSaysWhy) {
  const test::TemporaryFolder folder;
  std::ofstream(folder.path() / "file") << "in the way";
  const PlanCache cache(folder.path() / "file", kOwner);
  EXPECT_NE(cache.store(kKey, kPlan), "");
  EXPECT_FALSE(cache.find(kKey).plan);
}

}  // namespace
}  // namespace kd::cuda
