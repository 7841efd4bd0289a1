#include "distill/scorecards.h"

#include <algorithm>
#include <chrono>

#include "core/peak_memory.h"
#include "distill/evaluate.h"
#include "distill/precision.h"
#include "kd/error.h"

namespace kd {
namespace {

constexpr int64_t kTrainingPictures = 2000;  // that training accuracy is measured on, at most
constexpr int kThumbnail = 96;               // most pixels a side

// A model at work, and what it said to a split.
class Measured {
 public:
  Measured(const Model& model, DType dtype, const Setup& setup)
      : model_(model),
        setup_(setup),
        predictor_(model, *setup.backend, setup.val.batch, {dtype, {}, Mode::inference}),
        one_(model, *setup.backend, 1, {dtype, {}, Mode::inference}) {}

  // f32 (N, K) of all pictures, in order.
  Tensor logits(const std::shared_ptr<const Dataset>& data, std::vector<int>* labels,
                std::vector<int64_t>* ids) {
    Loader loader(data, setup_.val);
    const int64_t classes = model_.classes();
    Tensor all = Tensor::host({DType::f32, {data->size(), classes}});
    int64_t at = 0;
    const Evaluation e =
        evaluate(predictor_, model_.preprocess, *setup_.backend, loader,
                 [&](const Batch& batch, const float* rows) {
                   std::copy_n(rows, batch.count * classes, all.as<float>() + at * classes);
                   for (int64_t i = 0; i < batch.count; ++i) {
                     if (labels) labels->push_back(batch.labels.as<int32_t>()[i]);
                     if (ids) ids->push_back(batch.ids[static_cast<size_t>(i)]);
                   }
                   at += batch.count;
                   return true;
                 });
    KD_CHECK(at == data->size(), "{} of {} test pictures can't be read", data->size() - at,
             data->size());
    images_per_second_ = static_cast<double>(at) / e.seconds;
    return all;
  }

  double top1(const std::shared_ptr<const Dataset>& data) {
    Loader loader(data, setup_.val);
    int64_t seen = 0;
    return evaluate(predictor_, model_.preprocess, *setup_.backend, loader,
                    [&](const Batch& batch, const float*) {
                      seen += batch.count;
                      return seen < kTrainingPictures;
                    })
        .top1_percent();
  }

  ModelCost cost() {
    ModelCost cost;
    cost.parameters = static_cast<double>(model_.parameter_count());
    cost.flops = 0;
    for (const PlannedNode& node : one_.program().plan()) *cost.flops += node.cost.flops;
    cost.latency_ms = latency();
    cost.images_per_second = images_per_second_;
    return cost;
  }

 private:
  double latency() {
    const auto stream = setup_.backend->stream(Priority::normal);
    std::vector<double> ms;
    for (int i = 0; i < 25; ++i) {
      const auto start = std::chrono::steady_clock::now();
      one_.run(*stream);
      setup_.backend->synchronize(*stream);
      ms.push_back(
          std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
              .count());
    }
    std::nth_element(ms.begin(), ms.begin() + 12, ms.end());
    return ms[12];
  }

  const Model& model_;
  const Setup& setup_;
  Predictor predictor_, one_;
  double images_per_second_ = 0;
};

// Every nth pixel, so that neither side is long.
Image thumbnail(const Image& image) {
  const int step = (std::max(image.height, image.width) + kThumbnail - 1) / kThumbnail;
  Image small{
      (image.height + step - 1) / step, (image.width + step - 1) / step, image.channels, {}};
  for (int y = 0; y < image.height; y += step) {
    for (int x = 0; x < image.width; x += step) {
      const auto at = static_cast<ptrdiff_t>(y * image.width + x) * image.channels;
      small.pixels.insert(small.pixels.end(), image.pixels.begin() + at,
                          image.pixels.begin() + at + image.channels);
    }
  }
  return small;
}

}  // namespace

Scorecard make_scorecard(const Setup& setup, const RunConfig& config) {
  ScoreInputs in;
  const Dataset& test = *setup.data.val;
  in.class_names = test.class_names();
  Measured student(setup.student, student_dtype(config, *setup.backend), setup);
  in.test.student = student.logits(setup.data.val, &in.test.labels, &in.sample_ids);
  if (setup.data.dev) in.dev.student = student.logits(setup.data.dev, &in.dev.labels, nullptr);
  std::optional<Measured> teacher;
  if (!setup.teachers.empty()) {
    teacher.emplace(setup.teachers[0], teacher_dtype(config, *setup.backend), setup);
    in.test.teacher = teacher->logits(setup.data.val, nullptr, nullptr);
    if (setup.data.dev) in.dev.teacher = teacher->logits(setup.data.dev, nullptr, nullptr);
  }
  const std::filesystem::path alone = std::filesystem::path(config.output) / "baseline/best.bin";
  if (std::filesystem::exists(alone)) {
    const Model model = load_model(alone);
    Measured baseline(model, student_dtype(config, *setup.backend), setup);
    in.test.baseline = baseline.logits(setup.data.val, nullptr, nullptr);
    if (setup.data.dev) in.dev.baseline = baseline.logits(setup.data.dev, nullptr, nullptr);
  }
  for (const int64_t id : in.sample_ids) in.sample_names.push_back(test.name(id));
  in.thumbnail = [&](int64_t id) { return encode_png(thumbnail(test.image(id))); };
  Scorecard card = score(in);
  card.student_cost = student.cost();
  card.student_cost.peak_memory_bytes = peak_memory_bytes();
  card.student_train_top1 = student.top1(setup.data.train);
  if (teacher) {
    card.teacher_cost = teacher->cost();
    card.teacher_train_top1 = teacher->top1(setup.data.train);
  }
  return card;
}

}  // namespace kd
