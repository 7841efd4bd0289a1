// How good a predictor is on a data set.
#pragma once

#include <functional>

#include "distill/predictor.h"
#include "kd/data.h"

namespace kd {

struct Evaluation {
  int64_t count = 0, top1 = 0, top5 = 0;
  double loss = 0, seconds = 0;  // loss: mean cross entropy
  double top1_percent() const { return percent(top1); }
  double top5_percent() const { return percent(top5); }

 private:
  double percent(int64_t right) const {
    return count ? 100.0 * static_cast<double>(right) / static_cast<double>(count) : 0;
  }
};

// `preprocess` is the predictor's; pictures that the loader stages in another size are resized.
// `each`, if given, sees every batch after its logits are there; it may return false to stop early.
using EachBatch = std::function<bool(const Batch&, const float* logits)>;
Evaluation evaluate(Predictor& predictor, const Preprocess& preprocess, Backend& backend,
                    Loader& loader, const EachBatch& each = {});

}  // namespace kd
