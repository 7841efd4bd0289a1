// report: the scorecard of runs. compare: the little that is known without one.
#include <fmt/format.h>

#include <iostream>

#include "cli/commands.h"
#include "core/file.h"
#include "report/page.h"
#include "report/scorecard_json.h"
#include "report/table.h"

namespace kd::cli {
namespace {

struct ReportOptions {
  std::vector<std::string> runs;
  std::string output;
  bool json = false;
};

void print_findings(const RunGroup& group) {
  std::cout << "\n" << group.name << "\n";
  for (const Finding& finding : findings(group)) {
    const bool bad = finding.tone == Tone::warning || finding.tone == Tone::bad;
    std::cout << (bad ? "  ! " : "  - ") << finding.text << "\n";
  }
}

int report(const ReportOptions& o) {
  const std::vector<RunGroup> groups = read_runs(o.runs);
  if (o.json) {
    std::cout << dump(report_json(groups), 2) << "\n";
    if (o.output.empty()) return 0;
  }
  const std::filesystem::path page = o.output.empty()
                                         ? std::filesystem::path(o.runs.front()) / "report.html"
                                         : std::filesystem::path(o.output);
  write_file(page, page_of(groups));
  if (o.json) return 0;
  std::cout << to_text(short_table(groups));
  for (const RunGroup& group : groups) print_findings(group);
  std::cout << "\nwritten to " << page.string() << "\n";
  return 0;
}

int compare(const std::vector<std::string>& folders) {
  std::vector<RunRecord> runs;
  for (const std::string& folder : folders) runs.push_back(read_run(folder));
  std::cout << to_text(compare_table(runs));
  return 0;
}

}  // namespace

Command report_command(CLI::App& app) {
  auto options = std::make_shared<ReportOptions>();
  CLI::App* command = app.add_subcommand("report", "the scorecard of runs, as one HTML page");
  command->add_option("runs", options->runs, "folders of runs, or of runs seed_0, seed_1, ...")
      ->required();
  command->add_option("-o,--output", options->output,
                      "the page (.html); default: report.html in the first folder");
  command->add_flag("--json", options->json, "print all of it as JSON; a page only with --output");
  return {command, [options] { return report(*options); }};
}

Command compare_command(CLI::App& app) {
  auto runs = std::make_shared<std::vector<std::string>>();
  CLI::App* command = app.add_subcommand("compare", "runs side by side");
  command->add_option("runs", *runs, "output folders of runs")->required();
  return {command, [runs] { return compare(*runs); }};
}

}  // namespace kd::cli
