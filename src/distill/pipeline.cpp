#include "distill/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "kd/error.h"
#include "kd/passes.h"

namespace kd {
namespace {

struct Built {
  Value input, logits;
  Program program;
};

Built folded_program(const Model& model, Backend& backend, int64_t batch) {
  const Model folded = fold_bn(model);
  ModelGraph made = instantiate(folded, batch, Mode::inference);
  const std::vector<Value> outputs{made.logits};
  fuse_conv_epilogue(made.graph, outputs);
  CompileOptions options;
  options.outputs = outputs;
  for (const auto& [name, tensor] : folded.tensors) {
    const Value v = made.graph.find(name);
    const Tensor own(tensor.desc(), backend.allocate(tensor.bytes(), Memory::device));
    const auto stream = backend.stream(Priority::normal);
    backend.copy(own.data(), tensor.data(), tensor.bytes(), *stream);
    backend.synchronize(*stream);
    options.bindings.push_back({v, own});
    options.frozen.push_back(v);
  }
  return {made.input, made.logits, compile(std::move(made.graph), backend, options)};
}

Built bound_program(const Model& model, Backend& backend, int64_t batch, const Variables& weights) {
  ModelGraph made = instantiate(model, batch, Mode::inference);
  CompileOptions options;
  options.outputs = {made.logits};
  options.bindings = weights.bind(made.graph);
  for (const Binding& binding : options.bindings) options.frozen.push_back(binding.value);
  return {made.input, made.logits, compile(std::move(made.graph), backend, options)};
}

}  // namespace

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch)
    : program_([&] {
        Built built = folded_program(model, backend, batch);
        graph_input_ = built.input;
        graph_logits_ = built.logits;
        return std::move(built.program);
      }()) {}

Predictor::Predictor(const Model& model, Backend& backend, int64_t batch, const Variables& weights)
    : program_([&] {
        Built built = bound_program(model, backend, batch, weights);
        graph_input_ = built.input;
        graph_logits_ = built.logits;
        return std::move(built.program);
      }()) {}

TrainingStep::TrainingStep(const Model& student, const Model* teacher, const RunConfig& config,
                           Backend& backend)
    : backend_(backend),
      stream_(backend.stream(Priority::normal)),
      variables_(student, backend, config.decay_norm_and_bias),
      seed_(config.seed) {
  KD_CHECK(needs_teacher(resolve_objective(loss_terms(config))) == (teacher != nullptr),
           teacher != nullptr ? "a teacher is given, but no term of the loss uses it"
                              : "a term of the loss needs a teacher, none is given");
  if (teacher != nullptr) teacher_.emplace(*teacher, backend, config.batch_size);
  build(student, config);
}

void TrainingStep::build(const Model& student, const RunConfig& config) {
  ModelGraph made = instantiate(student, config.batch_size, Mode::training);
  Graph& graph = made.graph;
  const std::vector<Value> keep{made.logits};
  fuse_bn_relu(graph, keep);
  const TensorDesc logits = graph.desc(made.logits);
  const Value labels = graph.input("labels", {DType::i32, {config.batch_size}});
  const Value teacher = teacher_ ? graph.input("teacher_logits", logits) : Value{};
  const DistillLoss loss = distill_loss(graph, made.logits, teacher, labels,
                                        resolve_objective(loss_terms(config)), "loss");
  const Value correct = top_k_correct(graph, made.logits, labels, 1, "top1");
  const std::vector<Value> parameters = graph.leaves(Role::parameter);
  const std::vector<Seed> seeds{{made.logits, loss.dlogits}};
  const std::vector<Value> gradients = differentiate(graph, seeds, parameters);

  CompileOptions options;
  options.outputs = {loss.total, loss.terms, correct};
  options.bindings = variables_.bind(graph);
  for (size_t i = 0; i < parameters.size(); ++i) {
    options.bindings.push_back({gradients[i], variables_.gradient(graph.info(parameters[i]).name)});
  }
  if (teacher_) {
    options.bindings.push_back({teacher, teacher_->logits()});
    options.bindings.push_back({made.input, teacher_->images()});  // both see the same pictures
  }
  const Value key = graph.find("dropout_key");
  program_.emplace(compile(std::move(graph), backend_, options));
  images_ = program_->tensor(made.input);
  labels_ = program_->tensor(labels);
  if (key) key_ = program_->tensor(key);
  total_ = program_->tensor(loss.total);
  terms_ = program_->tensor(loss.terms);
  correct_ = program_->tensor(correct);

  Graph update;
  const TensorDesc flat = variables_.parameters().desc();
  const Value w = update.parameter("w", flat), g = update.input("g", flat),
              v = update.state("v", flat);
  const Value lr = update.input("lr", {DType::f32, {1}});
  SgdAttrs attrs;
  attrs.momentum = config.momentum;
  attrs.weight_decay = config.weight_decay;
  attrs.nesterov = config.opt == "nesterov";
  attrs.decay_elements = variables_.decayed();
  sgd_update(update, w, g, v, lr, attrs);
  CompileOptions in_place;
  in_place.bindings = {
      {w, variables_.parameters()}, {g, variables_.gradients()}, {v, variables_.velocity()}};
  optimizer_.emplace(compile(std::move(update), backend_, in_place));
  lr_ = optimizer_->tensor(lr);
}

StepResult TrainingStep::run(const Batch& batch, double lr, int64_t step) {
  Stream& stream = *stream_;
  backend_.copy(images_.data(), batch.images.data(), batch.images.bytes(), stream);
  backend_.copy(labels_.data(), batch.labels.data(), batch.labels.bytes(), stream);
  const auto rate = static_cast<float>(lr);
  backend_.copy(lr_.data(), &rate, sizeof(rate), stream);
  const std::array<int64_t, 2> key{seed_, step};
  if (key_) backend_.copy(key_.data(), key.data(), sizeof(key), stream);
  if (teacher_) teacher_->run(stream);
  program_->run(stream);
  optimizer_->run(stream);

  float total = 0;
  std::array<float, kLossTerms> terms{};
  int32_t correct = 0;
  backend_.copy(&total, total_.data(), sizeof(total), stream);
  backend_.copy(terms.data(), terms_.data(), sizeof(terms), stream);
  backend_.copy(&correct, correct_.data(), sizeof(correct), stream);
  backend_.synchronize(stream);
  StepResult result{static_cast<double>(total), {}, correct};
  std::ranges::copy(terms, result.terms.begin());
  return result;
}

size_t TrainingStep::arena_bytes() const {
  return program_->arena_bytes() + (teacher_ ? teacher_->program().arena_bytes() : 0);
}

namespace {

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

Evaluation evaluate(Predictor& predictor, Backend& backend, Loader& loader, const EachBatch& each) {
  const auto start = std::chrono::steady_clock::now();
  const auto stream = backend.stream(Priority::normal);
  const int64_t classes = predictor.logits().shape()[1];
  std::vector<float> logits(static_cast<size_t>(predictor.logits().elements()));
  Evaluation e;
  loader.start(0);
  while (const Batch* batch = loader.next()) {
    backend.copy(predictor.images().data(), batch->images.data(), batch->images.bytes(), *stream);
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
