#include "support/fake_runs.h"

#include <algorithm>
#include <cmath>

#include "core/file.h"
#include "core/json.h"
#include "kd/data.h"
#include "kd/random.h"

namespace kd::test {
namespace {

constexpr double kTeacherSkill = 4.2;

double normal(RandomSequence& random) {
  double sum = -6;
  for (int i = 0; i < 12; ++i) sum += static_cast<double>(random.below(1 << 24)) / (1 << 24);
  return sum;
}

// A round thing on a background, in colours of its class.
std::vector<std::byte> fake_picture(int label, uint64_t id) {
  RandomSequence random(9, Purpose::init, static_cast<uint32_t>(label), id);
  const int size = 32, x0 = 10 + static_cast<int>(random.below(12)),
            y0 = 10 + static_cast<int>(random.below(12)), r = 5 + static_cast<int>(random.below(6));
  Image image{size, size, 3, {}};
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      const bool inside = (x - x0) * (x - x0) + (y - y0) * (y - y0) < r * r;
      const int base[] = {label * 67 % 200, label * 131 % 200, label * 29 % 200};
      for (const int c : base) {
        const int value = (inside ? c : 255 - c - y * 3) + static_cast<int>(random.below(30));
        image.pixels.push_back(static_cast<uint8_t>(std::clamp(value, 0, 255)));
      }
    }
  }
  return encode_png(image);
}

// Logits that share the difficulty of the picture; neighbours in pairs are taken for each other.
struct Answers {
  double skill, sharpness;
  uint32_t who;
};
void fill(Tensor& logits, const std::vector<int>& labels, const Answers& model, uint64_t seed,
          uint32_t split) {
  const int64_t classes = logits.shape()[1];
  for (size_t i = 0; i < labels.size(); ++i) {
    RandomSequence shared(1, Purpose::init, split, i);
    // Every seed has the same teacher.
    RandomSequence own(model.who == 1 ? 2 : seed * 16 + model.who + 3, Purpose::init, split, i);
    for (int64_t k = 0; k < classes; ++k) {
      double z = 0.9 * normal(shared) + 0.8 * normal(own);
      if (k == labels[i]) z += model.skill - 0.1 * static_cast<double>(k % 4);
      if (k == (labels[i] ^ 1) || k == (labels[i] + 2) % classes) z += 0.9;
      logits.as<float>()[static_cast<int64_t>(i) * classes + k] =
          static_cast<float>(z * model.sharpness);
    }
  }
}

SplitLogits fake_split(const FakeRun& run, int64_t per_class, uint32_t split) {
  const auto classes = static_cast<int64_t>(run.class_names.size());
  SplitLogits s;
  for (int64_t i = 0; i < per_class * classes; ++i)
    s.labels.push_back(static_cast<int>(i % classes));
  const auto logits = [&](const Answers& model) {
    Tensor t = Tensor::host({DType::f32, {per_class * classes, classes}});
    fill(t, s.labels, model, run.seed, split);
    return t;
  };
  s.student = logits({run.skill, run.sharpness, 0});
  if (!run.teacher.empty()) s.teacher = logits({kTeacherSkill, 1.2, 1});
  return s;
}

double top1_of(const Scorecard& card) { return card.student.top1; }

void write_metrics(const FakeRun& run, double top1, const std::filesystem::path& folder) {
  std::string text;
  for (int64_t e = 1; e <= run.epochs; ++e) {
    RandomSequence random(run.seed + 5, Purpose::init, 0, static_cast<uint64_t>(e));
    const double t = static_cast<double>(e) / static_cast<double>(run.epochs);
    const double lr = 0.05 * (1 + std::cos(t * 3.14159265)), learnt = 1 - std::exp(-4 * t);
    const double ce = 2.3 * (1 - 0.75 * learnt) + 0.02 * normal(random);
    const double kl = 1.9 * (1 - 0.8 * learnt) + 0.02 * normal(random);
    Json json = {{"epoch", e},
                 {"lr", lr},
                 {"train_loss", run.teacher.empty() ? ce : 0.1 * ce + 0.9 * kl},
                 {"train_top1", 10 + (top1 - 4) * learnt + 0.5 * normal(random)},
                 {"train_ce", ce}};
    if (!run.teacher.empty()) json["train_kl"] = kl;
    json["val_loss"] = ce * 0.95 + 0.05 * normal(random);
    json["val_top1"] = e == run.epochs ? top1 : 8 + (top1 - 8) * learnt + 1.2 * normal(random);
    json["images_per_second"] = 2810.0;
    text += json.dump() + "\n";
  }
  write_file(folder / "metrics.jsonl", text);
}

}  // namespace

ScoreInputs fake_logits(const FakeRun& run) {
  ScoreInputs in;
  in.class_names = run.class_names;
  in.test = fake_split(run, run.per_class, 0);
  if (run.dev) in.dev = fake_split(run, run.per_class / 2, 1);
  for (size_t i = 0; i < in.test.labels.size(); ++i)
    in.sample_names.push_back("test_batch.bin[" + std::to_string(i) + "]");
  const auto labels = in.test.labels;
  in.thumbnail = [labels](int64_t id) {
    return fake_picture(labels[static_cast<size_t>(id)], static_cast<uint64_t>(id));
  };
  return in;
}

void write_fake_run(const FakeRun& run, const std::filesystem::path& folder) {
  std::filesystem::create_directories(folder);
  Scorecard card = score(fake_logits(run));
  card.student_cost = {272474, 81.6e6, 1.84, 11240, 41.2 * 1048576};
  if (card.teacher) card.teacher_cost = {855770, 251.5e6, 4.71, 3910, 77.9 * 1048576};
  card.student_train_top1 = card.student.top1 + 5;
  if (card.teacher) card.teacher_train_top1 = 99.4;
  const double top1 = top1_of(card);
  const Json json = {{"config",
                      {{"teacher", run.teacher},
                       {"student", "models/cifar_resnet20.json"},
                       {"data", "cifar10"},
                       {"output", folder.string()},
                       {"epochs", run.epochs},
                       {"loss", run.loss},
                       {"seed", run.seed}}},
                     {"versions", {{"kdengine", "0.1.0"}, {"engine", "cpu: oneDNN 3.1"}}},
                     {"hashes", {{"data", "5d41402abc4b2a76b9719d911017c592"}}},
                     {"parameters", 272474},
                     {"teacher_top1", card.teacher ? card.teacher->top1 : -1},
                     {"best_top1", top1},
                     {"last_top1", top1},
                     {"images_per_second", 2810.0},
                     {"finished", true}};
  write_file(folder / "run.json", json.dump(2) + "\n");
  write_metrics(run, top1, folder);
  if (run.scorecard) save_scorecard(card, folder);
  if (run.baseline_skill <= 0) return;
  FakeRun alone = run;
  alone.skill = run.baseline_skill;
  alone.baseline_skill = 0;
  alone.teacher = "";
  alone.loss = "";
  write_fake_run(alone, folder / "baseline");
}

}  // namespace kd::test
