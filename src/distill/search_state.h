// search.json: what a search has found so far, so that it can continue.
#pragma once

#include <filesystem>

#include "core/json.h"
#include "kd/search.h"

namespace kd {

class SearchState {
 public:
  // Begins a search in this folder, or takes up the one that is there. Throws Error if the folder
  // holds one and `resume` is not set, holds none and it is, or holds one of other settings.
  // Nothing is written before a run has begun: what can't be run leaves no folder.
  SearchState(std::filesystem::path folder, const SearchOptions& options, const SearchPlan& plan);

  const SearchRun* find(int64_t candidate, int64_t rung) const;  // null: not finished
  void finish(SearchRun run);      // adds the seconds before interruptions, and writes
  void interrupt(double seconds);  // of the run that did not finish; writes
  std::filesystem::path file(const std::string& name) const { return folder_ / name; }
  std::filesystem::path folder_of(int64_t candidate, int64_t rung) const;

 private:
  void take_up(const std::filesystem::path& file);
  void write() const;

  std::filesystem::path folder_;
  Json settings_, candidates_;  // candidates: their values, for whoever reads the file
  std::vector<SearchRun> runs_;
  double unfinished_seconds_ = 0;
};

}  // namespace kd
