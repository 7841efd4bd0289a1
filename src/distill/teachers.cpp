#include "distill/teachers.h"

#include <algorithm>
#include <numeric>

#include "distill/precision.h"
#include "distill/terms/maps.h"
#include "kd/error.h"
#include "kd/term_ops.h"

namespace kd {
namespace {

// The sum over teachers of a share each, (N, 1) or scalar, times (N, K).
Value weighted_sum(Graph& graph, const std::vector<Value>& values,
                   const std::vector<Value>& shares) {
  std::vector<Value> parts;
  for (size_t i = 0; i < values.size(); ++i) parts.push_back(mul(graph, values[i], shares[i]));
  return sum_of(graph, parts);
}

std::vector<Value> one_each(Graph& graph, Value shares, size_t count) {
  std::vector<Value> each;
  for (size_t i = 0; i < count; ++i) {
    const auto at = static_cast<int64_t>(i);
    each.push_back(slice(graph, shares, {{0}, {at}, {at + 1}, {1}}));
  }
  return each;
}

// sum_k softmax(t)_k^2: (N, K) -> (N, 1), between 1/K and 1.
Value sureness(Graph& graph, Value logits) {
  const Value p = softmax(graph, logits);
  return sum_to(graph, mul(graph, p, p), {graph.shape(logits)[0], 1});
}

}  // namespace

Value mix_logits(Graph& graph, const std::vector<Value>& logits, Value shares, const Mix& mix) {
  std::vector<Value> each = one_each(graph, shares, logits.size());
  if (mix.kind == "confidence") {
    for (size_t i = 0; i < each.size(); ++i) {
      each[i] = mul(graph, sureness(graph, logits[i]), each[i]);
    }
  }
  const Value total = sum_of(graph, each);
  if (mix.kind == "logits") return div(graph, weighted_sum(graph, logits, each), total);
  std::vector<Value> probabilities;
  for (const Value v : logits) probabilities.push_back(softmax(graph, v, mix.temperature));
  const Value mean = div(graph, weighted_sum(graph, probabilities, each), total);
  // The offset keeps the logarithm of what underflowed finite; its share of a KL is 0.
  return affine(graph, log(graph, affine(graph, mean, 1, 1e-30)), mix.temperature);
}

std::vector<int64_t> teachers_in_use(const StageConfig& stage, size_t count) {
  std::vector<int64_t> used = stage.use_teachers;
  if (used.empty()) {
    used.resize(count);
    std::iota(used.begin(), used.end(), int64_t{0});
  }
  return used;
}

Teachers::Teachers(const std::vector<const Model*>& models, const RunConfig& stage,
                   const std::vector<TaughtLayer>& taught, Backend& backend, const Tensor& shares,
                   Source source)
    : source_(source), used_(teachers_in_use(stage, models.size())) {
  const size_t mixed = used_.size();
  for (const TaughtLayer& layer : taught) {
    if (std::ranges::find(used_, layer.teacher) == used_.end()) used_.push_back(layer.teacher);
  }
  if (source == Source::given) {
    KD_CHECK(taught.empty(), "logits are given, but a term reads layers of a teacher");
    for (const int64_t which : used_) {
      const int64_t classes = models.at(static_cast<size_t>(which))->classes();
      const TensorDesc desc{DType::f32, {stage.batch_size, classes}};
      given_.emplace_back(desc, backend.allocate(desc.bytes(), Memory::device));
    }
    build_mix(stage, mixed, backend, shares);
    return;
  }
  for (const int64_t which : used_) {
    Predictor::Options options{teacher_dtype(stage, backend), {}, Mode::inference};
    if (stage.teacher_mode == "train") options.mode = Mode::training;
    for (const TaughtLayer& layer : taught) {
      if (layer.teacher == which) options.taps.push_back(layer.source);
    }
    predictors_.emplace_back(*models.at(static_cast<size_t>(which)), backend, stage.batch_size,
                             options);
  }
  std::vector<size_t> next(models.size(), 0);
  for (const TaughtLayer& layer : taught) {
    const auto place = std::ranges::find(used_, layer.teacher) - used_.begin();
    taught_.push_back(
        predictors_[static_cast<size_t>(place)].tap(next[static_cast<size_t>(layer.teacher)]++));
  }
  build_mix(stage, mixed, backend, shares);
}

void Teachers::build_mix(const RunConfig& stage, size_t mixed, Backend& backend,
                         const Tensor& shares) {
  logits_ = own_logits(0);
  if (mixed < 2) return;
  Graph graph;
  CompileOptions options;
  std::vector<Value> logits;
  for (size_t i = 0; i < mixed; ++i) {
    const Tensor from = own_logits(i);
    logits.push_back(graph.input(format("teacher.{}", i), from.desc()));
    options.bindings.push_back({logits.back(), from});
  }
  const Value weights = graph.input("shares", shares.desc());
  options.bindings.push_back({weights, shares});
  double temperature = stage.temperature;
  for (const TermSpec& spec : loss_terms(stage)) {
    const auto given = spec.params.find("temperature");
    if (spec.name == "kl" && given != spec.params.end()) temperature = given->second;
  }
  const Value mix = mix_logits(graph, logits, weights, {stage.teacher_mix, temperature});
  options.outputs = {mix};
  mix_.emplace(compile(std::move(graph), backend, options));
  logits_ = mix_->tensor(mix);
}

void Teachers::run(Stream& stream) {
  for (Predictor& predictor : predictors_) predictor.run(stream);
  if (mix_) mix_->run(stream);
}

size_t Teachers::arena_bytes() const {
  size_t bytes = mix_ ? mix_->arena_bytes() : 0;
  for (const Predictor& predictor : predictors_) bytes += predictor.program().arena_bytes();
  return bytes;
}

}  // namespace kd
