#include "cli/bench.h"

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

Json about_machine(const Backend& backend) {
  return {{"engine", backend.describe()},
          {"cpu", cpu_name()},
          {"date", utc_now()},
          {"kdengine", KD_VERSION},
          {"compiler", __VERSION__}};
}

}  // namespace kd::cli
