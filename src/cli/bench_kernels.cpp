// kdbench kernels: every op alone, through Google Benchmark, beside the machine's copy bandwidth.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <regex>
#include <set>

#include "cli/bench.h"
#include "cli/bench_cases.h"
#include "core/file.h"
#include "core/stop_watch.h"
#include "distill/roofline.h"
#include "kd/error.h"
#include "kd/ops.h"

#ifdef KD_WITH_BENCHMARK
#include <benchmark/benchmark.h>

namespace kd::cli {
namespace {

std::string name_of(const KernelCase& one) {
  return fmt::format("{}/{}/{}", one.op, one.what, kd::name_of(one.dtype));
}

// The case that is compiled now: Google Benchmark calls a function several times until it knows how
// often to run, and only one case's memory should be held.
class Runner {
 public:
  explicit Runner(Backend& backend) : backend_(backend) {}
  void run(benchmark::State& state, const KernelCase& one) {
    try {
      prepare(one);
      time(state);
    } catch (const std::exception& error) {
      state.SkipWithError(error.what());
    }
  }

 private:
  void prepare(const KernelCase& one) {
    if (current_ == &one && program_) return;
    program_.reset();
    current_ = &one;
    program_.emplace(one.build, backend_);
    program_->seconds(1);  // warm
    // Enough runs between two waits that the wait does not show.
    const double once = std::min(program_->seconds(1), program_->seconds(1));
    runs_ = std::clamp<int64_t>(static_cast<int64_t>(2e-3 / once), 1, 1000);
  }
  void time(benchmark::State& state) {
    std::vector<double> samples;
    while (state.KeepRunningBatch(runs_)) {
      const double seconds = program_->seconds(runs_);
      state.SetIterationTime(seconds);
      samples.push_back(seconds / static_cast<double>(runs_));
    }
    state.counters["median"] = median(samples);
    state.counters["min"] = *std::ranges::min_element(samples);
    state.counters["max"] = *std::ranges::max_element(samples);
    state.counters["bytes"] = program_->cost().bytes;
    state.counters["flops"] = program_->cost().flops;
    state.counters["reorders"] = program_->reorders();
  }

  Backend& backend_;
  const KernelCase* current_ = nullptr;
  std::optional<Isolated> program_;
  int64_t runs_ = 1;
};

// Prints a line for each case, and keeps the JSON on disk as far as it has come.
class Reporter final : public benchmark::BenchmarkReporter {
 public:
  Reporter(Json head, double bandwidth, std::string output)
      : json_(std::move(head)), bandwidth_(bandwidth), output_(std::move(output)) {}
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) report(run);
    if (!output_.empty()) write_file(output_, json_.dump(2) + "\n");
  }
  bool any_failed() const { return failed_; }

 private:
  void report(const Run& run) {
    const std::string name = run.run_name.function_name;
    if (run.error_occurred) {
      failed_ = true;
      std::cout << fmt::format("{:<62} failed: {}", name, run.error_message) << std::endl;
      json_["kernels"].push_back({{"name", name}, {"error", run.error_message}});
      return;
    }
    const auto counter = [&](const char* key) { return run.counters.at(key).value; };
    const double seconds = counter("median"), bytes = counter("bytes"), flops = counter("flops");
    const double share = bytes / seconds / bandwidth_;
    const int reorders = static_cast<int>(counter("reorders"));
    std::cout << fmt::format("{:<62}{:11.2f} us{:9.1f} GB/s{:10.1f} GFLOP/s{:7.1f} %{}", name,
                             seconds * 1e6, bytes / seconds * 1e-9, flops / seconds * 1e-9,
                             100 * share, reorders > 0 ? "  reorders" : "")
              << std::endl;
    json_["kernels"].push_back({{"name", name},
                                {"median_seconds", seconds},
                                {"min_seconds", counter("min")},
                                {"max_seconds", counter("max")},
                                {"runs", run.iterations},
                                {"bytes", bytes},
                                {"flops", flops},
                                {"gb_per_second", bytes / seconds * 1e-9},
                                {"gflop_per_second", flops / seconds * 1e-9},
                                {"share_of_copy", share},
                                {"reorders", reorders}});
  }

  Json json_;
  double bandwidth_;
  std::string output_;
  bool failed_ = false;
};

bool on_cuda(const BenchOptions& o) { return o.device == "cuda"; }

std::vector<KernelCase> selected(const BenchOptions& o) {
  CaseSizes sizes;
  sizes.dtype = !o.dtype.empty() ? dtype_from_name(o.dtype) : on_cuda(o) ? DType::f16 : DType::f32;
  sizes.large = o.image_batch > 0 ? o.image_batch : on_cuda(o) ? 256 : 16;
  const double limit = (o.memory_gib > 0 ? o.memory_gib : on_cuda(o) ? 16 : 0.5) * (1 << 30);
  std::vector<KernelCase> cases = kernel_cases(sizes);
  std::set<std::string_view> without;
  for (const OpDef* op : all_ops()) without.insert(op->name);
  for (const KernelCase& one : cases) without.erase(one.op);
  for (const std::string_view op : without) std::cout << op << ": has no case\n";
  const std::regex filter(o.filter);
  std::erase_if(cases, [&](const KernelCase& one) {
    if (!std::regex_search(name_of(one), filter)) return true;
    const double bytes = bytes_of(one.build);
    if (bytes > limit) {
      std::cout << fmt::format("{}: left out, takes {:.1f} GiB (--memory)\n", name_of(one),
                               bytes / (1 << 30));
    }
    return bytes > limit;
  });
  return cases;
}

}  // namespace

int bench_kernels(const BenchOptions& o) {
  std::vector<KernelCase> cases;
  try {
    cases = selected(o);
  } catch (const std::regex_error& error) {
    fail(ErrorCode::usage, "--filter '{}' is no regular expression: {}", o.filter, error.what());
  }
  if (o.list) {
    for (const KernelCase& one : cases) std::cout << name_of(one) << "\n";
    return 0;
  }
  KD_CHECK(!cases.empty(), "no kernel matches --filter '{}'; --list shows all", o.filter);
  const auto backend = open_engine(o);
  const double bandwidth = copy_bandwidth(*backend);
  std::cout << fmt::format(
      "{}\ncopy: {:.1f} GB/s read and written; values that stay in a cache can "
      "be faster\n",
      backend->describe(), bandwidth * 1e-9);
  Json head = {{"machine", about_machine(*backend)},
               {"threads", o.threads},
               {"copy_gb_per_second", bandwidth * 1e-9},
               {"kernels", Json::array()}};
  Runner runner(*backend);
  for (const KernelCase& one : cases) {
    benchmark::RegisterBenchmark(name_of(one).c_str(),
                                 [&](benchmark::State& state) { runner.run(state, one); })
        ->UseManualTime()
        ->MinTime(o.seconds);
  }
  Reporter reporter(std::move(head), bandwidth, o.output);
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return reporter.any_failed() ? static_cast<int>(ErrorCode::device) : 0;
}

}  // namespace kd::cli

#else

namespace kd::cli {
int bench_kernels(const BenchOptions&) {
  fail(ErrorCode::usage,
       "this build has no kernels command: Google Benchmark was not found (Debian: "
       "libbenchmark-dev)");
}
}  // namespace kd::cli

#endif
