#include "report/page.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "report/encode.h"
#include "report/scorecard_json.h"
#include "report/table.h"

namespace kd {
namespace {

struct Figure {
  std::string value, unit, name, detail;
};

std::string tile(const Figure& f) {
  return fmt::format(
      "<div class=\"tile\"><dt>{}</dt><dd><b>{}</b><span class=\"unit\">{}</span>"
      "<span class=\"detail\">{}</span></dd></div>\n",
      escape(f.name), escape(f.value), escape(f.unit), escape(f.detail));
}

std::string spread_detail(const Spread& s) {
  return s.count > 1 ? fmt::format("± {:.2f} over {} seeds", s.sd, s.count) : "one seed";
}

// The few numbers that a reader looks for first.
std::string tiles(const Summary& s) {
  std::string out;
  if (s.top1) {
    out +=
        tile({cell(std::optional(s.top1->mean), 2), "%", "Student, top-1", spread_detail(*s.top1)});
  }
  if (s.gain) {
    out += tile({signed_cell(Spread{1, s.gain->mean, 0}, 2), "points",
                 "Gain over the student alone", spread_detail(*s.gain)});
  }
  if (s.gap_closed && s.teacher_top1) {
    out += tile({cell(std::optional(100 * *s.gap_closed), 0), "%", "Gap to the teacher closed",
                 fmt::format("teacher {:.2f} %", s.teacher_top1->mean)});
  }
  if (s.agreement) {
    out += tile({cell(std::optional(s.agreement->mean), 1), "%", "Agreement with the teacher",
                 s.kl ? fmt::format("KL {:.3f} nats", s.kl->mean) : ""});
  }
  if (s.cost.parameters && s.teacher_cost.parameters) {
    out += tile({fmt::format("{:.1f}", *s.teacher_cost.parameters / *s.cost.parameters), "×",
                 "Smaller than the teacher", cell(s.cost.parameters, 0) + " parameters"});
  }
  const bool lone = out.find("<dt>") == out.rfind("<dt>");  // then the headline says it all
  return lone ? "" : "<dl class=\"tiles\">\n" + out + "</dl>\n";
}

// Of the groups that did not fail the one with the highest gain; without gains, top-1.
const RunGroup& leader(const std::vector<RunGroup>& groups) {
  const auto worth = [](const RunGroup& group) {
    const Summary s = summarise(group);
    const bool failed = std::ranges::any_of(
        group.runs, [](const RunRecord& run) { return run.failure.has_value(); });
    return std::tuple(!failed, s.gain ? s.gain->mean : -1e9, s.top1 ? s.top1->mean : -1e9);
  };
  return *std::ranges::max_element(groups, std::less(), worth);
}

// What was found of one group; of several, the verdict on each.
std::string overview(const std::vector<RunGroup>& groups) {
  std::vector<Finding> list;
  if (groups.size() == 1) {
    list = findings(groups.front());
    list.erase(list.begin());
  } else {
    for (const RunGroup& group : groups) {
      const Finding verdict = findings(group).front();
      list.push_back({verdict.tone, group.name + ": " + verdict.text});
    }
  }
  return list.empty() ? "" : finding_list(list);
}

std::string header(const std::vector<RunGroup>& groups) {
  std::string out = "<header><p class=\"eyebrow\">kdengine scorecard</p>\n";
  const RunGroup& first = leader(groups);
  const std::vector<Finding> list = findings(first);
  out += fmt::format("<h1>{}</h1>\n", escape(list.front().text));
  std::string sub = first.name;
  if (groups.size() > 1) sub += fmt::format(", the best of {} configurations", groups.size());
  if (const auto& card = first.runs.front().scorecard) {
    sub += fmt::format(" · {} test pictures of {} classes", card->test_samples,
                       card->class_names.size());
    sub += card->dev_samples > 0
               ? fmt::format(" · chosen on a dev split of {} pictures", card->dev_samples)
               : " · no dev split";
  }
  return out + "<p class=\"sub\">" + escape(sub) + "</p></header>\n";
}

Json json_of(const std::optional<Spread>& s) {
  if (!s) return nullptr;
  return {{"count", s->count}, {"mean", s->mean}, {"sd", s->sd}};
}

Json json_of(const Summary& s) {
  return {{"top1", json_of(s.top1)},
          {"top5", json_of(s.top5)},
          {"teacher_top1", json_of(s.teacher_top1)},
          {"baseline_top1", json_of(s.baseline_top1)},
          {"gain", json_of(s.gain)},
          {"gap_closed", s.gap_closed ? Json(*s.gap_closed) : Json()},
          {"agreement", json_of(s.agreement)},
          {"kl", json_of(s.kl)},
          {"ece", json_of(s.ece)},
          {"ece_fitted", json_of(s.ece_fitted)},
          {"nll", json_of(s.nll)},
          {"nll_fitted", json_of(s.nll_fitted)},
          {"brier", json_of(s.brier)},
          {"brier_fitted", json_of(s.brier_fitted)}};
}

Json json_of(const RunRecord& run) {
  Json curves = Json::object();
  for (const Curve& curve : run.curves) curves[curve.name] = curve.points;
  const auto number = [](const std::optional<double>& x) { return x ? Json(*x) : Json(); };
  return {{"path", run.path},
          {"finished", run.finished},
          {"top1", number(run.top1())},
          {"failure", run.failure ? parse_json(failure_to_json(*run.failure), run.path) : Json()},
          {"config", run.config},
          {"versions", run.versions},
          {"hashes", run.hashes},
          {"curves", curves},
          {"scorecard", run.scorecard ? scorecard_json(*run.scorecard) : Json()},
          {"baseline", run.baseline.empty() ? Json() : json_of(run.baseline.front())}};
}

const char* heading_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "Good";
    case Tone::note:
      return "Note";
    case Tone::warning:
      return "Warning";
    case Tone::bad:
      return "Problem";
  }
  return "";
}

const char* name_of(Tone tone) {
  switch (tone) {
    case Tone::good:
      return "good";
    case Tone::note:
      return "note";
    case Tone::warning:
      return "warning";
    case Tone::bad:
      return "bad";
  }
  return "";
}

}  // namespace

std::string finding_list(const std::vector<Finding>& list) {
  std::string out = "<ul class=\"findings\">\n";
  for (const Finding& finding : list) {
    out += fmt::format("<li class=\"{}\"><span class=\"tag\">{}</span><span>{}</span></li>\n",
                       name_of(finding.tone), heading_of(finding.tone), escape(finding.text));
  }
  return out + "</ul>\n";
}

std::string page_of(const std::vector<RunGroup>& groups) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'\">\n"
      "<title>Scorecard: {}</title>\n<style>{}</style></head><body><main>\n",
      escape(groups.front().name), kStyleSheet);
  out += header(groups) + tiles(summarise(leader(groups))) + overview(groups);
  out += "<section><h2>Accuracy, and likeness to the teacher</h2>\n" +
         to_html(accuracy_table(groups),
                 "Mean ± standard deviation over seeds (n − 1). Alone: the same student and seed, "
                 "without a teacher. KL(teacher ‖ student) at T = 1, in nats.") +
         "</section>\n<section><h2>Calibration and cost</h2>\n" +
         to_html(calibration_table(groups),
                 "Fitted: after dividing the logits by the temperature that suits the dev split "
                 "best. ECE: 15 equally wide bins. MFLOP of one picture, forwards; latency: median "
                 "at batch 1.") +
         "</section>\n";
  for (const RunGroup& group : groups) {
    out += "<section class=\"run\"><h2>" + escape(group.name) + "</h2>\n";
    if (groups.size() > 1) out += finding_list(findings(group));
    out += group_section(group) + "</section>\n";
  }
  return out + "</main></body></html>\n";
}

Json report_json(const std::vector<RunGroup>& groups) {
  Json list = Json::array();
  for (const RunGroup& group : groups) {
    Json words = Json::array(), runs = Json::array();
    for (const Finding& finding : findings(group))
      words.push_back({{"tone", name_of(finding.tone)}, {"text", finding.text}});
    for (const RunRecord& run : group.runs) runs.push_back(json_of(run));
    list.push_back({{"name", group.name},
                    {"findings", words},
                    {"summary", json_of(summarise(group))},
                    {"runs", runs}});
  }
  return {{"groups", list}};
}

std::string report_page(const std::vector<std::string>& run_folders) {
  return page_of(read_runs(run_folders));
}

}  // namespace kd
