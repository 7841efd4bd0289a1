// Which pictures are trained on, which choose the model: shares of classes, further folders,
// pictures without labels.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "kd/error.h"
#include "support/pictures.h"
#include "support/support.h"

namespace kd {
namespace {

namespace fs = std::filesystem;
using test::write_pictures;

std::vector<std::string> names(const Dataset& data) {
  std::vector<std::string> all;
  for (int64_t i = 0; i < data.size(); ++i) all.push_back(data.name(i));
  return all;
}

std::map<int, int> counts(const Dataset& data) {
  std::map<int, int> of;
  for (int64_t i = 0; i < data.size(); ++i) ++of[data.label(i)];
  return of;
}

class SplitsTest : public testing::Test {
 protected:
  fs::path at(const std::string& name) const { return folder_.path() / name; }
  void write_classes() const {
    write_pictures(at("data/train/cat"), 20);
    write_pictures(at("data/train/dog"), 10);
    write_pictures(at("data/val/cat"), 2);
    write_pictures(at("data/val/dog"), 2);
  }
  DataSplits open(const DataOptions& options) const { return open_data(at("data"), options); }
  std::string message(const DataOptions& options) const {
    try {
      open(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  }
  test::TemporaryFolder folder_;
};

TEST_F(SplitsTest, ADevelopmentSplitIsAShareOfEachClassOfTheTrainingPictures) {
  write_classes();
  EXPECT_EQ(open({}).dev, nullptr);
  DataOptions options;
  options.dev_split = 0.2;
  const DataSplits a = open(options), b = open(options);
  EXPECT_EQ(counts(*a.dev), (std::map<int, int>{{0, 4}, {1, 2}}));
  EXPECT_EQ(counts(*a.train), (std::map<int, int>{{0, 16}, {1, 8}}));
  EXPECT_EQ(counts(*a.val), (std::map<int, int>{{0, 2}, {1, 2}}));
  EXPECT_EQ(names(*a.dev), names(*b.dev));
  std::set<std::string> all;
  for (const Dataset* part : {a.train.get(), a.dev.get(), a.val.get()}) {
    for (const std::string& name : names(*part)) EXPECT_TRUE(all.insert(name).second) << name;
  }
  EXPECT_EQ(all.size(), 34u);
  EXPECT_EQ(a.dev->class_names(), a.train->class_names());
  EXPECT_EQ(a.dev->image(5).pixels.size(), 75u);
  options.seed = 1;
  EXPECT_NE(names(*open(options).dev), names(*a.dev));
  EXPECT_NE(open({}).fingerprint, a.fingerprint);
}

TEST_F(SplitsTest, PerClassIsCountedBeforeTheDevelopmentSplit) {
  write_classes();
  DataOptions options;
  options.per_class = 4;
  options.dev_split = 0.25;
  const DataSplits splits = open(options);
  EXPECT_EQ(splits.dev->size(), 2);
  EXPECT_EQ(splits.train->size(), 6);
  options.dev_split = 0.01;
  EXPECT_NE(message(options).find("8 training and 0 development"), std::string::npos);
}

TEST_F(SplitsTest, FurtherFoldersFollowTheTrainingPictures) {
  write_classes();
  write_pictures(at("loose/deep/deeper"), 3);
  write_pictures(at("loose"), 2);
  write_pictures(at("more/dog"), 2);
  write_pictures(at("more"), 1);
  DataOptions options;
  options.dev_split = 0.5;
  const DataSplits before = open(options);
  options.extra = {at("loose"), at("more")};
  const DataSplits splits = open(options);
  ASSERT_EQ(splits.train->size(), 15 + 5 + 3);
  EXPECT_EQ(names(*splits.dev), names(*before.dev)) << "of the labelled pictures only";
  EXPECT_EQ(counts(*splits.train), (std::map<int, int>{{-1, 6}, {0, 10}, {1, 7}}));
  EXPECT_EQ(splits.train->name(15), at("loose/100.png").string());
  EXPECT_EQ(splits.train->name(17), at("loose/deep/deeper/100.png").string());
  EXPECT_EQ(splits.train->label(20), -1) << "beside the class folders";
  EXPECT_EQ(splits.train->label(22), 1);
  EXPECT_EQ(splits.train->image(22).pixels.size(), 75u);
  EXPECT_NE(splits.fingerprint, before.fingerprint);
}

TEST_F(SplitsTest, FurtherFoldersThatLieAreNamed) {
  write_classes();
  write_pictures(at("more/dog"), 1);
  write_pictures(at("more/emu"), 1);
  DataOptions options;
  options.extra = {at("more")};
  EXPECT_NE(message(options).find("'dog' is a class of the data, 'emu' is not"), std::string::npos);
  fs::create_directories(at("nothing/deep"));
  options.extra = {at("nothing")};
  EXPECT_NE(message(options).find("holds no pictures"), std::string::npos);
  options.extra = {at("missing")};
  EXPECT_NE(message(options).find("no such folder"), std::string::npos);
}

TEST_F(SplitsTest, PicturesAloneHaveNoLabels) {
  write_pictures(at("data"), 8);
  DataSplits splits = open({});
  EXPECT_EQ(splits.format, "pictures");
  EXPECT_EQ(counts(*splits.train), (std::map<int, int>{{-1, 8}}));
  EXPECT_EQ(splits.val->size(), 0);
  EXPECT_TRUE(splits.train->class_names().empty());
  DataOptions options;
  options.val_split = 0.25;
  splits = open(options);
  EXPECT_EQ(splits.train->size(), 6);
  EXPECT_EQ(counts(*splits.val), (std::map<int, int>{{-1, 2}}));
}

}  // namespace
}  // namespace kd
