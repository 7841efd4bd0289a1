// A model at work on batches of one size: folded with fixed weights (a teacher), or as it is with
// those of a student in training.
#pragma once

#include "distill/variables.h"

namespace kd {

class Predictor {
 public:
  // Folded (batch norm into convolutions, in float64), weights rounded to `dtype` and copied.
  Predictor(const Model& model, Backend& backend, int64_t batch, DType dtype = DType::f32);
  // Bound to `weights`; call weights_changed() after they do.
  Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights);

  Tensor images() const { return program_.tensor(input_); }   // dtype (batch, H, W, C)
  Tensor logits() const { return program_.tensor(logits_); }  // f32 (batch, classes)
  void run(Stream& stream) { program_.run(stream); }
  void weights_changed() { program_.weights_changed(); }
  const Program& program() const { return program_; }
  Program& program() { return program_; }

 private:
  struct Built {
    Value input, logits;
    Program program;
  };
  static Built folded(const Model& model, Backend& backend, int64_t batch, DType dtype);
  static Built bound(const Model& model, Backend& backend, int64_t batch, const Variables& weights);
  explicit Predictor(Built built);

  Value input_, logits_;
  Program program_;
};

}  // namespace kd
