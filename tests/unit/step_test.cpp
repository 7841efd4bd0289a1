// The training step: allocates nothing, reorders no activations, leaves its teacher in inference
// form, lets the teacher matter.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <new>

#include "distill/training_step.h"
#include "kd/error.h"
#include "kd/random.h"
#include "ops/table.h"

// Counts what this program allocates while `counting`; sanitizers bring their own operator new.
#if defined(__SANITIZE_ADDRESS__)
#define KD_COUNTS_ALLOCATIONS 0
#else
#define KD_COUNTS_ALLOCATIONS 1
#endif

namespace {
std::atomic<bool> counting = false;
std::atomic<int64_t> allocations = 0, of_onednn = 0, largest_of_onednn = 0;
}  // namespace

#if KD_COUNTS_ALLOCATIONS
namespace {
bool is_onednn(void* caller) {
  Dl_info info{};
  return dladdr(caller, &info) != 0 && std::strstr(info.dli_fname, "dnnl") != nullptr;
}
void* counted(std::size_t bytes, std::size_t alignment, void* caller) {
  if (counting && is_onednn(caller)) {
    ++of_onednn;
    largest_of_onednn = std::max(largest_of_onednn.load(), static_cast<int64_t>(bytes));
  } else if (counting) {
    ++allocations;
  }
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes == 0 ? 1 : bytes) != 0) throw std::bad_alloc();
  return memory;
}
}  // namespace
void* operator new(std::size_t bytes) {
  return counted(bytes, alignof(std::max_align_t), __builtin_return_address(0));
}
void* operator new(std::size_t bytes, std::align_val_t alignment) {
  return counted(bytes, static_cast<std::size_t>(alignment), __builtin_return_address(0));
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
#endif

namespace kd {
namespace {

namespace fs = std::filesystem;

class StepTest : public testing::Test {
 protected:
  static Model model(uint64_t seed) {
    Model made =
        build_model(fs::path(KD_SOURCE_DIR) / "tests/unit/passes_network.json", kClasses, seed);
    made.preprocess.mean = {0.5, 0.5, 0.5};
    made.preprocess.std = {0.25, 0.25, 0.25};
    for (const auto& [name, tensor] : made.tensors) {  // statistics no batch of noise has
      if (!name.ends_with("running_mean")) continue;
      for (int64_t i = 0; i < tensor.elements(); ++i) tensor.as<float>()[i] = 0.3f;
    }
    return made;
  }
  static Batch batch(uint32_t salt) {
    Batch made = make_batch(Preprocess{.crop_height = 12, .crop_width = 12}, kBatch);
    RandomSequence random(3, Purpose::init, salt, 9);
    for (int64_t i = 0; i < made.pixels.elements(); ++i) {
      made.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
    }
    for (int64_t i = 0; i < kBatch; ++i) {
      made.labels.as<int32_t>()[i] = static_cast<int32_t>(random.below(kClasses));
    }
    return made;
  }
  static RunConfig config(const std::string& loss) {
    RunConfig c;
    c.batch_size = kBatch;
    c.teacher = {"given"};
    c.loss = loss;
    return c;
  }
  static std::vector<float> copy_of(const Tensor& t) {
    return {t.as<float>(), t.as<float>() + t.elements()};
  }
  static constexpr int64_t kBatch = 6, kClasses = 7;
  std::unique_ptr<Backend> backend_ = make_backend(Device::cpu, {.threads = 2});
  const Model student_ = model(1), teacher_ = model(2);
};

TEST_F(StepTest, AllocatesNothing) {
  if (!KD_COUNTS_ALLOCATIONS) GTEST_SKIP() << "a sanitizer counts instead of this test";
  TrainingStep step(
      plain_setup(student_, &teacher_, config("ce=0.1,kl=0.9,mse=0.1,lse_margin=0.1"), {0.1f}),
      *backend_);
  const Batch one = batch(1), two = batch(2);
  step.run(one);  // packs the teacher's weights
  allocations = 0;
  counting = true;
  step.run(two);
  step.run(one);
  counting = false;
  EXPECT_EQ(allocations, 0);
  // oneDNN 2023.2 keeps a little book for each primitive it runs (a map of its arguments); nothing
  // of the size of data.
  EXPECT_LE(largest_of_onednn, 1024);
  RecordProperty("allocations_of_onednn", static_cast<int>(of_onednn));
  counting = true;
  delete new int(1);
  counting = false;
  EXPECT_EQ(allocations, 1) << "the counter counts";
}

// Activations stay where they are; a student's weights are packed for each use (forward, dgrad) and
// its weight gradient unpacked; a teacher's are packed once.
TEST_F(StepTest, ReordersOnlyTheStudentsWeights) {
  TrainingStep step(plain_setup(student_, &teacher_, config("kl=1"), {0.1f}), *backend_);
  EXPECT_EQ(step.teachers()->predictors()[0].program().reorders_per_run(), 0);
  int64_t convolutions = 0;
  for (const PlannedNode& node : step.program().plan()) {
    if (node.op == "conv2d") ++convolutions;
    const int most = node.op.starts_with("conv2d") ? 1 : 0;
    EXPECT_LE(node.reorders, most) << node.op << " " << node.name;
  }
  EXPECT_GT(convolutions, 5);
  EXPECT_LE(step.reorders(), 3 * convolutions);
}

// A teacher in training mode would normalise by the batch: its answer about one picture would
// depend on the others.
TEST_F(StepTest, TheTeacherStaysInInferenceForm) {
  TrainingStep step(plain_setup(student_, &teacher_, config("kl=1"), {0.1f}), *backend_);
  Batch one = batch(1), two = batch(2);
  const int64_t each = one.pixels.elements() / kBatch;
  std::copy_n(one.pixels.as<uint8_t>(), each,
              two.pixels.as<uint8_t>());  // the first picture is shared
  step.run(one);
  const std::vector<float> among_one = copy_of(step.teachers()->logits());
  step.run(two);
  const std::vector<float> among_two = copy_of(step.teachers()->logits());
  for (size_t k = 0; k < kClasses; ++k) EXPECT_EQ(among_one[k], among_two[k]) << k;
  EXPECT_NE(among_one, among_two);
  step.run(one);  // and steps leave no trace in it
  EXPECT_EQ(copy_of(step.teachers()->logits()), among_one);
}

TEST_F(StepTest, EveryTermOfTheTeacherMatters) {
  const Batch one = batch(1);
  const Model other = model(3);
  for (const char* loss : {"kl=1", "mse=1", "lse_margin=1", "ce=0.5,kl=0.5"}) {
    TrainingStep a(plain_setup(student_, &teacher_, config(loss), {0.1f}), *backend_);
    TrainingStep b(plain_setup(student_, &other, config(loss), {0.1f}), *backend_);
    TrainingStep again(plain_setup(student_, &teacher_, config(loss), {0.1f}), *backend_);
    const double first = a.run(one).loss;
    EXPECT_EQ(again.run(one).loss, first) << loss;
    EXPECT_NE(b.run(one).loss, first) << loss;
    EXPECT_EQ(copy_of(a.variables().parameters()), copy_of(again.variables().parameters())) << loss;
    EXPECT_NE(copy_of(a.variables().parameters()), copy_of(b.variables().parameters())) << loss;
  }
}

TEST_F(StepTest, ATeacherThatNoTermUsesIsRefused) {
  EXPECT_THROW(TrainingStep(plain_setup(student_, nullptr, config("kl=1"), {0.1f}), *backend_),
               Error);
}

// Terms that remember pictures are told which ones a batch holds.
TEST_F(StepTest, AMemoryChangesWhereTheBatchsPicturesAre) {
  RunConfig stage = config("");
  stage.terms = {{"crd", 1, {{"negatives", 9}, {"embedding", 4}}}};
  StepSetup setup = plain_setup(student_, &teacher_, stage, {0.1f});
  setup.population = 12;
  setup.all_labels = {0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2};
  TrainingStep step(setup, *backend_);
  Batch one = batch(1);
  one.ids = {3, 5, 11, 0, 8, 7};
  const auto bank = [&] { return copy_of(step.variables().fetch().at("term.crd.student_bank")); };
  const std::vector<float> before = bank();
  step.run(one);
  const std::vector<float> after = bank();
  for (int64_t row = 0; row < 12; ++row) {
    const auto at = static_cast<std::ptrdiff_t>(4 * row);
    const bool same = std::equal(before.begin() + at, before.begin() + at + 4, after.begin() + at);
    EXPECT_EQ(same, std::ranges::find(one.ids, row) == one.ids.end()) << row;
  }
}

TEST_F(StepTest, LabelsThatDoNotFitTheTrainingPicturesAreRefused) {
  RunConfig stage = config("crd=1");
  StepSetup setup = plain_setup(student_, &teacher_, stage, {0.1f});
  setup.population = 12;
  setup.all_labels = {0, 1, 2};
  EXPECT_THROW(TrainingStep(setup, *backend_), Error);
}

TEST_F(StepTest, LearnsWhatItIsShown) {
  TrainingStep step(plain_setup(student_, &teacher_, config("ce=0.5,kl=0.5"), {0.02f}), *backend_);
  const Batch one = batch(1);
  const double first = step.run(one).loss;
  double last = first;
  for (int64_t i = 1; i < 30; ++i) last = step.run(one).loss;
  EXPECT_LT(last, 0.5 * first);
}

}  // namespace
}  // namespace kd
