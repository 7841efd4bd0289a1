// Models: published parameter counts, .bin round trips, and files that lie.
#include <gtest/gtest.h>

#include <cstring>

#include "core/file.h"
#include "io/safetensors.h"
#include "kd/error.h"
#include "kd/model.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;

fs::path model_path(const std::string& name) {
  return fs::path(KD_SOURCE_DIR) / "models" / (name + ".json");
}

TEST(ModelsTest, ParameterCountsArePublished) {
  const std::vector<std::pair<std::string, int64_t>> published{
      {"r18", 11689512},          {"r34", 21797672},          {"r50", 25557032},
      {"r101", 44549160},         {"cifar_resnet20", 269722}, {"cifar_resnet32", 464154},
      {"cifar_resnet44", 658586}, {"cifar_resnet56", 853018}, {"cifar_resnet110", 1727962}};
  for (const auto& [name, count] : published) {
    EXPECT_EQ(build_model(model_path(name), 0, 0).parameter_count(), count) << name;
  }
}

class ModelFileTest : public testing::Test {
 protected:
  std::string message(const std::string& bytes) const {
    const fs::path path = folder_.path() / "x.bin";
    write_file(path, bytes);
    try {
      load_model(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::input);
      return error.what();
    }
    return "no error";
  }
  std::string saved() const {
    const fs::path path = folder_.path() / "model.bin";
    save_model(build_model(model_path("fmnist_student"), 0, 3), path);
    const auto bytes = read_file(path);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
  static std::string file_of(const std::string& header, const std::string& data = {}) {
    const uint64_t length = header.size();
    return std::string(reinterpret_cast<const char*>(&length), 8) + header + data;
  }
  test::TemporaryFolder folder_;
};

TEST_F(ModelFileTest, RoundTripsBitForBit) {
  const std::string first = saved();
  const Model model = load_model(folder_.path() / "model.bin");
  save_model(model, folder_.path() / "again.bin");
  EXPECT_EQ(hash_file(folder_.path() / "model.bin"), hash_file(folder_.path() / "again.bin"));
  EXPECT_EQ(model.graph.nodes().size(),
            build_model(model_path("fmnist_student"), 0, 3).graph.nodes().size());
}

TEST_F(ModelFileTest, TruncatedAnywhereIsAnError) {
  const std::string whole = saved();
  for (size_t size = 0; size < whole.size(); size += size < 64 ? 1 : 97) {
    EXPECT_NE(message(whole.substr(0, size)), "no error") << size;
  }
  EXPECT_NE(message(whole + "x"), "no error");
}

TEST_F(ModelFileTest, HostileHeadersAreNamed) {
  const auto says = [&](const std::string& bytes, const std::string& part) {
    const std::string text = message(bytes);
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  const auto tensor = [](const std::string& dtype, const std::string& shape,
                         const std::string& offsets) {
    return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" +
           offsets + "}}";
  };
  says(std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8) + "{}", "length");
  says(file_of("[]"), "no JSON object");
  says(file_of("{"), "not valid JSON");
  says(file_of(tensor("F33", "[1]", "[0,4]"), "1234"), "unknown dtype 'F33'");
  says(file_of(tensor("F32", "[-1]", "[0,4]"), "1234"), "-1");
  says(file_of(tensor("F32", "[1]", "[0,8]"), "12345678"), "needs 4 bytes");
  says(file_of(tensor("F32", "[2]", "[0,8]"), "1234"), "cut short");
  says(file_of(tensor("F32", "[1]", "[4,8]"), "12345678"), "hole");
  says(file_of(tensor("F32", "[4611686018427387904,16]", "[0,4]"), "1234"), "overflow");
  says(file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                   "b":{"dtype":"F32","shape":[1],"data_offsets":[2,6]}})",
               "123456"),
       "overlap");
  says(file_of(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},
                   "a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
               "1234"),
       "appears twice");
  says(file_of(tensor("F32", "[1]", "[0,4]"), "1234"), "not a kdengine model");
}

TEST_F(ModelFileTest, AnotherVersionIsRefusedByName) {
  saved();
  Safetensors file = read_safetensors(folder_.path() / "model.bin");
  file.metadata["format_version"] = "7";
  write_safetensors(file, folder_.path() / "new.bin");
  EXPECT_THROW(load_model(folder_.path() / "new.bin"), Error);
  file.metadata["format_version"] = "1";
  file.tensors.erase("fc.bias");
  write_safetensors(file, folder_.path() / "new.bin");
  try {
    load_model(folder_.path() / "new.bin");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'fc.bias' is missing"), std::string::npos);
  }
}

TEST_F(ModelFileTest, ArchitecturesAreStrict) {
  write_file(folder_.path() / "m.json",
             R"({"input_size": [8, 8], "stem": {"kind": "cifar", "chanels": 8}, "stages": []})");
  try {
    build_model(folder_.path() / "m.json", 0, 0);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("'channels' is missing"), std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace kd
