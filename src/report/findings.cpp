// The numbers of a group of runs, in words.
#include <fmt/format.h>

#include <cmath>

#include "report/summary.h"

namespace kd {
namespace {

// Where a difference begins to matter, in points of top-1 or of ECE.
constexpr double kUnderfit = 5, kOverconfident = 5, kEqual = 2;

using Findings = std::vector<Finding>;

std::string seeds(const Spread& s) {
  return s.count == 1 ? "one seed" : fmt::format("{} seeds", s.count);
}

// How far the gain may be off by chance: its sd over seeds; with one seed, the standard error of a
// top-1 on so many pictures.
std::optional<double> noise(const RunGroup& group, const Spread& gain) {
  if (gain.count > 1) return gain.sd;
  const RunRecord& run = group.runs.front();
  if (!run.scorecard) return std::nullopt;
  const double p = run.scorecard->student.top1 / 100;
  return 100 * std::sqrt(p * (1 - p) / static_cast<double>(run.scorecard->test_samples));
}

Finding verdict_on_gain(const RunGroup& group, const Spread& gain) {
  const std::optional<double> chance = noise(group, gain);
  const std::string how =
      gain.count > 1 ? fmt::format("mean of {}, sd {:.2f}", seeds(gain), gain.sd) : "one seed";
  if (chance && std::abs(gain.mean) < *chance) {
    return {Tone::warning,
            fmt::format("Within noise: distillation changed top-1 by {:+.2f} points against the "
                        "same student trained alone ({}), less than the {} of {:.2f}.",
                        gain.mean, how,
                        gain.count > 1 ? "sd over seeds" : "standard error on so many pictures",
                        *chance)};
  }
  if (gain.mean < 0) {
    return {Tone::bad, fmt::format("Distillation lost: {:.2f} points of top-1 below the same "
                                   "student trained alone ({}).",
                                   -gain.mean, how)};
  }
  return {Tone::good, fmt::format("Distillation gained {:.2f} points of top-1 over the same "
                                  "student trained alone ({}).",
                                  gain.mean, how)};
}

std::string list_of(const std::vector<int64_t>& ids) {
  constexpr size_t kShown = 8;
  std::string text;
  for (size_t i = 0; i < std::min(ids.size(), kShown); ++i)
    text += (i ? ", " : "") + std::to_string(ids[i]);
  return ids.size() > kShown ? text + fmt::format(" and {} more", ids.size() - kShown) : text;
}

Finding failed(const Failure& f) {
  std::string text = fmt::format("The loss stopped being finite at step {}", f.step);
  if (!f.layer.empty()) text += fmt::format(", in layer '{}'", f.layer);
  if (!f.term.empty()) text += fmt::format(", term '{}'", f.term);
  return {Tone::bad, text + "."};
}

Finding verdict(const RunGroup& group, const Summary& s) {
  for (const RunRecord& run : group.runs) {
    if (run.failure) return failed(*run.failure);
  }
  if (!s.top1) return {Tone::warning, "No epoch was validated yet: there is nothing to judge."};
  if (s.gain) return verdict_on_gain(group, *s.gain);
  if (!group.runs.front().taught())
    return {Tone::note, fmt::format("Trained without a teacher: top-1 {:.2f} %.", s.top1->mean)};
  return {Tone::warning,
          fmt::format("Top-1 {:.2f} %. What the teacher added is unknown: no baseline was trained "
                      "(--baseline).",
                      s.top1->mean)};
}

void on_failure(const RunGroup& group, const Summary&, Findings& out) {
  for (const RunRecord& run : group.runs) {
    if (!run.failure || (run.failure->tensor.empty() && run.failure->sample_ids.empty())) continue;
    std::string text = fmt::format("Seed {}:", run.seed());
    if (!run.failure->tensor.empty())
      text += fmt::format(" the first bad tensor is '{}'.", run.failure->tensor);
    if (!run.failure->sample_ids.empty())
      text += fmt::format(" Pictures in that step: {}.", list_of(run.failure->sample_ids));
    out.push_back({Tone::bad, text});
  }
}

void on_teacher(const RunGroup&, const Summary& s, Findings& out) {
  if (!s.teacher_top1 || !s.top1) return;
  const double teacher = s.teacher_top1->mean, student = s.top1->mean;
  if (teacher < student) {
    out.push_back({Tone::warning,
                   fmt::format("The teacher ({:.2f} %) is worse than the student ({:.2f} %): its "
                               "answers hold the student back, or it was read with the wrong "
                               "preprocessing.",
                               teacher, student)});
  }
  if (s.baseline_top1 && teacher <= s.baseline_top1->mean) {
    out.push_back({Tone::note,
                   "There is no gap to close: the teacher is no better than the "
                   "student trained alone."});
  } else if (s.gap_closed && *s.gap_closed < 0) {
    out.push_back({Tone::note,
                   fmt::format("The student alone reaches {:.2f} %, the teacher {:.2f} %: that gap "
                               "grew by {:.0f} %.",
                               s.baseline_top1->mean, teacher, -100 * *s.gap_closed)});
  } else if (s.gap_closed) {
    out.push_back({Tone::note, fmt::format("The student alone reaches {:.2f} %, the teacher "
                                           "{:.2f} %: {:.0f} % of that gap is closed.",
                                           s.baseline_top1->mean, teacher, 100 * *s.gap_closed)});
  }
}

// Training top-1 of student and teacher, measured alike; or that of the student's last epoch, under
// augmentation, and the teacher's on the test pictures, which is the lower one.
struct TrainTop1 {
  double student = 0, teacher = 0;
  bool of_test = false;
};
std::optional<TrainTop1> train_top1(const RunRecord& run) {
  if (run.scorecard && run.scorecard->student_train_top1 && run.scorecard->teacher_train_top1)
    return TrainTop1{*run.scorecard->student_train_top1, *run.scorecard->teacher_train_top1, false};
  const Curve* curve = run.curve("train_top1");
  if (!curve || !run.teacher()) return std::nullopt;
  return TrainTop1{curve->points.back().second, *run.teacher(), true};
}

void on_underfit(const RunGroup& group, const Summary& s, Findings& out) {
  const RunRecord& run = group.runs.front();
  const std::optional<TrainTop1> top1 = train_top1(run);
  if (!top1 || !run.finished || top1->teacher - top1->student < kUnderfit) return;
  std::string text = fmt::format(
      "The student under-fits: {:.2f} % on the training pictures, where the teacher has {:.2f} % "
      "on {}.",
      top1->student, top1->teacher, top1->of_test ? "pictures it never saw" : "them");
  if (s.cost.parameters && s.teacher_cost.parameters && *s.cost.parameters > 0) {
    const double ratio = *s.teacher_cost.parameters / *s.cost.parameters;
    text += fmt::format(" The teacher is {:.1f} times its size", ratio);
    if (ratio >= 4) {
      text += fmt::format(": try an assistant of about {:.2f} M parameters in between, or",
                          std::sqrt(*s.teacher_cost.parameters * *s.cost.parameters) / 1e6);
    } else {
      text += ": try";
    }
    text += " more epochs and less augmentation.";
  }
  out.push_back({Tone::warning, text});
}

void on_agreement(const RunGroup&, const Summary& s, Findings& out) {
  if (!s.agreement || !s.teacher_top1 || !s.top1) return;
  const double teacher = s.teacher_top1->mean, student = s.top1->mean;
  const double errors = 100 - (teacher + student) / 2;
  // Mistakes made independently of each other would agree on about 100 - 2 errors.
  if (std::abs(teacher - student) > kEqual || s.agreement->mean >= 100 - 1.5 * errors) return;
  out.push_back({Tone::warning,
                 fmt::format("As accurate as the teacher, but not like it: they agree on only "
                             "{:.1f} % of the pictures, so little of what the teacher knows beyond "
                             "the labels was taken over.",
                             s.agreement->mean)});
}

void on_calibration(const RunGroup& group, const Summary& s, Findings& out) {
  const RunRecord& run = group.runs.front();
  if (!s.ece || !run.scorecard || s.ece->mean < kOverconfident) return;
  const ModelScore& student = run.scorecard->student;
  double confidence = 0;
  for (const ReliabilityBin& bin : student.raw.bins)
    confidence += 100 * bin.confidence * static_cast<double>(bin.count) /
                  static_cast<double>(run.scorecard->test_samples);
  std::string text = fmt::format(
      "{}-confident: mean confidence {:.1f} %, right in {:.1f} % (ECE {:.1f} %).",
      confidence > student.top1 ? "Over" : "Under", confidence, student.top1, s.ece->mean);
  if (student.fitted) {
    text += fmt::format(" Dividing its logits by T = {:.2f} brings the ECE to {:.1f} %.",
                        *student.temperature, student.fitted->ece);
  }
  out.push_back({Tone::warning, text});
}

void on_protocol(const RunGroup& group, const Summary& s, Findings& out) {
  int64_t unfinished = 0, no_card = 0, no_dev = 0, unpaired = 0;
  for (const RunRecord& run : group.runs) {
    unfinished += !run.finished && !run.failure;
    no_card += !run.scorecard;
    no_dev += run.scorecard && run.scorecard->dev_samples == 0;
    unpaired += !run.baseline_top1();
  }
  if (unfinished > 0) out.push_back({Tone::warning, "Not finished: continue with --resume."});
  if (no_dev > 0) {
    out.push_back({Tone::warning,
                   "No dev split: the best epoch was picked on the test pictures themselves, so "
                   "every top-1 here flatters, and no temperature was fitted (--dev-split)."});
  }
  if (no_card > 0) {
    out.push_back({Tone::note,
                   "No scorecard.json: only what run.json and metrics.jsonl hold is "
                   "shown."});
  }
  if (s.gain && unpaired > 0)
    out.push_back({Tone::note, "Some seeds have no baseline; they are left out of the gain."});
  if (s.gain && s.gain->count == 1) {
    out.push_back({Tone::note,
                   "One seed says nothing about the spread between seeds (--seeds 3 "
                   "measures it)."});
  }
}

}  // namespace

std::vector<Finding> findings(const RunGroup& group) {
  const Summary s = summarise(group);
  Findings out{verdict(group, s)};
  for (const auto& look :
       {on_failure, on_teacher, on_underfit, on_agreement, on_calibration, on_protocol})
    look(group, s, out);
  return out;
}

}  // namespace kd
