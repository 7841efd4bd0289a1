// Which pictures of a batch are mixed, and what teacher and student then see.
#include <gtest/gtest.h>

#include <set>

#include "distill/image_feed.h"
#include "kd/error.h"
#include "support/pictures.h"

namespace kd {
namespace {

constexpr int64_t kBatch = 6;
constexpr int kHeight = 8, kWidth = 10;

Batch drawn(const Augment& a, int64_t number, uint64_t seed = 1, int64_t epoch = 0) {
  Batch batch = make_batch(test::crop(kHeight, kWidth), kBatch);
  draw_mixing(a, seed, epoch, number, batch);
  return batch;
}

std::vector<float> numbers(const Batch& batch) {
  const auto *partners = batch.partners.as<int32_t>(), *boxes = batch.boxes.as<int32_t>();
  std::vector<float> all(batch.shares.as<float>(), batch.shares.as<float>() + kBatch);
  for (int64_t i = 0; i < kBatch; ++i) all.push_back(static_cast<float>(partners[i]));
  for (int64_t i = 0; i < 4 * kBatch; ++i) all.push_back(static_cast<float>(boxes[i]));
  return all;
}

TEST(MixingTest, OffHasNoTensors) {
  const Batch batch = drawn({}, 0);
  EXPECT_FALSE(batch.partners || batch.shares || batch.boxes);
}

TEST(MixingTest, IsAPureFunctionOfTheKey) {
  Augment a;
  a.mixup = 0.4;
  a.cutmix = 1;
  EXPECT_EQ(numbers(drawn(a, 3)), numbers(drawn(a, 3)));
  EXPECT_NE(numbers(drawn(a, 3)), numbers(drawn(a, 4)));
  EXPECT_NE(numbers(drawn(a, 3)), numbers(drawn(a, 3, 2)));
  EXPECT_NE(numbers(drawn(a, 3)), numbers(drawn(a, 3, 1, 1)));
}

TEST(MixingTest, SharesAreTheBoxesAreasAndPartnersAPermutation) {
  Augment a;
  a.cutmix = 1;
  for (int64_t number = 0; number < 200; ++number) {
    const Batch batch = drawn(a, number);
    const auto* box = batch.boxes.as<int32_t>();
    ASSERT_GE(std::min(box[0], box[1]), 0);
    ASSERT_LE(box[0] + box[2], kHeight);
    ASSERT_LE(box[1] + box[3], kWidth);
    ASSERT_EQ(box[2] == 0, box[3] == 0);
    EXPECT_FLOAT_EQ(batch.shares.as<float>()[4],
                    1 - static_cast<float>(box[2] * box[3]) / (kHeight * kWidth));
    const auto* partners = batch.partners.as<int32_t>();
    EXPECT_EQ(*std::max_element(partners, partners + kBatch), kBatch - 1);
    EXPECT_EQ(std::set<int>(partners, partners + kBatch).size(), static_cast<size_t>(kBatch));
  }
}

TEST(MixingTest, MixesAsOftenAsAskedAndSwitches) {
  Augment a;
  a.mixup = a.cutmix = 1;
  a.mix_probability = 0.5;
  a.switch_probability = 0.25;
  int cut = 0, blended = 0;
  double shares = 0;
  for (int64_t number = 0; number < 2000; ++number) {
    const Batch batch = drawn(a, number);
    const float share = batch.shares.as<float>()[0];
    if (batch.boxes.as<int32_t>()[2] > 0) {
      ++cut;
    } else if (share < 1) {
      ++blended;
      shares += share;
    }
  }
  EXPECT_NEAR(blended, 750, 90);
  EXPECT_NEAR(cut, 250, 70);  // a few boxes are too small to paste
  EXPECT_NEAR(shares / blended, 0.5, 0.06) << "Beta(1, 1)";
}

class FeedTest : public testing::Test {
 protected:
  FeedTest() {
    p_.mean = {0.4, 0.5, 0.6};
    p_.std = {0.2, 0.25, 0.3};
    for (ImageFeed::Target& target : targets_) {
      target = {Tensor::host({DType::f32, {kBatch, 8, 10, 3}}), p_};
    }
    for (int64_t i = 0; i < pixels(); ++i) {
      batch_.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(i * 37 + i / 240 * 11);
    }
    for (int32_t i = 0; i < kBatch; ++i) batch_.labels.as<int32_t>()[i] = 10 + i;
  }
  int64_t pixels() const { return batch_.pixels.elements(); }
  // What each target holds once the batch went through a feed.
  std::vector<std::vector<float>> fed(Mixing mixing) {
    ImageFeed feed(*backend_, batch_.pixels.shape(), targets_, mixing);
    const auto stream = backend_->stream(Priority::normal);
    feed.upload(batch_, *stream);
    std::vector<std::vector<float>> made;
    for (size_t i = 0; i < targets_.size(); ++i) {
      const Tensor& images = targets_[i].images;
      feed.place(i, *stream);
      backend_->synchronize(*stream);
      made.emplace_back(images.as<float>(), images.as<float>() + images.elements());
    }
    partner_labels_ = feed.partner_labels();
    shares_ = feed.shares();
    return made;
  }
  Preprocess p_ = test::crop(kHeight, kWidth);
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 1});
  Batch batch_ = make_batch(p_, kBatch);
  std::vector<ImageFeed::Target> targets_{2};
  Tensor partner_labels_, shares_;
};

TEST_F(FeedTest, TeacherAndStudentSeeTheSameMixedPictures) {
  const std::vector<float> plain = fed(Mixing::off)[0];
  EXPECT_FALSE(partner_labels_ || shares_);
  mix_nothing(batch_);
  for (int32_t i = 0; i < kBatch; ++i) {
    batch_.partners.as<int32_t>()[i] = (i + 2) % kBatch;
    batch_.shares.as<float>()[i] = 0.75f;
  }
  const std::vector<int32_t> box{2, 3, 4, 5};
  std::ranges::copy(box, batch_.boxes.as<int32_t>());  // of picture 0
  const auto made = fed(Mixing::on);
  EXPECT_EQ(made[0], made[1]);
  const auto own = [&](int64_t n, int64_t y, int64_t x) {
    return static_cast<size_t>(((n * kHeight + y) * kWidth + x) * 3);
  };
  EXPECT_EQ(made[0][own(0, 2, 3)], plain[own(2, 2, 3)]) << "inside the box";
  EXPECT_EQ(made[0][own(0, 5, 7)], plain[own(2, 5, 7)]);
  EXPECT_EQ(made[0][own(0, 6, 7)], plain[own(0, 6, 7)]) << "below it";
  EXPECT_EQ(made[0][own(0, 2, 2)], plain[own(0, 2, 2)]) << "left of it";
  EXPECT_NEAR(made[0][own(5, 7, 9)], 0.75f * plain[own(5, 7, 9)] + 0.25f * plain[own(1, 7, 9)],
              1e-5);
  EXPECT_EQ(partner_labels_.as<int32_t>()[0], 12);
  EXPECT_EQ(partner_labels_.as<int32_t>()[5], 11);
  EXPECT_EQ(shares_.as<float>()[3], 0.75f);
}

TEST_F(FeedTest, ATeacherOfTwiceTheSizeSeesTheStudentsPicturesResized) {
  Preprocess teacher = test::crop(2 * kHeight, 2 * kWidth);
  teacher.mean = {0.1, 0.2, 0.3};
  targets_.push_back({Tensor::host({DType::f32, {kBatch, 16, 20, 3}}), teacher});
  targets_[1].preprocess = teacher;  // the same colours, in the student's size
  mix_nothing(batch_);
  for (int32_t i = 0; i < kBatch; ++i) {
    batch_.partners.as<int32_t>()[i] = (i + 1) % kBatch;
    batch_.shares.as<float>()[i] = 0.25f;
    batch_.placements.as<int32_t>()[i * 3] = 1;  // a crop that reaches over the lower edge
  }
  const auto made = fed(Mixing::on);
  const auto small = [&](int64_t n, int64_t y, int64_t x) {
    return made[1][static_cast<size_t>(((n * kHeight + y) * kWidth + x) * 3 + 1)];
  };
  const auto large = [&](int64_t n, int64_t y, int64_t x) {
    return made[2][static_cast<size_t>(((n * 2 * kHeight + y) * 2 * kWidth + x) * 3 + 1)];
  };
  EXPECT_NE(made[0], made[1]) << "another mean";
  for (int64_t n = 0; n < kBatch; ++n) {
    EXPECT_NEAR(large(n, 0, 0), small(n, 0, 0), 1e-5) << "a corner";
    EXPECT_NEAR(large(n, 15, 19), small(n, 7, 9), 1e-5) << "the opposite one";
    const float above = 0.75f * small(n, 3, 4) + 0.25f * small(n, 3, 5);
    const float below = 0.75f * small(n, 4, 4) + 0.25f * small(n, 4, 5);
    EXPECT_NEAR(large(n, 7, 9), 0.75f * above + 0.25f * below, 1e-5);
    EXPECT_NEAR(large(n, 8, 9), 0.25f * above + 0.75f * below, 1e-5);
  }
}

TEST_F(FeedTest, ABatchWithoutMixingIsLeftAlone) {
  EXPECT_EQ(fed(Mixing::on)[0], fed(Mixing::off)[0]);
  mix_nothing(batch_);
  EXPECT_THROW(fed(Mixing::off), Error) << "labels would not fit what is seen";
}

}  // namespace
}  // namespace kd
