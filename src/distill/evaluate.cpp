#include "distill/evaluate.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "distill/image_feed.h"

namespace kd {
namespace {

// A label counts as found at the top only if nothing else is as high.
void score(Evaluation& e, const float* row, int64_t classes, int label) {
  const float own = row[label], top = *std::max_element(row, row + classes);
  double sum = 0;
  for (int64_t k = 0; k < classes; ++k) sum += std::exp(static_cast<double>(row[k]) - top);
  e.loss += std::log(sum) - (static_cast<double>(own) - top);
  const auto beats = std::count_if(row, row + classes, [&](float x) { return !(x < own); });
  e.top1 += beats <= 1;
  e.top5 += beats <= 5;
  ++e.count;
}

}  // namespace

Evaluation evaluate(Predictor& predictor, const Preprocess& preprocess, Backend& backend,
                    Loader& loader, const EachBatch& each) {
  const auto start = std::chrono::steady_clock::now();
  const auto stream = backend.stream(Priority::normal);
  ImageFeed feed(backend, loader.pixels(), {{predictor.images(), preprocess}});
  const int64_t classes = predictor.logits().shape()[1];
  std::vector<float> logits(static_cast<size_t>(predictor.logits().elements()));
  Evaluation e;
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    feed.upload(*batch, *stream);
    feed.place(0, *stream);
    predictor.run(*stream);
    backend.copy(logits.data(), predictor.logits().data(), predictor.logits().bytes(), *stream);
    backend.synchronize(*stream);
    for (int64_t i = 0; i < batch->count; ++i) {
      const int label = batch->labels.as<int32_t>()[i];
      if (label >= 0) score(e, logits.data() + i * classes, classes, label);
    }
    if (each && !each(*batch, logits.data())) break;
  }
  if (e.count > 0) e.loss /= static_cast<double>(e.count);
  e.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return e;
}

}  // namespace kd
