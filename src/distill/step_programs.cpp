#include "distill/step_programs.h"

#include <algorithm>
#include <cstring>

#include "distill/precision.h"
#include "kd/error.h"
#include "kd/optimizer_ops.h"
#include "kd/passes.h"

namespace kd {
namespace {

// Places in the block that a step leaves.
constexpr size_t kTotal = 0, kTerms = 64, kCorrect = 128, kScale = 192, kCounters = 256,
                 kOutcomeBytes = 320;

// The graph of a model in training form, in the precision asked for.
ModelGraph training_graph(const Model& model, const RunConfig& config, DType dtype) {
  ModelGraph made = instantiate(model, config.batch_size, Mode::training);
  if (dtype == DType::f32) return made;
  Replayed lowered = lower_precision(made.graph, made.logits, dtype);
  const auto now = [&](Value v) { return lowered.values[static_cast<size_t>(v.id)]; };
  return {std::move(lowered.graph), now(made.input), now(made.logits)};
}

// Takes a rewrite where the engine runs all that it makes; elsewhere the graph stays as it was.
template <class Pass>
void take_if_run(Graph& graph, const Backend& backend, const Pass& pass) {
  Graph rewritten = graph;
  pass(rewritten);
  const bool runs = std::ranges::all_of(
      rewritten.nodes(), [&](const Node& node) { return backend.supports(rewritten, node); });
  if (runs) graph = std::move(rewritten);
}

// The rungs of --fusion, on the forward graph and on the differentiated one. `keep`: what is read
// from outside.
void fuse_forward(Graph& graph, const std::string& fusion, const Backend& backend,
                  std::span<const Value> keep) {
  if (fusion == "plain") return;
  fuse_bn_relu(graph, keep);
  take_if_run(graph, backend, [&](Graph& g) { fuse_stem_pool(g, keep); });
}
void fuse_differentiated(Graph& graph, const std::string& fusion, const Backend& backend,
                         std::span<const Value> keep) {
  if (fusion == "plain") return;
  if (fusion == "f2") {
    fuse_conv_norm_chain(
        graph, keep, [&](const Graph& g, const Node& node) { return backend.supports(g, node); });
  }
  take_if_run(graph, backend, [](Graph& g) { use_relu_masks(g); });
}

}  // namespace

StepPrograms::StepPrograms(const Model& student, const Model* teacher, const RunConfig& config,
                           Backend& backend, const std::vector<float>& rates, bool shared)
    : backend_(backend), seed_(config.seed), rates_(rates) {
  KD_CHECK(needs_teacher(resolve_objective(loss_terms(config))) == (teacher != nullptr),
           teacher != nullptr ? "a teacher is given, but no term of the loss uses it"
                              : "a term of the loss needs a teacher, none is given");
  KD_CHECK(!rates_.empty(), "a step needs a learning rate");
  if (teacher != nullptr) {
    teacher_.emplace(*teacher, backend, config.batch_size, teacher_dtype(config, backend));
  }
  outcome_ = backend.allocate(kOutcomeBytes, Memory::device);
  scale_ = Tensor({DType::f32, {1}}, outcome_, kScale);
  counters_ = Tensor({DType::i32, {2}}, outcome_, kCounters);
  key_ = device({DType::i64, {2}});
  lr_ = device({DType::f32, {1}});
  all_rates_ = upload({DType::f32, {static_cast<int64_t>(rates_.size())}}, rates_.data());
  build_student(student, config, shared);
  build_update(config);
  const auto stream = backend.stream(Priority::normal);
  seek(0, *stream);
  const float first = variables_->low_dtype() == DType::f16 ? static_cast<float>(config.loss_scale)
                                                            : 1.0f;  // only f16 underflows
  const Tensor scale = Tensor::host(scale_.desc()), counters = Tensor::host(counters_.desc());
  *scale.as<float>() = first;
  std::fill_n(counters.as<int32_t>(), 2, 0);
  restore_scale({{"loss_scale", scale}, {"loss_scale_counters", counters}}, *stream);
}

Tensor StepPrograms::device(const TensorDesc& desc) const {
  return {desc, backend_.allocate(desc.bytes(), Memory::device)};
}

Tensor StepPrograms::upload(const TensorDesc& desc, const void* host) const {
  Tensor made = device(desc);
  const auto stream = backend_.stream(Priority::normal);
  backend_.copy(made.data(), host, made.bytes(), *stream);
  backend_.synchronize(*stream);
  return made;
}

void StepPrograms::build_student(const Model& student, const RunConfig& config, bool shared) {
  const DType dtype = student_dtype(config, backend_);
  ModelGraph made = training_graph(student, config, dtype);
  Graph& graph = made.graph;
  variables_.emplace(student, graph, backend_, config.decay_norm_and_bias);
  fuse_forward(graph, config.fusion, backend_, std::vector<Value>{made.logits});
  const TensorDesc logits = graph.desc(made.logits);
  const Value labels = graph.input("labels", {DType::i32, {config.batch_size}});
  const Value teacher = teacher_ ? graph.input("teacher_logits", logits) : Value{};
  const Value scale = dtype == DType::f32 ? Value{} : graph.input("loss_scale", scale_.desc());
  const DistillLoss loss = distill_loss(graph, made.logits, teacher, labels,
                                        resolve_objective(loss_terms(config)), "loss", scale);
  const Value correct = top_k_correct(graph, made.logits, labels, 1, "top1");
  const std::vector<Value> parameters = graph.leaves(Role::parameter);
  const std::vector<Seed> seeds{{made.logits, loss.dlogits}};
  const std::vector<Value> gradients = differentiate(graph, seeds, parameters);
  std::vector<Value> read = gradients;
  read.insert(read.end(), {loss.total, loss.terms, correct});
  fuse_differentiated(graph, config.fusion, backend_, read);

  CompileOptions options;
  options.bindings = variables_->bind(graph);
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = graph.info(parameters[i]).name;
    options.bindings.push_back({gradients[i], variables_->gradient(name)});
  }
  options.bindings.push_back({loss.total, Tensor(graph.desc(loss.total), outcome_, kTotal)});
  options.bindings.push_back({loss.terms, Tensor(graph.desc(loss.terms), outcome_, kTerms)});
  options.bindings.push_back({correct, Tensor(graph.desc(correct), outcome_, kCorrect)});
  if (scale) options.bindings.push_back({scale, scale_});
  if (const Value key = graph.find("dropout_key")) options.bindings.push_back({key, key_});
  if (teacher_ && shared) {
    options.bindings.push_back({teacher, teacher_->logits()});
    if (graph.desc(made.input) == teacher_->images().desc()) {
      options.bindings.push_back({made.input, teacher_->images()});  // both see the same pictures
    }
  }
  student_.emplace(compile(std::move(graph), backend_, options));
  images_ = student_->tensor(made.input);
  labels_ = student_->tensor(labels);
  if (teacher) teacher_logits_ = student_->tensor(teacher);
}

void StepPrograms::build_update(const RunConfig& config) {
  OptimizerAttrs attrs;
  attrs.momentum = config.momentum;
  attrs.weight_decay = config.weight_decay;
  attrs.nesterov = config.opt == "nesterov";
  attrs.decay_elements = variables_->decayed();
  Graph graph;
  CompileOptions options;
  const auto bound = [&](Role role, const std::string& name, const Tensor& tensor) {
    const Value v = graph.leaf(role, name, tensor.desc());
    options.bindings.push_back({v, tensor});
    return v;
  };
  OptimizerArena arena;
  arena.weights = bound(Role::parameter, "weights", variables_->parameters());
  arena.first = bound(Role::state, "velocity", variables_->velocity());
  arena.high_gradient = bound(Role::input, "gradients", variables_->gradients());
  arena.lr = bound(Role::state, "lr", lr_);
  if (variables_->lowered() > 0) {
    arena.low_weights = bound(Role::state, "low_weights", variables_->low_parameters());
    arena.low_gradient = bound(Role::input, "low_gradients", variables_->low_gradients());
    arena.loss_scale = bound(Role::state, "loss_scale", scale_);
    arena.squares = gradient_squares(graph, arena.low_gradient, arena.high_gradient);
  }
  optimizer_update(graph, arena, attrs);
  if (arena.squares) {
    LossScaleAttrs dynamic;
    if (variables_->low_dtype() == DType::bf16) dynamic.most = 1;
    loss_scale_update(graph, arena.squares, arena.loss_scale,
                      bound(Role::state, "counters", counters_), dynamic);
  }
  advance_step(graph, bound(Role::state, "key", key_), arena.lr,
               bound(Role::input, "rates", all_rates_));
  update_.emplace(compile(std::move(graph), backend_, options));
}

StepPrograms::Outcome StepPrograms::unpack(const void* bytes) {
  const auto* at = static_cast<const std::byte*>(bytes);
  float total = 0, scale = 0;
  std::array<float, kLossTerms> terms{};
  int32_t correct = 0;
  std::array<int32_t, 2> counters{};
  std::memcpy(&total, at + kTotal, sizeof(total));
  std::memcpy(terms.data(), at + kTerms, sizeof(terms));
  std::memcpy(&correct, at + kCorrect, sizeof(correct));
  std::memcpy(&scale, at + kScale, sizeof(scale));
  std::memcpy(counters.data(), at + kCounters, sizeof(counters));
  Outcome outcome{double{total}, {}, correct, counters[1], double{scale}};
  std::ranges::copy(terms, outcome.terms.begin());
  return outcome;
}

void StepPrograms::seek(int64_t step, Stream& stream) {
  const std::array<int64_t, 2> key{seed_, step};
  const auto last = static_cast<int64_t>(rates_.size()) - 1;
  const float lr = rates_[static_cast<size_t>(std::clamp<int64_t>(step, 0, last))];
  backend_.copy(key_.data(), key.data(), sizeof(key), stream);
  backend_.copy(lr_.data(), &lr, sizeof(lr), stream);
  backend_.synchronize(stream);
}

std::map<std::string, Tensor> StepPrograms::fetch_scale(Stream& stream) const {
  const Tensor scale = Tensor::host(scale_.desc()), counters = Tensor::host(counters_.desc());
  backend_.copy(scale.data(), scale_.data(), scale.bytes(), stream);
  backend_.copy(counters.data(), counters_.data(), counters.bytes(), stream);
  backend_.synchronize(stream);
  return {{"loss_scale", scale}, {"loss_scale_counters", counters}};
}

void StepPrograms::restore_scale(const std::map<std::string, Tensor>& host, Stream& stream) {
  for (const auto& [name, to] :
       {std::pair{"loss_scale", scale_}, std::pair{"loss_scale_counters", counters_}}) {
    const auto at = host.find(name);
    KD_CHECK(at != host.end() && at->second.desc() == to.desc(),
             "the tensor '{}' is missing or not {}", name, to.desc().str());
    backend_.copy(to.data(), at->second.data(), to.bytes(), stream);
  }
  backend_.synchronize(stream);
}

}  // namespace kd
