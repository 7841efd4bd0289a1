// Folders of runs that never ran: curves, logits and pictures made up, all of it deterministic.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "kd/report.h"

namespace kd::test {

struct FakeRun {
  std::vector<std::string> class_names = {"airplane", "automobile", "bird",  "cat",  "deer",
                                          "dog",      "frog",       "horse", "ship", "truck"};
  int64_t epochs = 40, per_class = 100;
  uint64_t seed = 0;
  double skill = 3.5;           // how far the student's right logit stands out; teacher: 4.2
  double baseline_skill = 3.3;  // 0: no baseline/ is written
  double sharpness = 2.8;       // factor of the student's logits: above 1 it is over-confident
  std::string loss = "ce=0.1,kl=0.9";
  std::string teacher = "runs/teacher/best.bin";  // empty: plain training
  bool dev = true, scorecard = true;
};

// What score() is given for such a run.
ScoreInputs fake_logits(const FakeRun& run);
// run.json, metrics.jsonl, scorecard.json and, if asked for, baseline/.
void write_fake_run(const FakeRun& run, const std::filesystem::path& folder);

}  // namespace kd::test
