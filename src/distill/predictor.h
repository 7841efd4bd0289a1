// A model at work on batches of one size: folded with fixed weights (a teacher), or as it is with
// those of a student in training.
#pragma once

#include "distill/variables.h"

namespace kd {

class Predictor {
 public:
  struct Options {
    DType dtype = DType::f32;
    std::vector<Value> taps = {};  // of the model's graph: layers that are read beside the logits
    // training: batch norm normalises by the batch (and keeps running statistics of its own).
    Mode mode = Mode::inference;
  };
  // Folded (batch norm into convolutions, in float64), weights rounded to `dtype` and copied.
  Predictor(const Model& model, Backend& backend, int64_t batch, const Options& options);
  Predictor(const Model& model, Backend& backend, int64_t batch)
      : Predictor(model, backend, batch, Options{}) {}
  // Bound to `weights`, or (in f32) to those of one of its arenas; call weights_changed() after
  // they change.
  Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights,
            const std::string& arena = {});

  Tensor images() const { return program_.tensor(input_); }            // dtype (batch, H, W, C)
  Tensor logits() const { return program_.tensor(logits_); }           // f32 (batch, classes)
  Tensor tap(size_t i) const { return program_.tensor(taps_.at(i)); }  // f32 (batch, ...)
  void run(Stream& stream) { program_.run(stream); }
  void weights_changed() { program_.weights_changed(); }
  const Program& program() const { return program_; }
  Program& program() { return program_; }

 private:
  struct Built {
    Value input, logits;
    std::vector<Value> taps;
    Program program;
  };
  static Built folded(const Model& model, Backend& backend, int64_t batch, const Options& options);
  static Built bound(const Model& model, Backend& backend, int64_t batch, const Variables& weights,
                     const std::string& arena);
  explicit Predictor(Built built);

  Value input_, logits_;
  std::vector<Value> taps_;
  Program program_;
};

}  // namespace kd
