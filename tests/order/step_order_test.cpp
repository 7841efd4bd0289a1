// The order of a step: every conflicting pair of accesses is ordered by streams and events,
// whatever the mode; teacher and student overlap; nothing is allocated; the numbers are those of
// the serial step in every order that the events allow.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "distill/training_step.h"
#include "kd/random.h"
#include "support/recorder.h"

namespace kd::test {
namespace {

constexpr int64_t kBatch = 4, kClasses = 5, kPopulation = 16;

Model model(uint64_t seed) {
  Model made = build_model(std::filesystem::path(KD_SOURCE_DIR) / "tests/unit/passes_network.json",
                           kClasses, seed);
  made.preprocess.mean = {0.5, 0.5, 0.5};
  made.preprocess.std = {0.25, 0.25, 0.25};
  return made;
}

Batch batch(uint32_t number) {
  Batch made = make_batch(Preprocess{.crop_height = 12, .crop_width = 12}, kBatch);
  for (int64_t i = 0; i < kBatch; ++i) {
    made.ids[static_cast<size_t>(i)] = (number + 3 * i) % kPopulation;
  }
  RandomSequence random(7, Purpose::init, number, 1);
  for (int64_t i = 0; i < made.pixels.elements(); ++i) {
    made.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
  }
  for (int64_t i = 0; i < kBatch; ++i) {
    made.labels.as<int32_t>()[i] = static_cast<int32_t>(random.below(kClasses));
    made.placements.as<int32_t>()[3 * i] = static_cast<int32_t>(random.below(3)) - 1;
    made.placements.as<int32_t>()[3 * i + 1] = 0;
    made.placements.as<int32_t>()[3 * i + 2] = static_cast<int32_t>(random.below(2));
  }
  return made;
}

// What a run of some steps leaves: every loss, and the weights.
struct Trained {
  std::vector<double> losses;
  std::vector<float> weights;
};

const std::vector<TermSpec> kTaught{{"ce", 0.5}, {"kl", 0.5}}, kAlone{{"ce", 1}};
// Reads which pictures these are, and a memory of them that each step changes.
const std::vector<TermSpec> kContrasted{{"ce", 0.5},
                                        {"crd", 0.5, {{"negatives", 20}, {"embedding", 8}}}};

class StepOrder : public testing::Test {
 protected:
  void make(const std::string& mode, uint64_t seed = 1,
            const std::vector<TermSpec>& terms = kTaught) {
    const bool teacher = needs_teacher(terms);
    recorder_ = make_recorder(make_backend(Device::cpu, {.threads = 1}), seed);
    RunConfig config;
    config.batch_size = kBatch;
    config.pipeline = mode;
    config.terms = terms;
    if (teacher) config.teacher = {"given"};
    const std::vector<float> rates{0.1f, 0.05f, 0.02f};
    StepSetup setup = plain_setup(student_, teacher ? &teacher_ : nullptr, config, rates);
    setup.population = kPopulation;
    for (int32_t i = 0; i < kPopulation; ++i) setup.all_labels.push_back(i % 3);
    if (kept_) {
      setup.kept_logits = [](const Batch& of, size_t, float* to) {
        for (int64_t i = 0; i < kBatch * kClasses; ++i) {
          to[i] = static_cast<float>(of.pixels.as<uint8_t>()[7 * i]) / 64;
        }
      };
    }
    step_ = std::make_unique<TrainingStep>(setup, recorder_->backend());
    begin_ = recorder_->items().size();
  }
  // Two stretches of steps, as two epochs are, each flushed at its end.
  Trained train(int64_t first = 9, int64_t second = 8) {
    Trained trained;
    const auto take = [&] {
      while (const auto result = step_->result()) trained.losses.push_back(result->loss);
    };
    int64_t number = 0;
    for (const int64_t steps : {first, second}) {
      step_->start(number);
      for (int64_t i = 0; i < steps; ++i) {
        step_->feed(batch(static_cast<uint32_t>(number++)));
        take();
      }
      step_->flush();
      take();
    }
    end_ = recorder_->items().size();  // what follows is ordered by the host
    const Tensor weights = step_->variables().fetch().at("conv1.weight");
    trained.weights.assign(weights.as<float>(), weights.as<float>() + weights.elements());
    return trained;
  }
  // Pairs of items that touch the same bytes, one of them writing, in no order.
  std::vector<std::string> unordered() const {
    const std::vector<Item>& items = recorder_->items();
    const Order order(items);
    std::vector<std::string> found;
    for (size_t b = begin_; b < end_; ++b) {
      for (size_t a = begin_; a < b; ++a) {
        if (!conflict(items[a], items[b])) continue;
        if (order.before(static_cast<int>(a), static_cast<int>(b))) continue;
        found.push_back(items[a].what + " | " + items[b].what);
      }
    }
    return found;
  }
  static bool conflict(const Item& a, const Item& b) {
    return std::ranges::any_of(a.accesses, [&](const Access& x) {
      return std::ranges::any_of(b.accesses, [&](const Access& y) {
        return (x.writes || y.writes) && x.begin < y.begin + y.bytes && y.begin < x.begin + x.bytes;
      });
    });
  }
  // Places of the items of one kind, in the order of enqueuing.
  std::vector<int> places(const std::string& start) const {
    std::vector<int> found;
    const std::vector<Item>& items = recorder_->items();
    for (size_t i = begin_; i < items.size(); ++i) {
      if (items[i].what.starts_with(start)) found.push_back(static_cast<int>(i));
    }
    return found;
  }

  const Model student_ = model(1), teacher_ = model(2);
  std::unique_ptr<Recorder> recorder_;
  std::unique_ptr<TrainingStep> step_;
  size_t begin_ = 0, end_ = 0;
  bool kept_ = false;  // the teacher's logits come from the host
};

TEST_F(StepOrder, EveryConflictIsOrdered) {
  for (const char* mode : {"serial", "streams", "graph"}) {
    for (const auto& terms : {kTaught, kAlone, kContrasted}) {
      make(mode, 1, terms);
      train();
      EXPECT_EQ(unordered(), std::vector<std::string>{}) << mode << ", " << terms.back().name;
      EXPECT_EQ(places("distill_loss").size(), 17u) << mode;
    }
  }
}

// Each event of the pipelined step is needed, and this test would notice if one were missing.
TEST_F(StepOrder, AMissingWaitIsNoticed) {
  make("streams");
  train();
  const int64_t waits = recorder_->waits();
  EXPECT_GT(waits, 30);
  for (int64_t dropped = 0; dropped < waits; dropped += 5) {
    make("streams");
    recorder_->drop_wait(dropped);
    train();
    EXPECT_FALSE(unordered().empty()) << "wait " << dropped;
  }
}

TEST_F(StepOrder, EveryModeInEveryOrderGivesTheSameBits) {
  for (const auto& terms : {kTaught, kContrasted}) {
    make("serial", 1, terms);
    const Trained want = train();
    EXPECT_EQ(want.losses.size(), 17u);
    for (const char* mode : {"serial", "streams", "graph"}) {
      for (const uint64_t seed : {2, 3, 4, 5}) {
        make(mode, seed, terms);
        const Trained got = train();
        EXPECT_EQ(got.losses, want.losses) << mode << ", order " << seed;
        EXPECT_EQ(got.weights, want.weights) << mode << ", order " << seed;
      }
    }
  }
}

TEST_F(StepOrder, KeptLogitsAreOrderedAndNoTeacherRuns) {
  kept_ = true;
  make("serial");
  const Trained want = train();
  for (const char* mode : {"serial", "streams", "graph"}) {
    for (const uint64_t seed : {2, 3, 4}) {
      make(mode, seed);
      const Trained got = train();
      EXPECT_EQ(got.losses, want.losses) << mode << ", order " << seed;
      EXPECT_EQ(got.weights, want.weights) << mode << ", order " << seed;
      EXPECT_EQ(unordered(), std::vector<std::string>{}) << mode;
      EXPECT_TRUE(places("conv2d_bias_act").empty()) << "of a teacher";
    }
  }
}

TEST_F(StepOrder, NothingIsAllocatedAndTheHostWaitsForResultsOnly) {
  for (const char* mode : {"streams", "graph"}) {
    make(mode);
    step_->start(0);
    const int64_t allocations = recorder_->allocations();
    for (uint32_t i = 0; i < 8; ++i) step_->feed(batch(i));
    const int64_t waits = recorder_->host_waits();
    for (uint32_t i = 8; i < 18; ++i) step_->feed(batch(i));
    EXPECT_EQ(recorder_->allocations(), allocations) << mode;
    // For the results of an older step, and (streams) until an older batch has been copied.
    EXPECT_LE(recorder_->host_waits() - waits, 20) << mode;
  }
}

// The teacher of batch i + 1 waits for nothing that the student does with batch i.
TEST_F(StepOrder, TheTeacherRunsBesideTheStudent) {
  for (const char* mode : {"streams", "graph"}) {
    make(mode);
    train(12, 0);
    const std::vector<int> losses = places("distill_loss"), updates = places("optimizer_update");
    const std::vector<int> taught = places("conv2d_bias_act");
    ASSERT_EQ(losses.size(), 12u);
    ASSERT_EQ(taught.size() % losses.size(), 0u);
    const size_t each = taught.size() / losses.size();
    const Order order(recorder_->items());
    for (size_t i = 0; i + 1 < losses.size(); ++i) {
      const int last_of_teacher = taught[(i + 1) * each - 1];
      const int next_of_teacher = taught[(i + 1) * each];
      EXPECT_TRUE(order.before(last_of_teacher, losses[i])) << mode << " " << i;
      EXPECT_FALSE(order.before(losses[i], next_of_teacher)) << mode << " " << i;
      EXPECT_FALSE(order.before(updates[i], taught[(i + 2) * each - 1])) << mode << " " << i;
    }
  }
}

}  // namespace
}  // namespace kd::test
