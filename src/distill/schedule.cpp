#include "distill/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kd {
namespace {

double cosine(double from, double to, double share) {
  return to + (from - to) * (1 + std::cos(std::numbers::pi * share)) / 2;
}

double one_cycle(const RunConfig& c, double step, double total) {
  const double peak = c.lr, start = peak / 25, end = start / 1e4;
  const double top = c.rise * total - 1, last = total - 1;
  if (step <= top) return cosine(start, peak, top > 0 ? step / top : 1);
  return cosine(peak, end, (step - top) / (last - top));
}

}  // namespace

double learning_rate(const RunConfig& c, int64_t step, int64_t steps_per_epoch) {
  const double per_epoch = static_cast<double>(steps_per_epoch), at = static_cast<double>(step);
  const double total = per_epoch * static_cast<double>(c.epochs);
  if (c.sched == "one-cycle") return one_cycle(c, at, total);
  const double warm = c.warmup_epochs * per_epoch;
  if (at < warm) return c.lr * (at + 1) / warm;
  if (c.sched == "step")
    return c.lr * std::pow(c.step_factor, std::floor(at / (c.step_epochs * per_epoch)));
  if (c.sched == "multi-step") {
    const auto passed =
        std::ranges::count_if(c.milestones, [&](double epoch) { return at >= epoch * per_epoch; });
    return c.lr * std::pow(c.step_factor, static_cast<double>(passed));
  }
  if (c.sched == "cosine") return cosine(c.lr, c.min_lr, (at - warm) / (total - warm));
  return c.lr;
}

}  // namespace kd
