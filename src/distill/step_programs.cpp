#include "distill/step_programs.h"

#include <algorithm>
#include <cstring>

#include "distill/precision.h"
#include "kd/error.h"
#include "kd/optimizer_ops.h"

namespace kd {
namespace {

// Places in the block that a step leaves, 64 bytes apart: the values of terms outside the fused
// loss follow.
constexpr size_t kTotal = 0, kSlots = 64, kCorrect = 128, kScale = 192, kCounters = 256,
                 kGraphTerms = 320;
static_assert(kLossTerms * sizeof(float) <= kCorrect - kSlots);
constexpr size_t place_of_graph_term(size_t i) { return kGraphTerms + 64 * i; }

}  // namespace

StepSetup plain_setup(const Model& student, const Model* teacher, const RunConfig& stage,
                      std::vector<float> rates) {
  StepSetup setup{{&student, {}}, stage, StepSchedule(std::move(rates))};
  if (teacher != nullptr) setup.models.teachers = {teacher};
  return setup;
}

StepPrograms::StepPrograms(const StepSetup& setup, Backend& backend, bool shared)
    : backend_(backend), seed_(setup.stage.seed), terms_(loss_terms(setup.stage)) {
  const bool taught = needs_teacher(terms_);
  KD_CHECK(setup.schedule.steps() > 0, "a step needs a learning rate");
  KD_CHECK(terms_.size() <= kMostTerms, "{} terms, at most {}", terms_.size(), kMostTerms);
  graph_ = build_step_graph(setup.models, setup.stage,
                            {student_dtype(setup.stage, backend), setup.population, &backend});
  size_t graph_terms = 0;
  for (const TermSpec& spec : terms_) {
    const TermDef& def = term(spec.name);
    term_places_.push_back(def.is_row_term()
                               ? kSlots + sizeof(float) * static_cast<size_t>(def.slot)
                               : place_of_graph_term(graph_terms++));
  }
  outcome_ = backend.allocate(place_of_graph_term(graph_.graph_terms.size()), Memory::device);
  scale_ = Tensor({DType::f32, {1}}, outcome_, kScale);
  counters_ = Tensor({DType::i32, {2}}, outcome_, kCounters);
  key_ = device({DType::i64, {2}});
  build_schedule(setup);
  if (taught) {
    const auto count =
        static_cast<int64_t>(setup.stage.use_teachers.empty() ? setup.models.teachers.size()
                                                              : setup.stage.use_teachers.size());
    const Tensor shares =
        column(StepSchedule::columns(static_cast<int64_t>(graph_.graph_terms.size()), 0), {count});
    teachers_.emplace(setup.models.teachers, setup.stage, graph_.taught, backend, shares);
  }
  build_student(setup, shared);
  build_update(setup.stage);
  const auto stream = backend.stream(Priority::normal);
  seek(0, *stream);
  const float first = variables_->low_dtype() == DType::f16
                          ? static_cast<float>(setup.stage.loss_scale)
                          : 1.0f;  // only f16 underflows
  const Tensor scale = Tensor::host(scale_.desc()), counters = Tensor::host(counters_.desc());
  *scale.as<float>() = first;
  std::fill_n(counters.as<int32_t>(), 2, 0);
  restore_scale({{"loss_scale", scale}, {"loss_scale_counters", counters}}, *stream);
}

Tensor StepPrograms::device(const TensorDesc& desc) const {
  return {desc, backend_.allocate(desc.bytes(), Memory::device)};
}

Tensor StepPrograms::column(int64_t at, const Shape& shape) const {
  return {{DType::f32, shape}, row_.buffer(), static_cast<size_t>(at) * sizeof(float)};
}

void StepPrograms::build_schedule(const StepSetup& setup) {
  const auto graph_terms = static_cast<int64_t>(graph_.graph_terms.size());
  const auto teachers = static_cast<int64_t>(setup.models.teachers.size());
  const auto modules = static_cast<int64_t>(graph_.replaced.size());
  host_table_ = setup.schedule.table(graph_terms, teachers, modules);
  const int64_t columns = StepSchedule::columns(graph_terms, teachers, modules);
  row_ = device({DType::f32, {columns}});
  table_ = device({DType::f32, {setup.schedule.steps(), columns}});
  const auto stream = backend_.stream(Priority::normal);
  backend_.copy(table_.data(), host_table_.data(), table_.bytes(), *stream);
  backend_.synchronize(*stream);
}

void StepPrograms::build_student(const StepSetup& setup, bool shared) {
  std::map<std::string, Tensor> initial = setup.models.student->tensors;
  for (const auto& [name, tensor] : graph_.initial) {
    const auto before = setup.extras.find(name);
    const bool kept = before != setup.extras.end() && before->second.desc() == tensor.desc();
    initial[name] = kept ? before->second : tensor;
  }
  const Graph& graph = graph_.graph;
  variables_.emplace(graph, graph_.parameters, initial, backend_, setup.stage.decay_norm_and_bias);
  CompileOptions options;
  options.bindings = variables_->bind(graph);
  for (size_t i = 0; i < graph_.parameters.size(); ++i) {
    const std::string& name = graph.info(graph_.parameters[i]).name;
    options.bindings.push_back({graph_.gradients[i], variables_->gradient(name)});
  }
  bind_outcome(options.bindings);
  if (graph_.key) options.bindings.push_back({graph_.key, key_});
  for (size_t i = 0; i < graph_.graph_weights.size(); ++i) {
    if (!graph_.graph_weights[i]) continue;
    const auto at = StepSchedule::kGraphTerms + static_cast<int64_t>(i);
    options.bindings.push_back({graph_.graph_weights[i], column(at, {})});
  }
  if (graph_.row_weights) {
    options.bindings.push_back({graph_.row_weights, column(StepSchedule::kSlots, {kLossTerms})});
  }
  int64_t module = row_.elements() - static_cast<int64_t>(graph_.replaced.size());  // they are last
  for (const Value v : graph_.replaced) options.bindings.push_back({v, column(module++, {})});
  if (teachers_ && shared) bind_taught(setup.models, options.bindings);
  student_.emplace(compile(graph, backend_, options));
  images_ = student_->tensor(graph_.input);
  labels_ = student_->tensor(graph_.labels);
  if (!teachers_) return;
  handovers_.push_back({teachers_->logits(), student_->tensor(graph_.teacher_logits)});
  for (size_t i = 0; i < graph_.taught.size(); ++i) {
    handovers_.push_back({teachers_->taught()[i], student_->tensor(graph_.taught[i].leaf)});
  }
}

void StepPrograms::bind_taught(const StepModels& models, std::vector<Binding>& bindings) {
  const Graph& graph = graph_.graph;
  bindings.push_back({graph_.teacher_logits, teachers_->logits()});
  for (size_t i = 0; i < graph_.taught.size(); ++i) {
    bindings.push_back({graph_.taught[i].leaf, teachers_->taught()[i]});
  }
  const Model& first = *models.teachers[static_cast<size_t>(teachers_->used()[0])];
  if (graph.desc(graph_.input) == teachers_->images(0).desc() &&
      first.preprocess == models.student->preprocess) {
    bindings.push_back({graph_.input, teachers_->images(0)});  // both see the same pictures
  }
}

void StepPrograms::bind_outcome(std::vector<Binding>& bindings) const {
  const auto leave = [&](Value v, size_t at) {
    if (v) bindings.push_back({v, Tensor(graph_.graph.desc(v), outcome_, at)});
  };
  leave(graph_.total, kTotal);
  leave(graph_.row_terms, kSlots);
  leave(graph_.correct, kCorrect);
  for (size_t i = 0; i < graph_.graph_terms.size(); ++i) {
    leave(graph_.graph_terms[i], place_of_graph_term(i));
  }
  if (graph_.loss_scale) bindings.push_back({graph_.loss_scale, scale_});
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
  arena.lr = bound(Role::state, "lr", column(StepSchedule::kRate, {1}));
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
  advance_step(graph, bound(Role::state, "key", key_), bound(Role::state, "row", row_),
               bound(Role::input, "table", table_));
  update_.emplace(compile(std::move(graph), backend_, options));
}

StepPrograms::Outcome StepPrograms::unpack(const void* bytes) const {
  const auto* block = static_cast<const std::byte*>(bytes);
  const auto read = [&]<class T>(size_t at, T& to) { std::memcpy(&to, block + at, sizeof(to)); };
  float total = 0, scale = 0;
  int32_t correct = 0;
  std::array<int32_t, 2> counters{};
  read(kTotal, total), read(kScale, scale), read(kCounters, counters);
  if (graph_.correct) read(kCorrect, correct);
  Outcome outcome{double{total}, {}, correct, counters[1], double{scale}};
  for (size_t i = 0; i < term_places_.size(); ++i) {
    float value = 0;
    read(term_places_[i], value);
    outcome.terms[i] = double{value};
  }
  return outcome;
}

void StepPrograms::seek(int64_t step, Stream& stream) {
  const std::array<int64_t, 2> key{seed_, step};
  const int64_t last = table_.shape()[0] - 1, columns = table_.shape()[1];
  const float* row = host_table_.data() + std::clamp<int64_t>(step, 0, last) * columns;
  backend_.copy(key_.data(), key.data(), sizeof(key), stream);
  backend_.copy(row_.data(), row, row_.bytes(), stream);
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
