// From logits to a scorecard.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "kd/error.h"
#include "report/metrics.h"

namespace kd {
namespace {

void check_logits(const Tensor& logits, const ScoreInputs& in, const SplitLogits& split,
                  std::string_view whose) {
  const auto n = static_cast<int64_t>(split.labels.size());
  const auto k = static_cast<int64_t>(in.class_names.size());
  KD_CHECK(logits.desc() == (TensorDesc{DType::f32, {n, k}}), "score: {}'s logits are {}, not {}",
           whose, logits.desc().str(), TensorDesc{DType::f32, {n, k}}.str());
  const float* values = logits.as<float>();
  for (int64_t i = 0; i < logits.elements(); ++i) {
    KD_CHECK(std::isfinite(values[i]), "score: {}'s logit of class {} for picture {} is {}", whose,
             i % k, i / k, values[i]);
  }
}

void check_split(const ScoreInputs& in, const SplitLogits& split, std::string_view name) {
  for (const int label : split.labels) {
    KD_CHECK(label >= 0 && static_cast<size_t>(label) < in.class_names.size(),
             "score: a label of the {} split is {}, there are {} classes", name, label,
             in.class_names.size());
  }
  check_logits(split.student, in, split, "the student");
  if (split.teacher) check_logits(split.teacher, in, split, "the teacher");
  if (split.baseline) check_logits(split.baseline, in, split, "the baseline");
}

void check(const ScoreInputs& in) {
  const size_t n = in.test.labels.size();
  KD_CHECK(n > 0 && !in.class_names.empty(), "score: {} test pictures of {} classes", n,
           in.class_names.size());
  KD_CHECK(in.sample_ids.empty() || in.sample_ids.size() == n,
           "score: {} sample ids for {} pictures", in.sample_ids.size(), n);
  KD_CHECK(in.sample_names.empty() || in.sample_names.size() == n,
           "score: {} sample names for {} pictures", in.sample_names.size(), n);
  check_split(in, in.test, "test");
  if (!in.dev.labels.empty()) check_split(in, in.dev, "dev");
}

// dev: its logits on the dev split, or empty.
ModelScore score_model(const Tensor& test, const Tensor& dev, const ScoreInputs& in) {
  const LogitRows rows(test);
  const std::vector<int>& labels = in.test.labels;
  ModelScore s;
  std::vector<double> right(in.class_names.size()), all(in.class_names.size());
  for (int64_t i = 0; i < rows.size(); ++i) {
    const int label = labels[static_cast<size_t>(i)];
    const int64_t rank = rank_of(rows[i], label);
    s.top1 += rank < 1;
    s.top5 += rank < 5;
    right[static_cast<size_t>(label)] += rank < 1;
    ++all[static_cast<size_t>(label)];
  }
  s.top1 *= 100 / static_cast<double>(rows.size());
  s.top5 *= 100 / static_cast<double>(rows.size());
  for (size_t k = 0; k < all.size(); ++k) {
    s.class_top1.push_back(all[k] > 0 ? std::optional(100 * right[k] / all[k]) : std::nullopt);
  }
  s.raw = calibration(rows, labels, 1);
  if (dev && !in.dev.labels.empty()) {
    s.temperature = fit_temperature(LogitRows(dev), in.dev.labels);
    s.fitted = calibration(rows, labels, *s.temperature);
  }
  return s;
}

std::vector<Mistake> mistakes_of(int label, const ScoreInputs& in) {
  const LogitRows rows(in.test.student);
  std::vector<Mistake> found;
  for (int64_t i = 0; i < rows.size(); ++i) {
    const auto at = static_cast<size_t>(i);
    const int guess = answer(rows[i]);
    if (in.test.labels[at] != label || guess == label) continue;
    found.push_back({in.sample_ids.empty() ? i : in.sample_ids[at],
                     in.sample_names.empty() ? "" : in.sample_names[at],
                     guess,
                     std::exp(log_softmax(rows[i])[static_cast<size_t>(guess)]),
                     {}});
  }
  std::ranges::stable_sort(found, std::greater(), &Mistake::confidence);
  found.resize(std::min(found.size(), static_cast<size_t>(in.examples_per_class)));
  for (Mistake& mistake : found) {
    if (in.thumbnail) mistake.png = in.thumbnail(mistake.sample_id);
  }
  return found;
}

std::vector<WorstClass> worst_classes(const ModelScore& student, const ScoreInputs& in) {
  std::vector<int> order;
  for (size_t k = 0; k < student.class_top1.size(); ++k) {
    if (student.class_top1[k] && *student.class_top1[k] < 100) order.push_back(static_cast<int>(k));
  }
  std::ranges::stable_sort(order, std::less(),
                           [&](int k) { return *student.class_top1[static_cast<size_t>(k)]; });
  order.resize(std::min(order.size(), static_cast<size_t>(in.worst_classes)));
  std::vector<WorstClass> worst;
  for (const int label : order) worst.push_back({label, mistakes_of(label, in)});
  return worst;
}

std::vector<int64_t> confusion_of(const LogitRows& rows, const std::vector<int>& labels) {
  const int64_t classes = rows.classes();
  std::vector<int64_t> counts(static_cast<size_t>(classes * classes));
  for (int64_t i = 0; i < rows.size(); ++i) {
    ++counts[static_cast<size_t>(labels[static_cast<size_t>(i)] * classes + answer(rows[i]))];
  }
  return counts;
}

}  // namespace

std::optional<double> gap_closed(double student, double teacher, double baseline) {
  if (!(teacher > baseline)) return std::nullopt;
  return (student - baseline) / (teacher - baseline);
}

Scorecard score(const ScoreInputs& in) {
  check(in);
  Scorecard card;
  card.class_names = in.class_names;
  card.test_samples = static_cast<int64_t>(in.test.labels.size());
  card.dev_samples = static_cast<int64_t>(in.dev.labels.size());
  card.student = score_model(in.test.student, in.dev.student, in);
  if (in.test.teacher) {
    card.teacher = score_model(in.test.teacher, in.dev.teacher, in);
    card.agreement = agreement_percent(LogitRows(in.test.teacher), LogitRows(in.test.student));
    card.kl = mean_kl(LogitRows(in.test.teacher), LogitRows(in.test.student));
  }
  if (in.test.baseline) card.baseline = score_model(in.test.baseline, in.dev.baseline, in);
  if (card.teacher && card.baseline) {
    card.gap_closed = gap_closed(card.student.top1, card.teacher->top1, card.baseline->top1);
  }
  card.confusion = confusion_of(LogitRows(in.test.student), in.test.labels);
  card.worst = worst_classes(card.student, in);
  return card;
}

}  // namespace kd
