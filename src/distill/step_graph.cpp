#include "distill/step_graph.h"

#include <algorithm>

#include "core/names.h"
#include "distill/fusion.h"
#include "distill/gradient_penalty.h"
#include "distill/module_replacement.h"
#include "distill/peer.h"
#include "distill/update_graph.h"
#include "kd/error.h"
#include "kd/layers.h"
#include "kd/passes.h"
#include "kd/term_graph.h"
#include "nn/initialise.h"

namespace kd {
namespace {

// Which parameters a stage trains.
class Trained {
 public:
  Trained(const Model& student, const RunConfig& stage) : stage_(stage) {
    for (const auto* patterns : {&stage.train, &stage.freeze}) {
      for (const std::string& pattern : *patterns) check(student, pattern);
    }
  }
  bool operator()(const std::string& name) const {
    return (stage_.train.empty() || any(stage_.train, name)) && !any(stage_.freeze, name);
  }

 private:
  static bool any(const std::vector<std::string>& patterns, const std::string& name) {
    return std::ranges::any_of(patterns, [&](const auto& p) { return matches_layer(p, name); });
  }
  static void check(const Model& student, const std::string& pattern) {
    std::vector<std::string> names;
    for (const Value v : student.graph.leaves(Role::parameter)) {
      names.push_back(student.graph.info(v).name);
      if (matches_layer(pattern, names.back())) return;
    }
    for (std::string& name : names) name = name.substr(0, name.rfind('.'));
    fail(ErrorCode::usage, "{}: '{}' matches no layer with weights{}", student.name, pattern,
         suggestion(pattern, names));
  }
  const RunConfig& stage_;
};

// The pairs of layers that a term reads, by default those of its kind.
std::vector<TapPair> taps_of(const TermSpec& spec, const StepModels& models) {
  const TermDef& def = term(spec.name);
  if (!spec.at.empty() || def.most_taps == 0) return spec.at;
  if (def.taps == DefaultTaps::features) return {{"features", "features"}};
  const auto stages = [](const Model& model) {
    return static_cast<int>(stage_outputs(model).size());
  };
  int count = stages(*models.student);
  if (def.needs_teacher) count = std::min(count, stages(*models.teachers.at(0)));
  count = std::min(count, def.most_taps);
  if (count < def.least_taps) {
    fail(ErrorCode::usage, "loss term '{}': the models share {} stages, it needs {}; name layers",
         spec.name, count, def.least_taps);
  }
  std::vector<TapPair> pairs;
  const std::string_view where = def.taps == DefaultTaps::pre_activations ? ":pre" : "";
  for (int i = count; i > 0; --i) {
    const std::string path = format("@-{}{}", i, where);
    pairs.push_back({path, path});
  }
  return pairs;
}

// By value id: does a gradient of one of `ends` arrive there?
std::vector<char> receivers(const Graph& graph, std::span<const Value> ends) {
  std::vector<char> receives(static_cast<size_t>(graph.value_count()), 0);
  for (const Value end : ends) receives[static_cast<size_t>(end.id)] = 1;
  for (auto node = graph.nodes().rbegin(); node != graph.nodes().rend(); ++node) {
    const bool any = std::ranges::any_of(
        node->outputs, [&](Value v) { return receives[static_cast<size_t>(v.id)] != 0; });
    if (!any || node->op->name == "stop_gradient") continue;
    for (const Value input : node->inputs) receives[static_cast<size_t>(input.id)] = 1;
  }
  return receives;
}

class Builder {
 public:
  Builder(const StepModels& models, const RunConfig& stage, const StepGraphOptions& options)
      : models_(models),
        stage_(stage),
        options_(options),
        terms_(loss_terms(stage)),
        trained_(*models.student, stage) {}

  StepGraph build();

 private:
  void instantiate_student();
  ModelGraph beside_predecessor(const ModelGraph& student);
  void fuse();
  void add_leaves();
  void add_leaves_of_pictures();
  void add_row_terms();
  void add_graph_terms();
  void add_graph_term(const TermSpec& spec, size_t first_tap);
  Value taught_layer(const TapPair& pair);
  Value peer_logits(const TermSpec& spec);
  Value as_f32(Value v) {
    const bool low = made_.graph.desc(v).dtype != DType::f32;
    return low ? cast(made_.graph, v, DType::f32) : v;
  }
  void seed(Value value, Value gradient) {
    if (made_.loss_scale) {
      gradient = mul(made_.graph, gradient, reshape(made_.graph, made_.loss_scale, {}));
    }
    seeds_.push_back({value, gradient});
  }
  void differentiate_all();
  void check_penalty() const;
  DistillLossInputs row_inputs() const;
  std::function<bool(const std::string&)> frozen() const;
  std::vector<Value> results() const;

  const StepModels& models_;
  const RunConfig& stage_;
  const StepGraphOptions& options_;
  std::vector<TermSpec> terms_;
  Trained trained_;
  StepGraph made_;
  std::vector<std::vector<TapPair>> pairs_;  // of each term
  std::vector<Value> taps_;                  // the student's, of all pairs
  std::vector<Seed> seeds_;
  std::vector<std::string> dead_;  // batch norm scales that no term depends on
};

void Builder::instantiate_student() {
  InstantiateOptions how;
  for (const TermSpec& spec : terms_) {
    pairs_.push_back(taps_of(spec, models_));
    for (const TapPair& pair : pairs_.back()) {
      how.taps.push_back(find_layer(*models_.student, pair.student));
    }
  }
  how.frozen = frozen();
  const bool replaces = replaces_modules(stage_);
  if (replaces) how.taps = stage_outputs(*models_.student);  // no other taps: its terms have none
  ModelGraph student = lower_precision(
      instantiate(*models_.student, stage_.batch_size, Mode::training, how), options_.dtype);
  if (replaces) student = beside_predecessor(student);
  made_.graph = std::move(student.graph);
  made_.input = student.input;
  made_.logits = student.logits;
  made_.key = made_.graph.find("dropout_key");
  taps_ = std::move(student.taps);
}

ModelGraph Builder::beside_predecessor(const ModelGraph& student) {
  const auto which = static_cast<size_t>(predecessor_of(stage_));
  ModuleReplacement mixed = replace_modules(*models_.student, student, *models_.teachers.at(which));
  made_.replaced = std::move(mixed.replaced);
  made_.initial = std::move(mixed.initial);
  made_.adapters = std::move(mixed.adapters);
  return std::move(mixed.mixed);
}

// The forward pass, the student's and what terms train beside it.
void Builder::fuse() {
  std::vector<Value> read = results();
  read.insert(read.end(), taps_.begin(), taps_.end());
  read.push_back(made_.logits);
  for (const Seed& seed : seeds_) {
    read.push_back(seed.value);
    read.push_back(seed.gradient);
  }
  fuse_forward(made_.graph, stage_.fusion, options_.backend, read);
}

void Builder::add_leaves() {
  Graph& graph = made_.graph;
  made_.labels = graph.input("labels", {DType::i32, {stage_.batch_size}});
  if (stage_.mixup > 0 || stage_.cutmix > 0) {
    made_.partner_labels = graph.input("partner_labels", {DType::i32, {stage_.batch_size}});
    made_.shares = graph.input("shares", {DType::f32, {stage_.batch_size}});
  }
  if (options_.dtype != DType::f32) made_.loss_scale = graph.input("loss_scale", {DType::f32, {1}});
  if (needs_ids(terms_)) add_leaves_of_pictures();
  if (!needs_teacher(terms_)) return;
  if (models_.teachers.empty())
    fail(ErrorCode::usage, "a term of the loss needs a teacher, none is given");
  made_.teacher_logits = graph.input("teacher_logits", graph.desc(made_.logits));
}

// Which pictures these are, and what is random from step to step.
void Builder::add_leaves_of_pictures() {
  Graph& graph = made_.graph;
  made_.ids = graph.input("ids", {DType::i32, {stage_.batch_size}});
  if (!made_.key) made_.key = graph.input("dropout_key", {DType::i64, {2}});
  if (!options_.labelled) return;
  made_.all_labels = graph.input("all_labels", {DType::i32, {options_.population}});
}

void Builder::add_row_terms() {
  Graph& graph = made_.graph;
  const DistillLossAttrs attrs = resolve_objective(terms_);
  const bool any = std::ranges::any_of(attrs.weight, [](double w) { return w != 0; });
  if (!any) return;
  const bool scheduled = std::ranges::any_of(terms_, [](const TermSpec& spec) {
    return term(spec.name).is_row_term() && !spec.schedule.constant();
  });
  if (scheduled) made_.row_weights = graph.input("term_weights", {DType::f32, {kLossTerms}});
  const DistillLoss loss = distill_loss(graph, row_inputs(), attrs, "loss");
  made_.total = loss.total;
  made_.row_terms = loss.terms;
  seeds_.push_back({made_.logits, loss.dlogits});
  made_.correct = top_k_correct(graph, made_.logits, made_.labels, 1, "top1");
}

Value Builder::taught_layer(const TapPair& pair) {
  const Model& teacher = *models_.teachers.at(static_cast<size_t>(pair.which));
  const Value source = find_layer(teacher, pair.teacher);
  for (const TaughtLayer& known : made_.taught) {
    if (known.teacher == pair.which && known.source == source) return known.leaf;
  }
  TensorDesc desc{DType::f32, teacher.graph.shape(source)};
  desc.shape.set(0, stage_.batch_size);
  const Value leaf =
      made_.graph.input(format("taught.{}.{}", pair.which, made_.taught.size()), desc);
  made_.taught.push_back({pair.which, source, leaf});
  return leaf;
}

Value Builder::peer_logits(const TermSpec& spec) {
  Peer peer = add_peer(made_.graph, *models_.peers.at(spec.model), made_.input, peer_prefix(spec));
  made_.key = made_.graph.find("dropout_key");
  made_.initial.merge(peer.initial);
  return peer.logits;
}

void Builder::add_graph_term(const TermSpec& spec, size_t first_tap) {
  Graph& graph = made_.graph;
  const TermDef& def = term(spec.name);
  TermGraph::Parts parts{.student_logits = as_f32(made_.logits),
                         .teacher_logits = made_.teacher_logits,
                         .labels = made_.labels,
                         .ids = made_.ids,
                         .key = made_.key,
                         .all_labels = made_.all_labels,
                         .population = options_.population,
                         .taps = {}};
  if (parts.teacher_logits) parts.teacher_logits = as_f32(parts.teacher_logits);
  const std::vector<TapPair>& pairs = pairs_[static_cast<size_t>(&spec - terms_.data())];
  for (size_t i = 0; i < pairs.size(); ++i) {
    parts.taps.push_back({as_f32(taps_[first_tap + i]),
                          def.needs_teacher ? taught_layer(pairs[i]) : Value{},
                          pairs[i].student + ">" + pairs[i].teacher});
  }
  parts.partner_labels = made_.partner_labels;
  parts.shares = made_.shares;
  if (def.needs_model) parts.peer_logits = peer_logits(spec);
  TermGraph term_graph(graph, def, spec, std::move(parts));
  const Value value = def.build(term_graph);
  made_.graph_terms.push_back(value);
  Value weight = fill(graph, {}, spec.weight);
  Value factor;
  if (!spec.schedule.constant()) {
    factor = graph.input(format("term_weight.{}", made_.graph_terms.size()), {DType::f32, {}});
    weight = mul(graph, weight, factor);
  }
  made_.graph_weights.push_back(factor);
  const Value weighted = mul(graph, value, weight);
  made_.total = made_.total ? add(graph, made_.total, weighted) : weighted;
  seed(value, weight);
  for (const auto& [name, tensor] : term_graph.initial()) made_.initial[name] = tensor;
  for (const std::string& line : term_graph.adapters()) made_.adapters.push_back(line);
}

void Builder::add_graph_terms() {
  size_t tap = 0;
  for (size_t i = 0; i < terms_.size(); ++i) {
    if (!term(terms_[i].name).is_row_term()) add_graph_term(terms_[i], tap);
    tap += pairs_[i].size();
  }
}

void Builder::differentiate_all() {
  Graph& graph = made_.graph;
  std::vector<Value> ends;
  for (const Seed& seed : seeds_) ends.push_back(seed.value);
  const std::vector<char> reached = receivers(graph, ends);
  for (const Value v : graph.leaves(Role::parameter)) {
    const std::string& name = graph.info(v).name;
    const bool own = models_.student->tensors.contains(name);
    if (own ? !trained_(name) : name.starts_with(kPredecessor)) continue;
    if (reached[static_cast<size_t>(v.id)] != 0) {
      made_.parameters.push_back(v);
    } else {
      made_.unreached.push_back(name);
    }
  }
  if (made_.parameters.empty()) fail(ErrorCode::usage, "nothing trains: every layer is frozen");
  std::vector<std::string> names;
  for (const Value v : made_.parameters) names.push_back(graph.info(v).name);
  rate_factors(stage_, names);  // said before data is read
  if (stage_.gradient_penalty == 0) {
    made_.gradients = differentiate(graph, seeds_, made_.parameters);
    return;
  }
  std::vector<Value> wrt = made_.parameters;
  wrt.push_back(made_.input);
  made_.gradients = differentiate(graph, seeds_, wrt);
  const Value input_gradient = made_.gradients.back();
  made_.gradients.pop_back();
  const Value penalty = add_gradient_penalty(graph,
                                             {.student = *models_.student,
                                              .stage = stage_,
                                              .how = {.frozen = frozen()},
                                              .loss = row_inputs(),
                                              .attrs = resolve_objective(terms_),
                                              .input = made_.input,
                                              .input_gradient = input_gradient},
                                             made_.parameters, made_.gradients);
  made_.total = add(graph, made_.total, penalty);
}

DistillLossInputs Builder::row_inputs() const {
  return {.student = made_.logits,
          .teacher = made_.teacher_logits,
          .labels = made_.labels,
          .partner_labels = made_.partner_labels,
          .shares = made_.shares,
          .term_weights = made_.row_weights,
          .loss_scale = made_.loss_scale};
}

// What of the student keeps its weights, and its batch norms their statistics.
std::function<bool(const std::string&)> Builder::frozen() const {
  return [this](const std::string& name) {
    return !trained_(name) || std::ranges::find(dead_, name) != dead_.end();
  };
}

void Builder::check_penalty() const {
  if (stage_.gradient_penalty == 0) return;
  const bool rows_only = std::ranges::all_of(
      terms_, [](const TermSpec& spec) { return term(spec.name).is_row_term(); });
  if (!rows_only || replaces_modules(stage_)) {
    fail(ErrorCode::usage, "--gradient-penalty goes with terms over logits only");
  }
  if (options_.dtype != DType::f32) {
    fail(ErrorCode::usage, "--gradient-penalty needs --precision fp32");
  }
}

// What is read outside, but for the gradients.
std::vector<Value> Builder::results() const {
  std::vector<Value> read = made_.graph_terms;
  for (const Value v : {made_.total, made_.row_terms, made_.correct}) {
    if (v) read.push_back(v);
  }
  return read;
}

StepGraph Builder::build() {
  check_terms(terms_, static_cast<double>(stage_.epochs));
  check_penalty();
  for (int pass = 0; pass < 2; ++pass) {
    made_ = {};
    pairs_.clear();
    seeds_.clear();
    instantiate_student();
    add_leaves();
    add_row_terms();
    add_graph_terms();
    fuse();
    differentiate_all();
    if (made_.unreached.empty() || !dead_.empty()) break;
    dead_ = made_.unreached;  // batch norms past the last term stay as they are
  }
  for (auto& [name, tensor] : initial_tensors(made_.graph, static_cast<uint64_t>(stage_.seed))) {
    if (!models_.student->tensors.contains(name)) made_.initial.emplace(name, tensor);
  }
  std::vector<Value> read = results();
  read.insert(read.end(), made_.gradients.begin(), made_.gradients.end());
  fuse_differentiated(made_.graph, stage_.fusion, options_.backend, read);
  return std::move(made_);
}

}  // namespace

StepGraph build_step_graph(const StepModels& models, const RunConfig& stage,
                           const StepGraphOptions& options) {
  return Builder(models, stage, options).build();
}

}  // namespace kd
