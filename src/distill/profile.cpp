#include "distill/profile.h"

#include <fmt/format.h>

#include <algorithm>

#include "core/json.h"
#include "core/stop_watch.h"

namespace kd {
namespace {

// Adds nodes up to a line.
class Sum {
 public:
  explicit Sum(const Profile& profile) : roof_(&profile.roof), steps_(profile.steps()) {}
  void add(const ProfiledNode& node) {
    if (node.spans.empty()) return;
    std::vector<double> seconds;
    for (const Span& span : node.spans) seconds.push_back(span.seconds());
    const double often = static_cast<double>(seconds.size()) / static_cast<double>(steps_);
    seconds_ += often * median(seconds);
    flops_ += often * node.cost.flops;
    bytes_ += often * node.cost.bytes;
    const bool memory = roof_->is_memory_bound(node.cost);
    (memory ? memory_bound_ : compute_bound_) += often * roof_->least_seconds(node.cost);
  }
  ProfileLine line(double all_seconds) const {
    ProfileLine line;
    line.seconds = seconds_;
    line.share = all_seconds > 0 ? seconds_ / all_seconds : 0;
    line.memory_bound = memory_bound_ >= compute_bound_;
    if (seconds_ <= 0) return line;
    line.flops_per_second = flops_ / seconds_;
    line.bytes_per_second = bytes_ / seconds_;
    line.of_roof = (memory_bound_ + compute_bound_) / seconds_;
    return line;
  }
  double seconds() const { return seconds_; }

 private:
  const Roofline* roof_;
  size_t steps_;
  double seconds_ = 0, flops_ = 0, bytes_ = 0, memory_bound_ = 0, compute_bound_ = 0;
};

double seconds_of_step(const Profile& profile) {
  Sum all(profile);
  for (const ProfiledPart& part : profile.parts) {
    for (const ProfiledNode& node : part.nodes) all.add(node);
  }
  return all.seconds();
}

std::string numbers(const ProfileLine& line) {
  std::string text = fmt::format("{:10.3f} {:6.1f} % ", line.seconds * 1e3, 100 * line.share);
  if (line.of_roof <= 0) return text + std::string(37, ' ');
  text += fmt::format("{:9.1f} {:8.1f} {:7.1f} % {:<8}", line.flops_per_second * 1e-9,
                      line.bytes_per_second * 1e-9, 100 * line.of_roof,
                      line.memory_bound ? "memory" : "compute");
  return text;
}

std::string head(std::string_view names) {
  return fmt::format("\n{:>10} {:>8} {:>9} {:>8} {:>9} {:<8} {}\n", "ms", "share", "GFLOP/s",
                     "GB/s", "of roof", "bound by", names);
}

std::vector<ProfileLine> longest(std::vector<ProfileLine> lines, size_t most) {
  if (lines.size() <= most) return lines;
  std::vector<double> seconds;
  for (const ProfileLine& line : lines) seconds.push_back(line.seconds);
  std::ranges::nth_element(seconds, seconds.begin() + static_cast<ptrdiff_t>(most) - 1,
                           std::greater<>());
  std::erase_if(lines, [&](const ProfileLine& l) { return l.seconds < seconds[most - 1]; });
  lines.resize(std::min(lines.size(), most));
  return lines;
}

double first_begin(const Profile& profile) {
  double first = std::numeric_limits<double>::max();
  for (const ProfiledPart& part : profile.parts) {
    for (const ProfiledNode& node : part.nodes) {
      for (const Span& span : node.spans) first = std::min(first, span.begin);
    }
  }
  return first;
}

Json event(const ProfiledNode& node, const Span& span, double from) {
  Json json = {{"name", node.layer.empty() ? node.op : node.layer + " " + node.op},
               {"ph", "X"},
               {"ts", (span.begin - from) * 1e6},
               {"dur", span.seconds() * 1e6}};
  json["args"] = {{"op", node.op}, {"layer", node.layer}, {"makes", node.detail}};
  if (node.cost.flops > 0) json["args"]["GFLOP/s"] = node.cost.flops / span.seconds() * 1e-9;
  if (node.cost.bytes > 0) json["args"]["GB/s"] = node.cost.bytes / span.seconds() * 1e-9;
  return json;
}

}  // namespace

size_t Profile::steps() const {
  return parts.empty() || parts[0].nodes.empty() ? 0 : parts[0].nodes[0].spans.size();
}

std::vector<ProfileLine> lines_of_parts(const Profile& profile) {
  const double all = seconds_of_step(profile);
  std::vector<ProfileLine> lines;
  for (const ProfiledPart& part : profile.parts) {
    Sum sum(profile);
    for (const ProfiledNode& node : part.nodes) sum.add(node);
    lines.push_back(sum.line(all));
    lines.back().part = part.name;
  }
  return lines;
}

std::vector<ProfileLine> lines_of_ops(const Profile& profile) {
  const double all = seconds_of_step(profile);
  std::vector<std::pair<std::string, Sum>> sums;
  for (const ProfiledPart& part : profile.parts) {
    for (const ProfiledNode& node : part.nodes) {
      auto at = std::ranges::find(sums, node.op, &std::pair<std::string, Sum>::first);
      if (at == sums.end()) at = sums.insert(at, {node.op, Sum(profile)});
      at->second.add(node);
    }
  }
  std::vector<ProfileLine> lines;
  for (const auto& [op, sum] : sums) {
    lines.push_back(sum.line(all));
    lines.back().op = op;
  }
  std::ranges::stable_sort(lines, std::greater<>(), &ProfileLine::seconds);
  return lines;
}

std::vector<ProfileLine> lines_of_layers(const Profile& profile) {
  const double all = seconds_of_step(profile);
  std::vector<ProfileLine> lines;
  for (const ProfiledPart& part : profile.parts) {
    for (const ProfiledNode& node : part.nodes) {
      Sum sum(profile);
      sum.add(node);
      ProfileLine line = sum.line(all);
      line.part = part.name, line.op = node.op, line.layer = node.layer, line.detail = node.detail;
      lines.push_back(std::move(line));
    }
  }
  return lines;
}

std::string profile_table(const Profile& profile, size_t most) {
  std::string text = fmt::format(
      "{} steps, one node at a time: medians, {:.2f} ms a step\nroof of this machine now: {:.1f} "
      "GFLOP/s ({} matrix product), {:.1f} GB/s (stream)\n",
      profile.steps(), seconds_of_step(profile) * 1e3, profile.roof.flops * 1e-9,
      name_of(profile.roof.dtype), profile.roof.bytes * 1e-9);
  text += head("part");
  for (const ProfileLine& line : lines_of_parts(profile)) {
    text += fmt::format("{} {}\n", numbers(line), line.part);
  }
  text += head("op");
  for (const ProfileLine& line : lines_of_ops(profile)) {
    text += fmt::format("{} {}\n", numbers(line), line.op);
  }
  const std::vector<ProfileLine> layers = lines_of_layers(profile);
  const std::vector<ProfileLine> shown = longest(layers, most);
  text += head(shown.size() < layers.size()
                   ? fmt::format("part, op, layer: the longest {} of {}", most, layers.size())
                   : "part, op, layer");
  for (const ProfileLine& line : shown) {
    text += fmt::format("{} {:<10} {:<26} {} {}\n", numbers(line), line.part, line.op, line.layer,
                        line.detail);
  }
  return text;
}

std::string chrome_trace(const Profile& profile) {
  const double from = first_begin(profile);
  Json events = Json::array();
  for (size_t i = 0; i < profile.parts.size(); ++i) {
    const ProfiledPart& part = profile.parts[i];
    const auto meta = [&](const char* what, const Json& args) {
      events.push_back({{"name", what}, {"ph", "M"}, {"pid", 1}, {"tid", i + 1}, {"args", args}});
    };
    meta("thread_name", {{"name", part.name}});
    meta("thread_sort_index", {{"sort_index", i + 1}});
    for (const ProfiledNode& node : part.nodes) {
      for (const Span& span : node.spans) {
        Json json = event(node, span, from);
        json["cat"] = part.name, json["pid"] = 1, json["tid"] = i + 1;
        events.push_back(std::move(json));
      }
    }
  }
  return Json({{"displayTimeUnit", "ms"}, {"traceEvents", events}}).dump();
}

}  // namespace kd
