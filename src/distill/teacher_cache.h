// The teachers' logits of every picture, kept: what a stage needs of its teachers once their
// logits are on disk, and what computes those that are not.
#pragma once

#include "distill/cacheable.h"
#include "distill/image_feed.h"
#include "distill/predictor.h"
#include "distill/setup.h"
#include "io/logit_file.h"

namespace kd {

// What the logits of teacher `which` in this stage depend on, each under a name for people.
Json cache_key(const Setup& setup, const RunConfig& stage, size_t which);

class TeacherCache {
 public:
  // Opens a file for each teacher that the stage uses. `first`: the number of the earliest stage
  // with the same pictures, which names the files.
  TeacherCache(const Setup& setup, const RunConfig& stage, int64_t first);

  // The logits of a batch's pictures, f32 (batch, classes), of the i-th teacher in use, as the
  // file's format gives them back. If any is missing the teacher reads the batch (always a whole
  // one: rows must not depend on its size) and what it lacks is kept. Returns what the teacher then
  // said, as computed() does, or nothing if all was there.
  const std::vector<float>* logits(const Batch& batch, int64_t epoch, size_t teacher, float* to);
  // Runs the teacher whatever is kept.
  const std::vector<float>& computed(const Batch& batch, size_t teacher);
  bool holds(const Batch& batch, int64_t epoch) const;  // all of them, of every teacher
  int64_t view(int64_t epoch) const { return epoch % views_; }
  int64_t views() const { return views_; }
  std::vector<LogitFile>& files() { return files_; }
  const std::vector<int64_t>& used() const { return used_; }
  int64_t teacher_runs() const { return teacher_runs_; }  // batches that a teacher read
  void sync() const;

 private:
  struct Worker {  // a teacher that computes; made when first needed
    Predictor predictor;
    ImageFeed feed;
    std::vector<float> logits;
  };
  Worker& worker(size_t teacher, const Shape& pixels);

  const Setup& setup_;
  RunConfig stage_;
  int64_t views_ = 1, teacher_runs_ = 0;
  std::vector<int64_t> used_;
  std::vector<LogitFile> files_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Stream> stream_;
};

// The number of the earliest stage whose pictures are the same as those of stage `number`.
int64_t first_with_same_pictures(const RunConfig& config, int64_t number);

}  // namespace kd
