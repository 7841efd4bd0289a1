// search: successive halving over the settings of a recipe; a line a run, one table at the end.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "kd/search.h"
#include "report/table.h"

namespace kd::cli {
namespace {

std::string value_text(const std::optional<double>& value) {
  return value ? fmt::format("{:.4g}", *value) : "–";
}

std::string values_text(const Candidate& candidate, const std::vector<SearchDimension>& space) {
  if (candidate.number == 0) return "the recipe as it stands";
  std::string text;
  for (size_t i = 0; i < space.size(); ++i) {
    text += fmt::format("{}{} {}", i ? ", " : "", space[i].name, value_text(candidate.values[i]));
  }
  return text;
}

constexpr double kDevSplit = 0.1;  // where neither the recipe nor a flag says

std::string yardstick(const RunConfig& config) {
  return config.dev_split > 0 ? "dev" : "validation";
}

void print_plan(const RunConfig& config, const SearchPlan& plan, int64_t budget) {
  std::cout << plan.candidates.size() << " candidates:";
  for (const SearchDimension& d : plan.space) {
    std::cout << "\n  " << d.name << ": ";
    if (d.choices.empty()) {
      const bool is_log = d.scale == SearchDimension::Scale::log;
      std::cout << fmt::format("{:g} to {:g}{}", d.from, d.to, is_log ? ", log scale" : "");
    } else {
      std::cout << fmt::format("{:g}", fmt::join(d.choices, ", "));
    }
  }
  std::cout << "\n";
  for (size_t i = 0; i < plan.rungs.size(); ++i) {
    const Rung& rung = plan.rungs[i];
    std::cout << fmt::format("rung {}: {} candidates, {} epochs each\n", i + 1, rung.candidates,
                             rung.epochs);
  }
  std::cout << fmt::format(
      "{} epochs of the {} in --budget; each rung trains afresh, on schedules of its length\n"
      "{}\n",
      plan.epochs(), budget,
      config.dev_split > 0
          ? fmt::format("chosen by top-1 on {:g} % of the training pictures, the dev split",
                        100 * config.dev_split)
          : "chosen by top-1 on the validation pictures: there is no dev split, so they are no "
            "longer unseen");
}

void print_run(const SearchProgress& p, const SearchPlan& plan) {
  const SearchRun& run = p.run;
  const std::string outcome =
      run.diverged.empty() ? fmt::format("top-1 {:.2f} %", run.top1) : "diverged: " + run.diverged;
  const auto number = static_cast<size_t>(run.candidate);
  std::cout << fmt::format("run {}/{}  rung {}  candidate {} ({})  {}  {:.1f} s  left {}\n", p.done,
                           p.runs, run.rung + 1, run.candidate,
                           values_text(plan.candidates[number], plan.space), outcome, run.seconds,
                           clock_text(p.seconds_left))
            << std::flush;
}

Table ranking(const SearchPlan& plan, const std::string& measured) {
  Table table{{{"rank", ""}, {"candidate", ""}}, {}};
  for (const SearchDimension& d : plan.space) table.columns.push_back({d.name, ""});
  for (const char* title : {"epochs", "top-1", "seconds"}) table.columns.push_back({title, ""});
  table.columns[table.columns.size() - 2].title = measured + " top-1";
  for (const Candidate& candidate : plan.candidates) {
    std::vector<std::string> row{std::to_string(table.rows.size() + 1),
                                 std::to_string(candidate.number)};
    for (const auto& value : candidate.values) row.push_back(value_text(value));
    std::string epochs;
    double seconds = 0;
    for (const SearchRun& run : candidate.runs) {
      epochs += fmt::format("{}{}", epochs.empty() ? "" : " + ", run.epochs);
      seconds += run.seconds;
    }
    const SearchRun& last = candidate.runs.back();
    row.push_back(epochs);
    row.push_back(last.diverged.empty() ? fmt::format("{:.2f}", last.top1) : "diverged");
    row.push_back(fmt::format("{:.1f}", seconds));
    table.rows.push_back(std::move(row));
  }
  return table;
}

int run_search(const SearchOptions& options) {
  const SearchPlan plan = plan_search(options);
  print_plan(options.config, plan, options.halving.budget);
  if (options.config.dry_run) return 0;
  watch_signals();
  SearchWatcher watcher;
  watcher.note = [](const std::string& line) { std::cout << line << std::endl; };
  watcher.run = [&](const SearchProgress& progress) { print_run(progress, plan); };
  watcher.stop = [] { return caught_signal() != 0; };
  const SearchSummary summary = search(options, watcher);
  if (summary.interrupted) {
    std::cout << "interrupted: continue with --resume\n";
    return 128 + caught_signal();
  }
  std::cout << "\n" << to_text(ranking(summary.plan, yardstick(options.config)));
  std::cout << fmt::format("\nbest: {}\nat the recipe's own length:\n  kdengine --recipe {}\n",
                           values_text(summary.plan.candidates.front(), plan.space),
                           summary.best_recipe);
  return 0;
}

}  // namespace

Command search_command(CLI::App& app) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* command =
      app.add_subcommand("search", "settings by successive halving, the recipe's \"search\"");
  // Read before the flags, which are assigned in the order of their definition and so win.
  command->add_option_function<std::string>(
      "--recipe,--config,recipe",
      [options](const std::string& file) { read_config(file, options->config); },
      "JSON file of settings, terms and stages; what its \"search\" holds is tried");
  HalvingOptions& halving = options->halving;
  command->add_option("--budget", halving.budget, "epochs, over all runs")->required();
  command->add_option("--candidates", halving.candidates, "how many; the recipe itself is one")
      ->capture_default_str();
  command->add_option("--eta", halving.eta, "each rung keeps one in so many, eta times as long")
      ->capture_default_str();
  add_settings(*command, options->config);
  return {command, [options, command] {
            RunConfig& config = options->config;
            const bool says = command->count("--dev-split") > 0;
            if (config.dev_split == 0 && !says) config.dev_split = kDevSplit;
            override_stages(config, given_settings(*command, config));
            return run_search(*options);
          }};
}

}  // namespace kd::cli
