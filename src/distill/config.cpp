// How files and flags fill a configuration, and what is checked of it.
#include "kd/config.h"

#include <algorithm>
#include <cmath>

#include "core/json.h"
#include "distill/cacheable.h"
#include "distill/module_replacement.h"
#include "distill/precision.h"
#include "distill/recipe.h"
#include "distill/search_space.h"

namespace kd {

namespace {

std::vector<std::string> names_of(const std::vector<Setting>& list) {
  std::vector<std::string> names;
  for (const Setting& setting : list) names.push_back(setting.name);
  return names;
}

void check_bounds(const Setting& setting) {
  const auto check = [&](double value) {
    if (!(value >= setting.low && value <= setting.high)) {
      fail(ErrorCode::usage, "--{} is {}, expected {} to {}", setting.name, value, setting.low,
           setting.high);
    }
  };
  std::visit(
      [&](auto* place) {
        using T = std::remove_pointer_t<decltype(place)>;
        if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, double>) {
          check(static_cast<double>(*place));
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>> ||
                             std::is_same_v<T, std::vector<double>>) {
          for (const auto value : *place) check(static_cast<double>(value));
        }
      },
      setting.place);
}

void check_choice(const std::string& name, const std::string& value,
                  const std::vector<std::string>& choices) {
  for (const std::string& choice : choices) {
    if (value == choice) return;
  }
  fail(ErrorCode::usage, "--{} is '{}'{}", name, value, suggestion(value, choices));
}

// Reads an object's keys into settings and terms; others but those in `beside` are errors.
void read_keys(const Json& json, const std::vector<Setting>& list, StageConfig& stage,
               const std::string& where, const std::vector<std::string>& beside) {
  if (!json.is_object()) fail(ErrorCode::usage, "{}: expected an object in braces", where);
  for (const auto& [key, value] : json.items()) {
    if (std::ranges::find(beside, key) != beside.end()) continue;
    if (key == "terms") {
      if (!value.is_array() || value.empty()) {
        fail(ErrorCode::usage, "{}: 'terms' is {}, expected a list of one or more terms", where,
             quoted(value));
      }
      stage.terms.clear();
      for (const Json& item : value) stage.terms.push_back(read_term(item, where + ": terms"));
      continue;
    }
    const auto at = std::ranges::find(list, key, &Setting::name);
    if (at == list.end()) {
      std::vector<std::string> names = names_of(list);
      names.emplace_back("terms");
      names.insert(names.end(), beside.begin(), beside.end());
      fail(ErrorCode::usage, "{}: unknown key '{}'{}", where, key, suggestion(key, names));
    }
    assign(*at, value, where);
  }
}

}  // namespace

void read_config(const std::filesystem::path& path, RunConfig& config) {
  const std::string where = path.string();
  const Json json = read_json(where);
  read_keys(json, settings(config), config, where, {"stages", "about", "search"});
  if (json.contains("search")) config.search = read_search_space(json["search"], where);
  if (!json.contains("stages")) return;
  const Json& stages = json["stages"];
  if (!stages.is_array() || stages.empty()) {
    fail(ErrorCode::usage, "{}: 'stages' must be a list of one or more objects", where);
  }
  config.stages.clear();
  for (size_t i = 0; i < stages.size(); ++i) {
    StageConfig stage = static_cast<const StageConfig&>(config);
    stage.name = format("stage {}", i + 1);
    read_keys(stages[i], stage_settings(stage), stage, format("{}: stages[{}]", where, i), {});
    config.stages.push_back(std::move(stage));
  }
}

void override_stages(RunConfig& config, std::span<const std::string> names) {
  const std::vector<Setting> from = stage_settings(config);
  for (StageConfig& stage : config.stages) {
    const std::vector<Setting> to = stage_settings(stage);
    for (size_t i = 0; i < from.size(); ++i) {
      if (std::ranges::find(names, from[i].name) == names.end()) continue;
      std::visit([&](auto* source) { *std::get<decltype(source)>(to[i].place) = *source; },
                 from[i].place);
    }
  }
}

std::string config_to_json(const RunConfig& config) {
  RunConfig copy = config;
  Json json = write_settings(settings(copy));
  const auto terms = [](const StageConfig& stage) {
    Json list = Json::array();
    for (const TermSpec& spec : stage.terms) list.push_back(write_term(spec));
    return list;
  };
  if (!config.terms.empty()) json["terms"] = terms(config);
  for (StageConfig& stage : copy.stages) {
    Json one = write_settings(stage_settings(stage));
    if (!stage.terms.empty()) one["terms"] = terms(stage);
    json["stages"].push_back(std::move(one));
  }
  return json.dump(2);
}

int64_t stage_count(const RunConfig& config) {
  return std::max<int64_t>(1, static_cast<int64_t>(config.stages.size()));
}

RunConfig at_stage(const RunConfig& config, int64_t stage) {
  RunConfig one = config;
  if (config.stages.empty()) return one;
  static_cast<StageConfig&>(one) = config.stages.at(static_cast<size_t>(stage));
  for (int64_t i = 0; i < stage; ++i) {
    one.assistants += !config.stages[static_cast<size_t>(i)].assistant.empty();
  }
  one.stages.clear();
  return one;
}

namespace {

void check_teachers(const RunConfig& c) {
  const auto count = static_cast<int64_t>(c.teacher.size()) + c.assistants;
  for (const int64_t which : c.use_teachers) {
    if (which >= count) {
      fail(ErrorCode::usage, "--use-teachers names teacher {}, the run has {} (from 0)", which,
           count);
    }
  }
  const size_t used = c.use_teachers.empty() ? static_cast<size_t>(count) : c.use_teachers.size();
  const auto one_each = [&](const std::vector<double>& list, std::string_view name) {
    if (!list.empty() && list.size() != used) {
      fail(ErrorCode::usage, "--{} has {} entries for {} teachers", name, list.size(), used);
    }
  };
  one_each(c.teacher_weights, "teacher-weights");
  one_each(c.teacher_join, "teacher-join");
  if (!c.teacher_join.empty() && std::ranges::min(c.teacher_join) > 0) {
    fail(ErrorCode::usage, "--teacher-join: no teacher is there at epoch 0");
  }
  for (const TermSpec& spec : loss_terms(c)) {
    for (const TapPair& pair : spec.at) {
      if (term(spec.name).needs_teacher && pair.which >= count) {
        fail(ErrorCode::usage, "loss term '{}': 'at' names teacher {}, the run has {} (from 0)",
             spec.name, pair.which, count);
      }
    }
  }
}

void check_replacement(const RunConfig& c) {
  if (!replaces_modules(c)) return;
  if (c.teacher.empty() && c.assistants == 0) {
    fail(ErrorCode::usage, "--replace-to needs a teacher: give --teacher");
  }
  if (c.replace_from > c.replace_to) {
    fail(ErrorCode::usage, "--replace-from is {}, above --replace-to, {}", c.replace_from,
         c.replace_to);
  }
  for (const TermSpec& spec : loss_terms(c)) {
    if (term(spec.name).most_taps == 0 && !term(spec.name).needs_model) continue;
    fail(ErrorCode::usage,
         "loss term '{}': a stage that replaces modules takes terms over logits only", spec.name);
  }
}

void check_stage(const RunConfig& c) {
  check_choice("opt", c.opt, {"sgd", "nesterov", "adagrad", "rmsprop", "adam", "adamw", "lamb"});
  check_choice("sched", c.sched, {"constant", "step", "multi-step", "cosine", "one-cycle"});
  if (c.sched == "multi-step" && c.milestones.empty()) {
    fail(ErrorCode::usage, "--sched multi-step needs --milestones, the epochs of its drops");
  }
  check_choice("teacher-mix", c.teacher_mix, {"logits", "probabilities", "confidence"});
  check_choice("teacher-mode", c.teacher_mode, {"eval", "train"});
  const std::vector<TermSpec> terms = loss_terms(c);
  check_terms(terms, static_cast<double>(c.epochs));
  if (needs_teacher(terms) && c.teacher.empty() && c.assistants == 0) {
    const auto wants = std::ranges::find_if(
        terms, [](const TermSpec& spec) { return term(spec.name).needs_teacher; });
    fail(ErrorCode::usage, "the loss term '{}' needs a teacher: give --teacher", wants->name);
  }
  check_teachers(c);
  check_replacement(c);
  check_cacheable(c);
  if (c.opt == "nesterov" && c.momentum == 0) {
    fail(ErrorCode::usage, "--opt nesterov needs --momentum above 0");
  }
  if (c.accumulate > 1 && c.pipeline == "graph") {
    fail(ErrorCode::usage, "--accumulate {} does not go with --pipeline graph", c.accumulate);
  }
  if (!c.head_hidden.empty() && !c.new_head) {
    fail(ErrorCode::usage, "--head-hidden is given without --new-head");
  }
}

}  // namespace

void check_config(const RunConfig& config) {
  RunConfig copy = config;
  for (const Setting& setting : settings(copy)) check_bounds(setting);
  check_choice("device", config.device, {"auto", "cpu", "cuda"});
  check_choice("precision", config.precision, precision_names());
  check_choice("teacher-precision", config.teacher_precision, precision_names());
  check_choice("pipeline", config.pipeline, {"auto", "serial", "streams", "graph"});
  check_choice("fusion", config.fusion, {"auto", "plain", "f1", "f2"});
  const auto required = [](const std::string& value, std::string_view name) {
    if (value.empty()) fail(ErrorCode::usage, "--{} is missing", name);
  };
  required(config.student, "student");
  required(config.data, "data");
  if (!config.dry_run) required(config.output, "output");
  bool taught = false;
  for (int64_t i = 0; i < stage_count(config); ++i) {
    RunConfig stage = at_stage(config, i);
    try {
      for (const Setting& setting : stage_settings(stage)) check_bounds(setting);
      check_stage(stage);
    } catch (const Error& error) {
      if (config.stages.empty()) throw;
      throw Error(error.code(), format("{}: {}", stage.name, error.what()));
    }
    taught = taught || needs_teacher(loss_terms(stage)) || replaces_modules(stage);
  }
  if (config.baseline && config.teacher.empty()) {
    fail(ErrorCode::usage, "--baseline trains without the teacher, but there is none");
  }
  if (!taught && !config.teacher.empty()) {
    fail(ErrorCode::usage, "--teacher is given, but no term of the loss uses it");
  }
}

std::vector<TermSpec> loss_terms(const RunConfig& config) {
  std::vector<TermSpec> terms;
  if (!config.loss.empty()) {
    terms = parse_terms(config.loss);
  } else if (!config.terms.empty()) {
    return config.terms;
  } else if (config.teacher.empty()) {
    terms = {{"ce"}};
  } else {
    if (config.alpha < 1) terms.push_back({"ce", 1 - config.alpha});
    if (config.alpha > 0) terms.push_back({"kl", config.alpha});
  }
  for (TermSpec& term : terms) {
    if (term.name == "ce") term.params["label_smoothing"] = config.label_smoothing;
    if (term.name == "kl") term.params["temperature"] = config.temperature;
    if (term.name == "lse_margin" || term.name == "lse_margin_literal") {
      term.params["margin"] = config.margin;
    }
  }
  return terms;
}

}  // namespace kd
