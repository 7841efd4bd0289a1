// kdpack: pictures -> one file that is mapped into memory, or the check of such a file.
#include <fmt/format.h>

#include <iostream>

#include "cli/program.h"
#include "cli/progress.h"
#include "kd/error.h"

namespace {

using kd::PackSummary;

struct Options {
  kd::PackConfig pack;
  bool verify = false;
};

kd::PackWatcher watcher_of(kd::cli::StatusLine& line, kd::cli::ProgressBar& bar) {
  return {[&line](const std::string& text) { line.say(text); },
          [&bar](const kd::PackProgress& progress) { bar.show(progress); },
          [] { return kd::cli::caught_signal() != 0; }};
}

int run(const Options& o) {
  if (o.verify != o.pack.output.empty()) {
    kd::fail(kd::ErrorCode::usage, o.verify ? "--verify reads a packed set: no --output"
                                            : "--output is missing: the packed set to write");
  }
  kd::cli::watch_signals();
  kd::cli::StatusLine line(std::chrono::seconds(30));
  kd::cli::ProgressBar bar(line);
  const kd::PackWatcher watcher = watcher_of(line, bar);
  const PackSummary s =
      o.verify ? kd::verify_packed(o.pack.source, watcher) : kd::pack(o.pack, watcher);
  const std::string file = (o.verify ? o.pack.source : o.pack.output).string();
  if (s.interrupted) {
    line.say(fmt::format("interrupted after {} pictures{}", s.pictures,
                         o.verify ? "" : ": the same command continues"));
    return 128 + kd::cli::caught_signal();
  }
  line.say(fmt::format("{}: {} pictures, {:.1f} MiB, source {}{}{}", file, s.pictures,
                       static_cast<double>(s.bytes) / (1 << 20), s.source_hash,
                       s.left_out > 0 ? fmt::format(", {} left out", s.left_out) : "",
                       o.verify ? ", all as they were packed" : ""));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Packs pictures into one file for --data, decoded once.", "kdpack");
  Options o;
  app.add_option("data", o.pack.source,
                 "what --data takes: a folder of pictures, CIFAR or IDX files; with --verify a set")
      ->required();
  app.add_option("-o,--output", o.pack.output, "the packed set to write (.kdp)");
  app.add_option("--size", o.pack.size, "resize the shorter side to this")
      ->check(CLI::Range(1, 65536));
  app.add_option("--height", o.pack.height, "with --width: resize to cover, crop the centre")
      ->check(CLI::Range(1, 65536));
  app.add_option("--width", o.pack.width, "see --height")->check(CLI::Range(1, 65536));
  app.add_option("--channels", o.pack.channels, "1: grey, 3: colour; default as the data has them")
      ->check(CLI::IsMember({1, 3}));
  app.add_flag("--keep-jpeg", o.pack.keep_jpeg,
               "keep JPEG files as they are: smaller, decoded at each reading");
  app.add_option("--max-bad-images", o.pack.max_bad_images,
                 "unreadable pictures that are left out instead of ending the job")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  app.add_option("--workers", o.pack.workers, "threads that decode")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_flag("--verify", o.verify, "compare every picture of a packed set with its checksum");
  return kd::cli::run_program(app, argc, argv, [&] { return run(o); });
}
