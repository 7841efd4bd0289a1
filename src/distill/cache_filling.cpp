#include "distill/cache_filling.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "core/stop_watch.h"
#include "distill/teacher_cache.h"

namespace kd {
namespace {

constexpr int64_t kChecked = 8;  // batches of each view that the teacher reads again

double log_sum(std::span<const float> logits, double t) {
  double top = -INFINITY, sum = 0;
  for (const float x : logits) top = std::max(top, double{x} / t);
  for (const float x : logits) sum += std::exp(double{x} / t - top);
  return top + std::log(sum);
}

// KL between softmax(exact / t) and softmax(kept / t).
double divergence(std::span<const float> exact, std::span<const float> kept, double t) {
  const double of_exact = log_sum(exact, t), of_kept = log_sum(kept, t);
  double sum = 0;
  for (size_t k = 0; k < exact.size(); ++k) {
    const double log_p = double{exact[k]} / t - of_exact, log_q = double{kept[k]} / t - of_kept;
    sum += std::exp(log_p) * (log_p - log_q);
  }
  return sum;
}

// How far the kept logits are from those of the teacher.
struct FormatError {
  double sum = 0, softened = 0, most = 0, temperature = 1;
  int64_t count = 0;
  void add(std::span<const float> exact, std::span<const float> kept) {
    const double plain = divergence(exact, kept, 1);
    sum += plain;
    softened += divergence(exact, kept, temperature);
    most = std::max(most, plain);
    ++count;
  }
  std::string str() const {
    if (count == 0) return "";
    const auto n = static_cast<double>(count);
    return fmt::format(
        "KL of the kept from the exact: mean {:.3g}, most {:.3g}; at T = {:g}: mean "
        "{:.3g} ({} pictures)",
        sum / n, most, temperature, softened / n, count);
  }
};

// Calls `each` for every stage with a cache of its own, and a teacher that is there.
void for_each_cache(const RunConfig& config, Setup& setup, const CacheWatcher& watcher,
                    const std::function<void(const RunConfig&, int64_t first)>& each) {
  for (int64_t i = 0; i < stage_count(config); ++i) {
    const RunConfig stage = at_stage(config, i);
    if (!uses_cache(stage)) continue;
    const bool later = std::ranges::any_of(
        stage.use_teachers, [&](int64_t which) { return which >= std::ssize(setup.teachers); });
    if (later || stage.assistants > 0) {
      watcher.note(stage.name + ": an assistant teaches, which is trained only in the run");
      continue;
    }
    each(stage, first_with_same_pictures(config, i));
  }
}

LoaderOptions in_order(const Setup& setup, const RunConfig& stage) {
  LoaderOptions options = training_options(setup, stage);
  options.in_order = true;
  return options;
}

double temperature_of(const RunConfig& stage) {
  for (const TermSpec& spec : loss_terms(stage)) {
    const auto given = spec.params.find("temperature");
    if (given != spec.params.end()) return given->second;
  }
  return stage.temperature;
}

class Filling {
 public:
  Filling(const Setup& setup, const RunConfig& stage, int64_t first, const CacheWatcher& watcher)
      : watcher_(watcher),
        stage_(stage),
        cache_(setup, stage, first),
        loader_(setup.data.train, in_order(setup, stage)) {
    error_.temperature = temperature_of(stage);
  }
  bool fill();
  void verify();

 private:
  void report(int64_t done) const;
  void keep(const Batch& batch, int64_t view);
  // What is kept of a batch with what the teacher says.
  void compare(const Batch& batch, int64_t view, size_t teacher, const std::vector<float>& kept,
               const std::vector<float>& exact);
  size_t logits_of(const Batch& batch, size_t teacher) {  // how many
    return batch.ids.size() * static_cast<size_t>(cache_.files()[teacher].size().classes);
  }
  void say(const std::string& line) const {
    if (watcher_.note) watcher_.note(line);
  }
  const CacheWatcher& watcher_;
  const RunConfig& stage_;
  TeacherCache cache_;
  Loader loader_;
  FormatError error_;
  double begun_ = steady_seconds();
};

void Filling::report(int64_t done) const {
  if (!watcher_.step) return;
  const int64_t all = cache_.views() * loader_.batches();
  watcher_.step(
      {stage_.name, stage_.teacher_cache, done * stage_.batch_size, all * stage_.batch_size,
       (steady_seconds() - begun_) / static_cast<double>(done) * static_cast<double>(all - done)});
}

void Filling::keep(const Batch& batch, int64_t view) {
  if (cache_.holds(batch, view)) return;
  for (size_t i = 0; i < cache_.files().size(); ++i) {
    std::vector<float> kept(logits_of(batch, i));
    const std::vector<float>* own = cache_.logits(batch, view, i, kept.data());
    if (cache_.files()[i].format().exact()) continue;
    compare(batch, view, i, kept, own != nullptr ? *own : cache_.computed(batch, i));
  }
}

void Filling::compare(const Batch& batch, int64_t view, size_t teacher,
                      const std::vector<float>& kept, const std::vector<float>& exact) {
  const LogitFile& file = cache_.files()[teacher];
  const auto classes = static_cast<size_t>(file.size().classes);
  for (int64_t i = 0; i < batch.count; ++i) {
    const auto at = static_cast<size_t>(i) * classes;
    const std::span<const float> own(exact.data() + at, classes), found(kept.data() + at, classes);
    error_.add(own, found);
    if (!file.format().exact() || std::ranges::equal(own, found)) continue;
    fail(ErrorCode::input, "{}: picture {}, view {}: the teacher's logits are others now",
         file.path().string(), batch.ids[static_cast<size_t>(i)], view);
  }
}

bool Filling::fill() {
  int64_t done = 0;
  for (int64_t view = 0; view < cache_.views(); ++view) {
    loader_.start(view);
    while (const Batch* batch = loader_.next()) {
      keep(*batch, view);
      report(++done);
      if (watcher_.stop && watcher_.stop()) {
        cache_.sync();
        return false;
      }
    }
    cache_.sync();
  }
  for (const LogitFile& file : cache_.files()) {
    say(fmt::format("{}: {} of {} logits are kept, {:.1f} MiB", file.path().string(),
                    file.count().present, file.slots(),
                    static_cast<double>(file.whole_bytes()) / (1 << 20)));
  }
  if (error_.count > 0) say(error_.str());
  return true;
}

void Filling::verify() {
  for (const LogitFile& file : cache_.files()) {
    const LogitFile::Count count = file.count();
    say(fmt::format("{}: {} of {} logits are kept, {} damaged", file.path().string(), count.present,
                    file.slots(), count.damaged));
    KD_CHECK(count.damaged == 0, "{}: {} records are damaged; filling writes them anew",
             file.path().string(), count.damaged);
  }
  for (int64_t view = 0; view < cache_.views(); ++view) {
    loader_.start(view);
    for (int64_t i = 0; i < std::min(kChecked, loader_.batches()); ++i) {
      const Batch& batch = *loader_.next();
      if (!cache_.holds(batch, view)) continue;
      for (size_t teacher = 0; teacher < cache_.files().size(); ++teacher) {
        std::vector<float> kept(logits_of(batch, teacher));
        cache_.logits(batch, view, teacher, kept.data());
        compare(batch, view, teacher, kept, cache_.computed(batch, teacher));
      }
    }
  }
  say(fmt::format("the teacher agrees on {} pictures. {}", error_.count, error_.str()));
}

}  // namespace

std::string describe_cache(const RunConfig& config) {
  Setup setup = set_up(config, {});
  std::string text;
  const CacheWatcher watcher{[&](const std::string& line) { text += line + "\n"; }, {}, {}};
  for_each_cache(config, setup, watcher, [&](const RunConfig& stage, int64_t) {
    const LogitFormat format_of = parse_logit_format(stage.cache_format);
    for (const Model& teacher : setup.teachers) {
      const LogitFile::Size size{setup.data.train->size(), kept_views(stage), teacher.classes()};
      text += fmt::format("{}: {} views of {} pictures, {} classes in {}: {:.1f} MiB\n",
                          teacher.name, size.views, size.samples, size.classes, format_of.str(),
                          static_cast<double>(LogitFile::bytes_of(size, format_of)) / (1 << 20));
    }
  });
  return text;
}

bool fill_cache(const RunConfig& config, const CacheWatcher& watcher) {
  Setup setup = set_up(config, {});
  bool whole = true;
  for_each_cache(config, setup, watcher, [&](const RunConfig& stage, int64_t first) {
    whole = whole && Filling(setup, stage, first, watcher).fill();
  });
  return whole;
}

void verify_cache(const RunConfig& config, const CacheWatcher& watcher) {
  Setup setup = set_up(config, {});
  for_each_cache(config, setup, watcher, [&](const RunConfig& stage, int64_t first) {
    Filling(setup, stage, first, watcher).verify();
  });
}

}  // namespace kd
