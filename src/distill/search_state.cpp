#include "distill/search_state.h"

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "core/file.h"
#include "distill/run_folder.h"
#include "distill/search_space.h"

namespace kd {
namespace {

constexpr const char* kFile = "search.json";

// All that decides the results.
Json settings_of(const SearchOptions& options, const SearchPlan& plan) {
  Json json = comparable_settings(config_to_json(options.config));
  json["seeds"] = options.config.seeds;
  json["budget"] = options.halving.budget;
  json["candidates"] = options.halving.candidates;
  json["eta"] = options.halving.eta;
  json["search"] = write_search_space(plan.space);
  return json;
}

Json write_candidate(const Candidate& candidate, const std::vector<SearchDimension>& space) {
  Json values = Json::object();
  for (size_t i = 0; i < space.size(); ++i) {
    if (candidate.values[i]) values[space[i].name] = *candidate.values[i];
  }
  return {{"candidate", candidate.number}, {"values", values}};
}

Json write_run(const SearchRun& run) {
  Json json = {{"candidate", run.candidate}, {"rung", run.rung},       {"epochs", run.epochs},
               {"top1", run.top1},           {"seconds", run.seconds}, {"diverged", run.diverged}};
  if (std::isfinite(run.loss)) json["loss"] = run.loss;
  return json;
}

SearchRun read_run(const Json& json, const std::string& where) {
  StrictObject object(json, where);
  SearchRun run;
  run.candidate = object.required<int64_t>("candidate");
  run.rung = object.required<int64_t>("rung");
  run.epochs = object.required<int64_t>("epochs");
  run.top1 = object.required<double>("top1");
  run.loss = object.optional("loss", std::numeric_limits<double>::infinity());
  run.seconds = object.required<double>("seconds");
  run.diverged = object.required<std::string>("diverged");
  object.finish();
  return run;
}

}  // namespace

SearchState::SearchState(std::filesystem::path folder, const SearchOptions& options,
                         const SearchPlan& plan)
    : folder_(std::move(folder)), settings_(settings_of(options, plan)) {
  for (const Candidate& candidate : plan.candidates) {
    candidates_.push_back(write_candidate(candidate, plan.space));
  }
  const std::filesystem::path file = folder_ / kFile;
  std::error_code error;
  const bool there = std::filesystem::exists(file, error);
  const bool begun = there || RunFolder::holds_run(folder_of(0, 0));
  if (begun && !options.config.resume) {
    fail(ErrorCode::usage,
         "{}: already holds a search; continue it with --resume, or name another folder",
         folder_.string());
  }
  KD_CHECK(begun || !options.config.resume, "{}: holds no search to resume", folder_.string());
  if (there) take_up(file);
}

std::filesystem::path SearchState::folder_of(int64_t candidate, int64_t rung) const {
  return folder_ / fmt::format("candidate_{:03}", candidate) / fmt::format("rung_{}", rung + 1);
}

void SearchState::take_up(const std::filesystem::path& file) {
  const std::string name = file.string();
  const Json json = read_json(name);
  StrictObject object(json, name);
  check_same_settings(object.raw("settings"), settings_, name);
  object.raw("candidates");
  unfinished_seconds_ = object.required<double>("unfinished_seconds");
  const Json& runs = object.raw("runs");
  KD_CHECK(runs.is_array(), "{}: 'runs' is no list", name);
  for (const Json& run : runs) runs_.push_back(read_run(run, name + ": runs"));
  object.finish();
}

const SearchRun* SearchState::find(int64_t candidate, int64_t rung) const {
  for (const SearchRun& run : runs_) {
    if (run.candidate == candidate && run.rung == rung) return &run;
  }
  return nullptr;
}

void SearchState::finish(SearchRun run) {
  run.seconds += unfinished_seconds_;
  unfinished_seconds_ = 0;
  runs_.push_back(std::move(run));
  write();
}

void SearchState::interrupt(double seconds) {
  unfinished_seconds_ += seconds;
  write();
}

void SearchState::write() const {
  Json runs = Json::array();
  for (const SearchRun& run : runs_) runs.push_back(write_run(run));
  const Json json = {{"settings", settings_},
                     {"candidates", candidates_},
                     {"runs", runs},
                     {"unfinished_seconds", unfinished_seconds_}};
  write_file(folder_ / kFile, json.dump(2) + "\n");
}

}  // namespace kd
