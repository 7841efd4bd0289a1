#include <algorithm>
#include <cmath>

#include "report/charts.h"
#include "report/svg.h"

namespace kd {
namespace {

constexpr double kWidth = 400, kPlotHeight = 190, kLeft = 54, kRight = 12, kTop = 12;
constexpr double kAxisHeight = 40, kLegendRow = 18;
constexpr size_t kStyles = 6, kLegendColumns = 2;

struct Range {
  double low = 0, high = 1;
};

Range range_of(const LineChart& chart, double std::pair<double, double>::*member) {
  Range r{INFINITY, -INFINITY};
  for (const Line& line : chart.lines) {
    for (const auto& point : line.points) {
      r.low = std::min(r.low, point.*member);
      r.high = std::max(r.high, point.*member);
    }
  }
  if (!(r.low <= r.high)) return {};
  if (r.low == r.high) return {r.low - 0.5, r.high + 0.5};
  return r;
}

class Plot {
 public:
  explicit Plot(const LineChart& chart)
      : x_(range_of(chart, &std::pair<double, double>::first)),
        x_ticks_(ticks(x_.low, x_.high, 6)) {
    const Range y = range_of(chart, &std::pair<double, double>::second);
    y_ticks_ = ticks(y.low, y.high, 5);
    y_ = {std::min(y.low, y_ticks_.front()), std::max(y.high, y_ticks_.back())};
  }
  double x(double value) const {
    return kLeft + (value - x_.low) / (x_.high - x_.low) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kTop + (y_.high - value) / (y_.high - y_.low) * kPlotHeight;
  }
  std::string axes(const LineChart& chart) const {
    std::string out;
    for (const double tick : y_ticks_) {
      out += svg::segment({kLeft, y(tick), kWidth - kRight, y(tick)}, "grid");
      out += svg::text(kLeft - 6, y(tick) + 4, "end", "tick",
                       tick_text(tick, y_ticks_[1] - y_ticks_[0]));
    }
    const double bottom = kTop + kPlotHeight;
    for (const double tick : x_ticks_) {
      if (tick < x_.low || tick > x_.high || tick != std::round(tick)) continue;
      out += svg::segment({x(tick), bottom, x(tick), bottom + 4}, "axis");
      out += svg::text(x(tick), bottom + 16, "middle", "tick", tick_text(tick, 1));
    }
    out += svg::segment({kLeft, bottom, kWidth - kRight, bottom}, "axis");
    out += svg::text((kLeft + kWidth - kRight) / 2, bottom + 32, "middle", "label", chart.x_label);
    return out +
           fmt::format(
               "<text class=\"label\" text-anchor=\"middle\" transform=\"translate(12 {:.1f}) "
               "rotate(-90)\">{}</text>\n",
               kTop + kPlotHeight / 2, escape(chart.y_label));
  }

 private:
  Range x_, y_;
  std::vector<double> x_ticks_, y_ticks_;
};

std::string draw(const Line& line, size_t style, const Plot& plot) {
  std::string points;
  for (const auto& [x, y] : line.points)
    points += fmt::format("{:.1f},{:.1f} ", plot.x(x), plot.y(y));
  const auto& last = line.points.back();
  return fmt::format("<polyline class=\"line s{}\" points=\"{}\"><title>{}</title></polyline>\n",
                     style, points, escape(line.label)) +
         fmt::format(
             "<circle class=\"dot f{}\" cx=\"{:.1f}\" cy=\"{:.1f}\" r=\"2.5\"><title>{}: "
             "{:.4g}</title></circle>\n",
             style, plot.x(last.first), plot.y(last.second), escape(line.label), last.second);
}

}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  const double raw = (high - low) / count, power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {5.0, 2.0, 1.0}) {
    if (factor * power >= raw * 0.999) step = factor * power;
  }
  std::vector<double> at;
  const auto first = static_cast<int64_t>(std::floor(low / step + 1e-9)),
             last = static_cast<int64_t>(std::ceil(high / step - 1e-9));
  for (int64_t i = first; i <= last; ++i) at.push_back(static_cast<double>(i) * step);
  return at;
}

std::string tick_text(double value, double step) {
  const bool plain = std::abs(value) < 1e5 && step > 1e-4;
  if (!plain && std::abs(value) > step / 1e6) return fmt::format("{:.3g}", value);
  const int decimals = std::clamp(static_cast<int>(std::ceil(-std::log10(step) - 1e-9)), 0, 9);
  return fmt::format("{:.{}f}", std::abs(value) < step / 1e6 ? 0 : value, decimals);
}

std::string line_chart(const LineChart& chart) {
  const size_t rows = (chart.lines.size() + kLegendColumns - 1) / kLegendColumns;
  const double legend = kTop + kPlotHeight + kAxisHeight + 12;
  const Plot plot(chart);
  std::string out =
      svg::begin(kWidth, legend + kLegendRow * static_cast<double>(rows) - 6, chart.title) +
      plot.axes(chart);
  for (size_t i = 0; i < chart.lines.size(); ++i) {
    if (chart.lines[i].points.empty()) continue;
    const size_t style = i % kStyles + 1;
    out += draw(chart.lines[i], style, plot);
    const double x = kLeft + static_cast<double>(i % kLegendColumns) * 172;
    const size_t row = i / kLegendColumns;
    const double y = legend + kLegendRow * static_cast<double>(row);
    out += svg::segment({x, y - 4, x + 26, y - 4}, fmt::format("line s{}", style));
    out += svg::text(x + 32, y, "start", "legend", svg::shortened(chart.lines[i].label, 22));
  }
  return out + svg::kEnd;
}

}  // namespace kd
