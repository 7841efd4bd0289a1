// kdbench step: a step and its parts, in rounds of its own or as another program asks for them.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "cli/bench_parts.h"
#include "core/file.h"
#include "core/peak_memory.h"
#include "core/stop_watch.h"
#include "kd/error.h"

namespace kd::cli {
namespace {

double peak_memory_mib() { return peak_memory_bytes().value_or(0) / (1 << 20); }

// Reads lines and answers each with one, so that another program's rounds can be put between ours:
// "PART REPEATS" with seconds, "losses N" with those of the first N steps, "gradient N" with the
// norm of the Nth step's gradient, "memory" with MiB.
int serve(const BenchOptions& o) {
  Parts parts(o);
  if (!o.save.empty()) parts.save(o.save);
  std::cout << "ready" << std::endl;
  std::string line, part;
  int64_t repeats = 0;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    if (line == "memory") {
      std::cout << peak_memory_mib() << std::endl;
      continue;
    }
    KD_CHECK(words >> part >> repeats, "expected PART REPEATS, got '{}'", line);
    if (part == "losses" || part == "gradient") {
      parts.restart();
      for (int64_t i = 0; i < repeats; ++i) {
        const double loss = parts.loss();
        if (part == "losses") std::cout << fmt::format("{:.9g} ", loss);
      }
      if (part == "gradient") std::cout << fmt::format("{:.9g}", parts.gradient_norm());
    } else {
      for (const double each : parts.seconds(part, repeats)) std::cout << each << ' ';
    }
    std::cout << std::endl;
  }
  return 0;
}

}  // namespace

int bench_step(const BenchOptions& o) {
  if (o.serve) return serve(o);
  Parts parts(o);
  Json json = {{"machine", about_machine(parts.engine())},
               {"batch", o.batch},
               {"threads", o.threads},
               {"teacher", o.teacher},
               {"student", o.student},
               {"precision", o.precision},
               {"teacher_precision", o.teacher_precision},
               {"pipeline", o.pipeline}};
  const int64_t repeats = o.repeats > 0 ? o.repeats : o.device == "cuda" ? 30 : 3;
  std::map<std::string, std::vector<double>> seconds;
  parts.run("step");
  json["peak_memory_mib"] = peak_memory_mib();
  json["arena_mib"] = parts.arena_mib();
  for (const std::string& name : Parts::names()) parts.run(name);  // warm
  for (int64_t round = 0; round < o.rounds; ++round) {
    for (const std::string& name : Parts::names()) {
      std::ranges::copy(parts.seconds(name, repeats), std::back_inserter(seconds[name]));
    }
  }
  std::cout << json["machine"]["engine"].get<std::string>() << "\n";
  for (const std::string& name : Parts::names()) {
    const std::vector<double>& all = seconds.at(name);
    const double each = median(all), images = static_cast<double>(o.batch) / each;
    const auto [least, most] = std::ranges::minmax(all);
    std::cout << fmt::format("{:<10}{:9.3f} ms {:11.1f} images/s   ({:.3f} to {:.3f} ms)\n", name,
                             each * 1e3, images, least * 1e3, most * 1e3);
    json["median_seconds"][name] = each;
    json["min_seconds"][name] = least;
    json["max_seconds"][name] = most;
  }
  std::cout << fmt::format("peak memory {:.0f} MiB, of it activations and scratch {:.0f} MiB\n",
                           json["peak_memory_mib"].get<double>(), parts.arena_mib());
  if (!o.output.empty()) write_file(o.output, json.dump(2) + "\n");
  return 0;
}

}  // namespace kd::cli
