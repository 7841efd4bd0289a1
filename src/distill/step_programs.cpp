#include "distill/step_programs.h"

#include <algorithm>
#include <cstring>

#include "distill/precision.h"
#include "kd/error.h"

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
  setup.pixels = student.graph.shape(student.input);
  setup.pixels.set(0, stage.batch_size);
  return setup;
}

StepPrograms::StepPrograms(const StepSetup& setup, Backend& backend, bool shared)
    : backend_(backend), seed_(setup.stage.seed), terms_(loss_terms(setup.stage)) {
  const bool taught = needs_teacher(terms_);
  KD_CHECK(setup.schedule.steps() > 0, "a step needs a learning rate");
  KD_CHECK(terms_.size() <= kMostTerms, "{} terms, at most {}", terms_.size(), kMostTerms);
  graph_ = build_step_graph(setup.models, setup.stage,
                            {.dtype = student_dtype(setup.stage, backend),
                             .population = setup.population,
                             .labelled = !setup.all_labels.empty(),
                             .backend = &backend});
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
  updates_ = device({DType::i64, {2}});
  build_schedule(setup);
  if (taught) {
    const int64_t count = std::ssize(teachers_in_use(setup.stage, setup.models.teachers.size()));
    const Tensor shares =
        column(StepSchedule::columns(static_cast<int64_t>(graph_.graph_terms.size()), 0), {count});
    const auto source = setup.kept_logits ? Teachers::Source::given : Teachers::Source::programs;
    teachers_.emplace(setup.models.teachers, setup.stage, graph_.taught, backend, shares, source);
  }
  build_student(setup, shared);
  build_update(setup.stage);
  const auto stream = backend.stream(Priority::normal);
  seek(0, *stream);
  restore_state(first_state(setup.stage), *stream);
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
  variables_.emplace(
      graph, graph_.parameters, initial, backend_,
      Variables::Options{setup.stage.decay_norm_and_bias, update_arenas(setup.stage)});
  CompileOptions options;
  options.bindings = variables_->bind(graph);
  for (size_t i = 0; i < graph_.parameters.size(); ++i) {
    const std::string& name = graph.info(graph_.parameters[i]).name;
    options.bindings.push_back({graph_.gradients[i], variables_->gradient(name)});
  }
  bind_outcome(options.bindings);
  if (graph_.key) options.bindings.push_back({graph_.key, key_});
  if (graph_.all_labels) bind_all_labels(setup, options.bindings);
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
  if (graph_.ids) ids_ = student_->tensor(graph_.ids);
  if (graph_.partner_labels) {
    partner_labels_ = student_->tensor(graph_.partner_labels);
    shares_ = student_->tensor(graph_.shares);
  }
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
  if (teachers_->source() == Teachers::Source::given) return;
  const Model& first = *models.teachers[static_cast<size_t>(teachers_->used()[0])];
  if (graph.desc(graph_.input) == teachers_->images(0).desc() &&
      first.preprocess == models.student->preprocess) {
    bindings.push_back({graph_.input, teachers_->images(0)});  // both see the same pictures
  }
}

void StepPrograms::bind_all_labels(const StepSetup& setup, std::vector<Binding>& bindings) const {
  const Tensor labels = device(graph_.graph.desc(graph_.all_labels));
  KD_CHECK(std::ssize(setup.all_labels) == labels.elements(), "{} labels of {} training pictures",
           setup.all_labels.size(), labels.elements());
  const auto stream = backend_.stream(Priority::normal);
  backend_.copy(labels.data(), setup.all_labels.data(), labels.bytes(), *stream);
  backend_.synchronize(*stream);
  bindings.push_back({graph_.all_labels, labels});
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

void StepPrograms::build_update(const RunConfig& stage) {
  UpdateMemory memory{.lr = column(StepSchedule::kRate, {1}),
                      .scale = scale_,
                      .counters = counters_,
                      .updates = updates_,
                      .rate_scale = {},
                      .key = key_,
                      .row = row_,
                      .table = table_};
  const std::vector<float> scales = rate_scales(stage, *variables_);
  if (!scales.empty()) {
    memory.rate_scale = device(variables_->parameters().desc());
    const auto stream = backend_.stream(Priority::normal);
    backend_.copy(memory.rate_scale.data(), scales.data(), memory.rate_scale.bytes(), *stream);
    backend_.synchronize(*stream);
  }
  update_.emplace(stage, *variables_, memory, backend_);
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
  update_->seek(step);
  backend_.copy(key_.data(), key.data(), sizeof(key), stream);
  backend_.copy(row_.data(), row, row_.bytes(), stream);
  backend_.synchronize(stream);
}

std::map<std::string, Tensor> StepPrograms::first_state(const RunConfig& stage) const {
  std::map<std::string, Tensor> first;
  for (const auto& [name, tensor] : state()) first[name] = Tensor::host(tensor.desc());
  const bool scaled = variables_->low_dtype() == DType::f16;  // only f16 underflows
  *first["loss_scale"].as<float>() = scaled ? static_cast<float>(stage.loss_scale) : 1.0f;
  std::fill_n(first["loss_scale_counters"].as<int32_t>(), 2, 0);
  first["updates"].as<int64_t>()[0] = seed_;
  first["updates"].as<int64_t>()[1] = 0;
  return first;
}

std::map<std::string, Tensor> StepPrograms::state() const {
  return {{"loss_scale", scale_}, {"loss_scale_counters", counters_}, {"updates", updates_}};
}

std::map<std::string, Tensor> StepPrograms::fetch_state(Stream& stream) const {
  std::map<std::string, Tensor> host;
  for (const auto& [name, from] : state()) {
    host[name] = Tensor::host(from.desc());
    backend_.copy(host[name].data(), from.data(), from.bytes(), stream);
  }
  backend_.synchronize(stream);
  return host;
}

void StepPrograms::restore_state(const std::map<std::string, Tensor>& host, Stream& stream) {
  for (const auto& [name, to] : state()) {
    const auto at = host.find(name);
    KD_CHECK(at != host.end() && at->second.desc() == to.desc(),
             "the tensor '{}' is missing or not {}", name, to.desc().str());
    backend_.copy(to.data(), at->second.data(), to.bytes(), stream);
  }
  backend_.synchronize(stream);
}

}  // namespace kd
