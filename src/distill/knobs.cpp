// Names for the numbers of a configuration.
#include <algorithm>
#include <cmath>

#include "distill/search_space.h"

namespace kd {
namespace {

constexpr double kHeaviest = 1e9;  // of a term's weight

// What all candidates must share: the budget sets the length, and the rest is the yardstick.
bool is_common(const std::string& name) {
  static const std::vector<std::string> names{
      "epochs",  "seed",     "seeds",   "val-split",       "dev-split",      "eval-every",
      "workers", "prefetch", "threads", "train-per-class", "max-bad-images", "teacher-min-top1"};
  return std::ranges::find(names, name) != names.end();
}

class Knobs {
 public:
  void add_setting(const std::string& prefix, const Setting& setting) {
    if (is_common(setting.name)) return;
    const std::string name = prefix + setting.name;
    if (auto* const* whole = std::get_if<int64_t*>(&setting.place)) {
      add({name, setting.low, setting.high, {*whole}});
    } else if (auto* const* real = std::get_if<double*>(&setting.place)) {
      add({name, setting.low, setting.high, {*real}});
    }
  }
  void add_terms(const std::string& prefix, StageConfig& stage) {
    for (TermSpec& spec : stage.terms) {
      const std::string name = prefix + "terms." + spec.name + ".";
      add({name + "weight", 0, kHeaviest, {&spec.weight}});
      for (const TermParam& param : term(spec.name).params) {
        const std::string own(param.name);
        add({name + own, param.low, param.high, {Knob::Parameter{&spec, own, param.fallback}}});
      }
    }
  }
  std::vector<Knob> take() { return std::move(knobs_); }

 private:
  void add(Knob knob) {  // a name met before gains a place
    const auto at = std::ranges::find(knobs_, knob.name, &Knob::name);
    if (at == knobs_.end()) {
      knobs_.push_back(std::move(knob));
    } else {
      at->places.push_back(std::move(knob.places.front()));
    }
  }

  std::vector<Knob> knobs_;
};

}  // namespace

std::optional<double> Knob::get() const {
  const auto value = [](const auto& place) {
    if (auto* const* whole = std::get_if<int64_t*>(&place)) return static_cast<double>(**whole);
    if (auto* const* real = std::get_if<double*>(&place)) return **real;
    const auto& parameter = std::get<Parameter>(place);
    const auto at = parameter.term->params.find(parameter.name);
    return at == parameter.term->params.end() ? parameter.fallback : at->second;
  };
  const double first = value(places.front());
  const bool agree =
      std::ranges::all_of(places, [&](const auto& place) { return value(place) == first; });
  return agree ? std::optional(first) : std::nullopt;
}

void Knob::set(double value) const {
  for (const auto& place : places) {
    if (auto* const* whole = std::get_if<int64_t*>(&place)) {
      **whole = std::llround(value);
    } else if (auto* const* real = std::get_if<double*>(&place)) {
      **real = value;
    } else {
      const auto& parameter = std::get<Parameter>(place);
      parameter.term->params[parameter.name] = value;
    }
  }
}

std::vector<Knob> knobs(RunConfig& config) {
  Knobs all;
  std::vector<std::string> of_stages;
  for (const Setting& setting : stage_settings(config)) of_stages.push_back(setting.name);
  for (const Setting& setting : settings(config)) {
    const bool elsewhere =
        !config.stages.empty() && std::ranges::find(of_stages, setting.name) != of_stages.end();
    if (!elsewhere) all.add_setting("", setting);
  }
  if (config.stages.empty()) all.add_terms("", config);
  for (StageConfig& stage : config.stages) {
    for (const Setting& setting : stage_settings(stage)) all.add_setting("", setting);
    all.add_terms("", stage);
  }
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const std::string prefix = format("stages.{}.", i);
    for (const Setting& one : stage_settings(config.stages[i])) all.add_setting(prefix, one);
    all.add_terms(prefix, config.stages[i]);
  }
  return all.take();
}

void spell_out_terms(RunConfig& config) {
  std::vector<std::vector<TermSpec>> terms;
  for (int64_t i = 0; i < stage_count(config); ++i) {
    terms.push_back(loss_terms(at_stage(config, i)));
  }
  const auto take = [](StageConfig& stage, std::vector<TermSpec>& list) {
    stage.terms = std::move(list);
    stage.loss.clear();
  };
  if (config.stages.empty()) take(config, terms.front());
  for (size_t i = 0; i < config.stages.size(); ++i) take(config.stages[i], terms[i]);
}

}  // namespace kd
