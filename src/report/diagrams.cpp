// Reliability diagram, confusion matrix, per-class change.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "report/charts.h"
#include "report/svg.h"
#include "report/table.h"

namespace kd {
namespace {

constexpr size_t kMostClasses = 30;

double share(const ReliabilityBin& bin, const Calibration& c) {
  int64_t all = 0;
  for (const ReliabilityBin& other : c.bins) all += other.count;
  return static_cast<double>(bin.count) / static_cast<double>(std::max<int64_t>(all, 1));
}

// The square [0, 1] x [0, 1] of a reliability diagram.
constexpr double kSquare = 250, kLeft = 48, kTop = 12, kCounts = 44;
double at_x(double confidence) { return kLeft + confidence * kSquare; }
double at_y(double accuracy) { return kTop + (1 - accuracy) * kSquare; }

std::string reliability_axes() {
  std::string out;
  for (int i = 0; i <= 5; ++i) {
    const double value = i / 5.0;
    out += svg::segment({kLeft, at_y(value), kLeft + kSquare, at_y(value)}, "grid");
    out += svg::text(kLeft - 6, at_y(value) + 4, "end", "tick", tick_text(value, 0.2));
    out += svg::text(at_x(value), kTop + kSquare + kCounts + 22, "middle", "tick",
                     tick_text(value, 0.2));
  }
  out += svg::text(at_x(0.5), kTop + kSquare + kCounts + 39, "middle", "label", "confidence");
  out += fmt::format(
      "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(12 {:.1f}) "
      "rotate(-90)\">accuracy</text>\n",
      at_y(0.5));
  return out;
}

std::string reliability_bars(const Calibration& c) {
  std::string out;
  const double width = kSquare / kReliabilityBins;
  double most = 1e-9;
  for (const ReliabilityBin& bin : c.bins) most = std::max(most, share(bin, c));
  const double base = kTop + kSquare + 6 + kCounts;
  for (size_t b = 0; b < c.bins.size(); ++b) {
    const ReliabilityBin& bin = c.bins[b];
    if (bin.count == 0) continue;
    const std::string pale = share(bin, c) < 0.01 ? " opacity=\"0.35\"" : "";
    const double x = kLeft + static_cast<double>(b) * width + 1;
    const std::string tip = fmt::format("confidence {:.2f}, accuracy {:.2f}, {} pictures",
                                        bin.confidence, bin.accuracy, bin.count);
    out += svg::box({x, at_y(bin.accuracy), width - 2, bin.accuracy * kSquare}, "bar", tip, pale);
    const double low = std::min(bin.accuracy, bin.confidence);
    const double gap = std::abs(bin.accuracy - bin.confidence);
    out += svg::box({x, at_y(low + gap), width - 2, gap * kSquare},
                    bin.accuracy > bin.confidence ? "gap above" : "gap", tip, pale);
    const double height = kCounts * share(bin, c) / most;
    out += svg::box({x, base - height, width - 2, height}, "count",
                    fmt::format("{:.1f} % of the pictures", 100 * share(bin, c)));
  }
  return out;
}

std::string reliability_dots(const Calibration& c) {
  std::string out;
  for (const ReliabilityBin& bin : c.bins) {
    if (bin.count == 0) continue;
    out += fmt::format(
        "<circle class=\"fitted\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"><title>after fitting: "
        "confidence {:.2f}, accuracy {:.2f}</title></circle>\n",
        at_x(bin.confidence), at_y(bin.accuracy), bin.confidence, bin.accuracy);
  }
  return out;
}

std::string reliability_legend(const ModelScore& score) {
  const double y = kTop + kSquare + kCounts + 62;
  std::string out = svg::box({kLeft, y - 9, 12, 10}, "bar") +
                    svg::text(kLeft + 17, y, "start", "legend", "accuracy") +
                    svg::box({kLeft + 88, y - 9, 12, 10}, "gap") +
                    svg::text(kLeft + 105, y, "start", "legend", "gap");
  if (score.fitted) {
    out += fmt::format("<circle class=\"fitted\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"3.5\"/>\n",
                       kLeft + 152, y - 4) +
           svg::text(kLeft + 160, y, "start", "legend",
                     fmt::format("fitted, T = {:.2f}", *score.temperature));
  }
  return out;
}

// Up to 30 classes: those for which `rank` is lowest, in their own order unless sorted by it.
template <class Rank>
std::vector<size_t> lowest_classes(size_t classes, const Rank& rank) {
  std::vector<size_t> order(classes);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, std::less(), rank);
  order.resize(std::min(classes, kMostClasses));
  return order;
}

struct Cell {
  int64_t count = 0, row_total = 0;
  bool right = false;
};

std::string heat_cell(const svg::Box& where, const Cell& cell, double worst, bool numbers,
                      const std::string& tip) {
  const double part =
      static_cast<double>(cell.count) / static_cast<double>(std::max<int64_t>(cell.row_total, 1));
  // Mistakes are rare: against the most frequent one, by the square root.
  const double strength = cell.right ? part : std::sqrt(part / worst);
  std::string out = svg::box(where, cell.right ? "right" : "wrong", tip,
                             fmt::format(" fill-opacity=\"{:.3f}\"", 0.04 + 0.86 * strength));
  if (numbers && cell.count > 0) {
    out += svg::text(where.x + where.width / 2, where.y + where.height / 2 + 3.5, "middle",
                     strength > 0.6 ? "cell strong" : "cell",
                     part < 0.005 ? "<1" : fmt::format("{:.0f}", 100 * part));
  }
  return out;
}

}  // namespace

std::string reliability_diagram(const ModelScore& score) {
  std::string out = svg::begin(kLeft + kSquare + 14, kTop + kSquare + kCounts + 72,
                               "Reliability: accuracy over confidence") +
                    reliability_axes() + reliability_bars(score.raw);
  out += svg::segment({at_x(0), at_y(0), at_x(1), at_y(1)}, "ideal");
  if (score.fitted) out += reliability_dots(*score.fitted);
  return out + reliability_legend(score) + svg::kEnd;
}

std::string confusion_heat_map(const Scorecard& card) {
  const size_t classes = card.class_names.size();
  std::vector<size_t> shown =
      lowest_classes(classes, [&](size_t k) { return card.student.class_top1[k].value_or(101); });
  std::ranges::sort(shown);
  std::vector<int64_t> totals(classes);
  double worst = 1e-9;
  for (size_t i = 0; i < classes; ++i) {
    for (size_t j = 0; j < classes; ++j) totals[i] += card.confusion[i * classes + j];
  }
  for (const size_t i : shown) {
    for (const size_t j : shown) {
      if (i != j)
        worst = std::max(worst, static_cast<double>(card.confusion[i * classes + j]) /
                                    static_cast<double>(std::max<int64_t>(totals[i], 1)));
    }
  }
  const double side = shown.size() > 12 ? 21 : 26, left = 88, top = 84;
  const double extent = side * static_cast<double>(shown.size());
  std::string out = svg::begin(left + extent + 44, top + extent + 4, "Confusion matrix");
  for (size_t r = 0; r < shown.size(); ++r) {
    const std::string& name = card.class_names[shown[r]];
    const double middle = (static_cast<double>(r) + 0.5) * side;
    out += svg::text(left - 6, top + middle + 4, "end", "tick", svg::shortened(name, 13));
    out += fmt::format(
        "<text class=\"tick\" transform=\"translate({:.1f} {:.1f}) rotate(-55)\">{}"
        "</text>\n",
        left + middle + 2, top - 6, escape(svg::shortened(name, 13)));
    for (size_t c = 0; c < shown.size(); ++c) {
      const Cell cell{card.confusion[shown[r] * classes + shown[c]], totals[shown[r]], r == c};
      const svg::Box where{left + static_cast<double>(c) * side + 0.5,
                           top + static_cast<double>(r) * side + 0.5, side - 1, side - 1};
      out += heat_cell(where, cell, worst, shown.size() <= 20,
                       fmt::format("{} taken for {}: {} of {}", name, card.class_names[shown[c]],
                                   cell.count, cell.row_total));
    }
  }
  return out + svg::kEnd;
}

std::string change_bars(const Scorecard& card, const ModelScore& other, const std::string& title) {
  const auto change = [&](size_t k) {
    return card.student.class_top1[k].value_or(0) - other.class_top1[k].value_or(0);
  };
  std::vector<size_t> shown =
      lowest_classes(card.class_names.size(), [&](size_t k) { return -std::abs(change(k)); });
  std::ranges::stable_sort(shown, std::greater(), change);
  double most = 1e-9, deepest = 0, highest = 0;
  for (const size_t k : shown) {
    deepest = std::max(deepest, -change(k));
    highest = std::max(highest, change(k));
  }
  most = std::max(most, deepest + highest);
  const double row = 19, left = 100, plot = 236, numbers = 46;
  const double zero = left + plot * deepest / most;
  std::string out =
      svg::begin(left + plot + numbers + 6, row * static_cast<double>(shown.size()) + 8, title);
  for (size_t i = 0; i < shown.size(); ++i) {
    const double delta = change(shown[i]), y = 4 + row * static_cast<double>(i);
    const double width = plot * std::abs(delta) / most;
    const std::string& name = card.class_names[shown[i]];
    out += svg::text(left - 8, y + 13.5, "end", "tick", svg::shortened(name, 14));
    out += svg::box({delta < 0 ? zero - width : zero, y + 3, width, row - 5},
                    delta < 0 ? "loss" : "gain",
                    fmt::format("{}: {:.1f} %, change {:+.1f}", name,
                                card.student.class_top1[shown[i]].value_or(0), delta));
    out += svg::text(left + plot + numbers, y + 13.5, "end", "number",
                     signed_cell(Spread{1, delta, 0}, 1));
  }
  out += svg::segment({zero, 0, zero, row * static_cast<double>(shown.size()) + 8}, "axis");
  return out + svg::kEnd;
}

}  // namespace kd
