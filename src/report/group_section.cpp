// What the page shows of one group: the diagrams of its first seed.
#include <fmt/format.h>

#include "report/charts.h"
#include "report/encode.h"
#include "report/page.h"
#include "report/scorecard_json.h"
#include "report/table.h"

namespace kd {
namespace {

struct Figure {
  std::string title, body, note, kind;  // kind: "wide" or nothing
};
std::string figure(const Figure& f) {
  return fmt::format("<figure class=\"{}\"><h3>{}</h3><div class=\"scroll\">{}</div>", f.kind,
                     escape(f.title), f.body) +
         (f.note.empty() ? "" : "<figcaption>" + escape(f.note) + "</figcaption>") + "</figure>\n";
}

enum class Panel { loss, top1, rate, none };

Panel panel_of(const std::string& key) {
  if (key == "lr") return Panel::rate;
  if (key.ends_with("_top1")) return Panel::top1;
  const bool loss = key.starts_with("train_") || key.starts_with("val_") || key.starts_with("dev_");
  return loss ? Panel::loss : Panel::none;
}

std::string label_of(const std::string& key) {
  std::string label = key;
  std::ranges::replace(label, '_', ' ');
  if (const size_t at = label.find(" top1"); at != label.npos) label.erase(at);
  return label;
}

std::string curves(const RunRecord& run) {
  LineChart loss{"Loss per epoch", "epoch", "loss", {}};
  LineChart top1{"Top-1 per epoch", "epoch", "top-1, %", {}};
  LineChart rate{"Learning rate", "epoch", "learning rate", {}};
  for (const Curve& curve : run.curves) {
    const Panel panel = panel_of(curve.name);
    LineChart& chart = panel == Panel::loss ? loss : panel == Panel::top1 ? top1 : rate;
    if (panel != Panel::none) chart.lines.push_back({label_of(curve.name), curve.points});
  }
  for (const RunRecord& baseline : run.baseline) {
    for (const Curve& curve : baseline.curves) {
      if (panel_of(curve.name) == Panel::top1)
        top1.lines.push_back({label_of(curve.name) + ", alone", curve.points});
    }
  }
  std::string out;
  for (const LineChart& chart : {loss, top1, rate}) {
    if (!chart.lines.empty()) out += figure({chart.title, line_chart(chart), "", ""});
  }
  return out;
}

std::string picture(const Mistake& m, const std::string& label, const std::string& guess) {
  const std::string image =
      m.png.empty() ? "<span class=\"blank\" aria-hidden=\"true\"></span>"
                    : fmt::format("<img alt=\"{} taken for {}\" src=\"data:image/png;base64,{}\">",
                                  escape(label), escape(guess), to_base64(m.png));
  return fmt::format(
      "<li title=\"{} (#{})\">{}<span class=\"guess\">{}</span><span class=\"sure\">{:.1f} "
      "%</span></li>\n",
      escape(m.name), m.sample_id, image, escape(guess), 100 * m.confidence);
}

std::string worst_classes(const RunRecord& run) {
  const Scorecard& card = *run.scorecard;
  std::string out;
  for (const WorstClass& w : card.worst) {
    const auto label = static_cast<size_t>(w.label);
    const std::string& name = card.class_names[label];
    std::string detail = fmt::format("{:.1f} % right", card.student.class_top1[label].value_or(0));
    if (card.teacher && card.teacher->class_top1[label])
      detail += fmt::format(" · teacher {:.1f} %", *card.teacher->class_top1[label]);
    out += fmt::format("<article class=\"worst\"><h4>{}<span>{}</span></h4><ul>\n", escape(name),
                       escape(detail));
    for (const Mistake& m : w.mistakes)
      out += picture(m, name, card.class_names[static_cast<size_t>(m.predicted)]);
    out += "</ul></article>\n";
  }
  if (out.empty()) return out;
  return "<h3>Worst classes</h3><p class=\"sub\">The most confident mistakes of each: what the "
         "student answered, and how sure it was.</p><div class=\"worsts\">\n" +
         out + "</div>\n";
}

const ModelScore* baseline_score(const RunRecord& run) {
  if (!run.baseline.empty() && run.baseline.front().scorecard)
    return &run.baseline.front().scorecard->student;
  return run.scorecard->baseline ? &*run.scorecard->baseline : nullptr;
}

std::string class_figures(const RunRecord& run) {
  const Scorecard& card = *run.scorecard;
  const bool some = card.class_names.size() > 30;
  const bool many = card.class_names.size() > 12;
  std::string out = figure({"Reliability", reliability_diagram(card.student),
                            "15 equally wide bins of confidence; on the dashed line confidence is "
                            "right. Pale: under 1 % of the pictures. Below: how many each bin "
                            "holds.",
                            ""});
  out += figure({some ? "Confusion, the 30 worst classes" : "Confusion", confusion_heat_map(card),
                 "Row: given label; column: answer; percent of the row. Mistakes are shaded "
                 "against the most frequent one, by the square root.",
                 many ? "wide" : ""});
  std::string bars;
  const auto add = [&](const ModelScore* other, const std::string& whom) {
    if (!other || other->class_top1.size() != card.class_names.size()) return;
    bars += "<h4>Against the " + whom + "</h4>" +
            change_bars(card, *other, "Change of top-1 against the " + whom);
  };
  add(baseline_score(run), "student alone");
  add(card.teacher ? &*card.teacher : nullptr, "teacher");
  const std::string cut = some ? " The 30 classes that changed most." : "";
  if (!bars.empty())
    out += figure({"Change per class", "<div class=\"pair\">" + bars + "</div>",
                   "Points of top-1." + cut, many ? "wide" : ""});
  return out;
}

std::string key_values(const std::string& title, const Json& object) {
  if (object.empty()) return {};
  std::string out = "<h4>" + escape(title) + "</h4><dl class=\"pairs\">\n";
  for (const auto& [key, value] : object.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : dump(value, -1);
    out += "<dt>" + escape(key) + "</dt><dd>" + escape(text) + "</dd>\n";
  }
  return out + "</dl>\n";
}

std::string configuration(const RunGroup& group) {
  std::string out = "<details><summary>Configuration, versions, hashes</summary>\n";
  const RunRecord& run = group.runs.front();
  out += "<h4>Folders</h4><ul class=\"folders\">\n";
  for (const RunRecord& each : group.runs)
    out += fmt::format("<li>{} <span>seed {}</span></li>\n", escape(each.path), each.seed());
  out += "</ul>\n" + key_values("Settings", run.config) + key_values("Versions", run.versions) +
         key_values("Hashes", run.hashes);
  return out + "</details>\n";
}

}  // namespace

std::string group_section(const RunGroup& group) {
  const RunRecord& run = group.runs.front();
  std::string out;
  if (group.runs.size() > 1)
    out += fmt::format("<p class=\"sub\">Diagrams of seed {}, one of {}.</p>\n", run.seed(),
                       group.runs.size());
  if (run.scorecard) {
    const std::string fitted =
        run.scorecard->dev_samples > 0
            ? fmt::format("Temperatures fitted on {} dev pictures.", run.scorecard->dev_samples)
            : "Temperatures not fitted: no dev split.";
    out += to_html(models_table(run), fitted);
  }
  if (const std::string drawn = curves(run); !drawn.empty())
    out += "<div class=\"figures\">\n" + drawn + "</div>\n";
  if (run.scorecard)
    out += "<div class=\"figures\">\n" + class_figures(run) + "</div>\n" + worst_classes(run);
  return out + configuration(group);
}

}  // namespace kd
