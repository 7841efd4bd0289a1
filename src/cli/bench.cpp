#include "cli/bench.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <fstream>

#include "kd/error.h"

namespace kd::cli {
namespace {

std::string cpu_name() {
  std::ifstream file("/proc/cpuinfo");
  std::string line;
  while (std::getline(file, line)) {
    const size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  return "unknown";
}

std::string utc_now() {
  const std::time_t now = std::time(nullptr);
  std::tm parts{};
  gmtime_r(&now, &parts);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%SZ", &parts)};
}

}  // namespace

std::unique_ptr<Backend> open_engine(const BenchOptions& o) {
  EngineOptions engine;
  engine.threads = static_cast<int>(o.threads);
  engine.allow_tf32 = o.precision == "tf32" || o.teacher_precision == "tf32";
  engine.autotune = o.autotune;
  return make_backend(o.device == "cuda" ? Device::cuda : Device::cpu, engine);
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  KD_CHECK(!values.empty(), "no values, no median");
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Json about_machine(const Backend& backend) {
  return {{"engine", backend.describe()},
          {"cpu", cpu_name()},
          {"date", utc_now()},
          {"kdengine", KD_VERSION},
          {"compiler", __VERSION__}};
}

double copy_bandwidth(Backend& backend) {
  const size_t bytes = backend.device() == Device::cpu ? size_t{256} << 20 : size_t{1} << 30;
  const Buffer from = backend.allocate(bytes, Memory::device);
  const Buffer to = backend.allocate(bytes, Memory::device);
  const auto stream = backend.stream(Priority::normal);
  backend.fill(from.data(), 1, bytes, *stream);  // memory never written may not be there yet
  std::vector<double> seconds;
  for (int round = 0; round < 9; ++round) {
    seconds.push_back(seconds_of([&] {
      backend.copy(to.data(), from.data(), bytes, *stream);
      backend.synchronize(*stream);
    }));
  }
  return 2 * static_cast<double>(bytes) / median(seconds);
}

}  // namespace kd::cli
