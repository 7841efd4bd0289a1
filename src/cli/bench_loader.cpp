// kdbench loader: pictures a second of a data set, with nothing behind the loader; and whether
// memory stays flat when it goes on for long.
#include <fmt/format.h>

#include <ctime>
#include <iostream>

#include "cli/bench.h"
#include "core/file.h"
#include "core/peak_memory.h"
#include "core/stop_watch.h"
#include "kd/data.h"

namespace kd::cli {
namespace {

// Of all threads of this process.
double cpu_seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

LoaderOptions options_of(const BenchOptions& o) {
  LoaderOptions loader;
  loader.batch = o.batch;
  loader.workers = static_cast<int>(o.workers);
  loader.preprocess.crop_height = loader.preprocess.crop_width = static_cast<int>(o.crop);
  loader.preprocess.resize = static_cast<int>(o.resize);
  loader.training = !o.evaluation;
  loader.augment.random_resized_crop = o.random_resized_crop;
  loader.augment.jpeg_scaling = o.jpeg_scaling;
  loader.augment.pad_crop = static_cast<int>(o.pad_crop);
  loader.augment.flip = 0.5;
  return loader;
}

// Goes through the data again and again, epoch after epoch.
class Passes {
 public:
  explicit Passes(const BenchOptions& o) : loader_(data_of(o), options_of(o)) { loader_.start(0); }
  int64_t next() {  // pictures
    const Batch* batch = loader_.next();
    while (batch == nullptr) {
      loader_.start(++epoch_);
      batch = loader_.next();
    }
    return batch->count;
  }

 private:
  static std::shared_ptr<const Dataset> data_of(const BenchOptions& o) {
    const DataSplits splits = open_data(o.data, {.val_split = o.val_split});
    return o.evaluation ? splits.val : splits.train;
  }
  Loader loader_;
  int64_t epoch_ = 0;
};

struct Round {
  int64_t batches = 0, pictures = 0;
  double seconds = 0, cpu = 0;
};

Round one_round(Passes& passes, double seconds) {
  Round round;
  const double cpu = cpu_seconds();
  const double begun = steady_seconds();
  while (round.seconds < seconds) {
    round.pictures += passes.next();
    ++round.batches;
    round.seconds = steady_seconds() - begun;
  }
  round.cpu = cpu_seconds() - cpu;
  return round;
}

}  // namespace

int bench_loader(const BenchOptions& o) {
  Passes passes(o);
  one_round(passes, o.seconds / 4);  // what is read once is read now
  std::vector<double> rates, cpu_rates;
  Json memory = Json::array();
  int64_t batches = 0;
  for (int64_t i = 0; i < o.rounds; ++i) {
    const Round round = one_round(passes, o.seconds);
    rates.push_back(static_cast<double>(round.pictures) / round.seconds);
    cpu_rates.push_back(static_cast<double>(round.pictures) / round.cpu);
    batches += round.batches;
    const double mib = resident_memory_bytes().value_or(0) / (1 << 20);
    memory.push_back(mib);
    std::cout << fmt::format(
        "{:8.0f} pictures/s {:8.0f} pictures/s of CPU time {:10} batches {:6.1f} MiB\n",
        rates.back(), cpu_rates.back(), batches, mib);
  }
  std::cout << fmt::format("median {:.0f} pictures/s, {:.0f} of CPU time\n", median(rates),
                           median(cpu_rates));
  if (!o.output.empty()) {
    const Json json = {{"pictures_per_second", median(rates)},
                       {"pictures_per_cpu_second", median(cpu_rates)},
                       {"batches", batches},
                       {"resident_mib", memory}};
    write_file(o.output, json.dump(1) + "\n");
  }
  return 0;
}

}  // namespace kd::cli
