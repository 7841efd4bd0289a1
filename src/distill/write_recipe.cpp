// The shortest recipe that reads back as a given configuration.
#include "distill/recipe.h"

namespace kd {
namespace {

Json differences(const Json& from, const Json& to) {
  Json json = Json::object();
  for (const auto& [key, value] : to.items()) {
    if (from.at(key) != value) json[key] = value;
  }
  return json;
}

Json write_terms(const std::vector<TermSpec>& terms) {
  Json json = Json::array();
  for (const TermSpec& spec : terms) json.push_back(write_term(spec));
  return json;
}

}  // namespace

Json write_recipe(const RunConfig& config) {
  RunConfig run = config, plain;
  Json json = differences(write_settings(settings(plain)), write_settings(settings(run)));
  for (const char* key : {"resume", "dry-run"}) json.erase(key);
  if (!run.terms.empty()) json["terms"] = write_terms(run.terms);
  const Json of_run = write_settings(stage_settings(run));
  for (StageConfig& stage : run.stages) {
    Json one = {{"name", stage.name}};
    one.update(differences(of_run, write_settings(stage_settings(stage))));
    if (stage.terms != run.terms) one["terms"] = write_terms(stage.terms);
    json["stages"].push_back(std::move(one));
  }
  return json;
}

}  // namespace kd
