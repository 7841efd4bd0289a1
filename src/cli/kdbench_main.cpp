// kdbench: times the parts of a training step, and the nodes of its programs.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <numeric>
#include <sstream>

#include "cli/program.h"
#include "core/file.h"
#include "core/json.h"
#include "distill/training_step.h"
#include "io/safetensors.h"
#include "kd/error.h"
#include "kd/random.h"
#include "kd/trainer.h"

namespace kd::cli {
namespace {

struct BenchOptions {
  std::string teacher, student, output, save;
  int64_t batch = 16, threads = 0, rounds = 5, repeats = 3;
  bool serve = false;
};

double peak_memory_mib() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) / 1024;
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

Batch random_batch(const Model& model, int64_t size) {
  const Shape& one = model.graph.shape(model.input);
  Batch batch;
  batch.pixels = Tensor::host({DType::u8, {size, one[1], one[2], one[3]}});
  batch.placements = Tensor::host({DType::i32, {size, 3}});
  std::fill_n(batch.placements.as<int32_t>(), batch.placements.elements(), 0);
  batch.labels = Tensor::host({DType::i32, {size}});
  batch.count = size;
  RandomSequence random(1, Purpose::shuffle, 0, 0);
  for (int64_t i = 0; i < batch.pixels.elements(); ++i) {
    batch.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
  }
  for (int64_t i = 0; i < size; ++i) {
    batch.labels.as<int32_t>()[i] =
        static_cast<int32_t>(random.below(static_cast<uint32_t>(model.classes())));
  }
  return batch;
}

const std::vector<float> kRates{0.01f};

// The parts of a step that can be timed apart. A student alone is made when first asked for, so
// that peak memory is that of the whole step until then.
class Parts {
 public:
  explicit Parts(const BenchOptions& o)
      : backend_(make_backend(Device::cpu, {.threads = static_cast<int>(o.threads)})),
        teacher_(load_or_build(o.teacher, 0, 1)),
        student_(load_or_build(o.student, teacher_.classes(), 2)) {
    config_.batch_size = o.batch;
    config_.teacher = o.teacher;  // the loss follows it
    batch_ = random_batch(student_, o.batch);
    whole_.emplace(student_, &teacher_, config_, *backend_, kRates);
  }

  void run(const std::string& part) {
    if (part == "step") {
      whole_->run(batch_);
    } else if (part == "teacher") {
      whole_->teacher()->run(whole_->stream());
      backend_->synchronize(whole_->stream());
    } else if (part == "student") {
      if (!alone_) {
        RunConfig plain = config_;
        plain.teacher.clear();
        alone_.emplace(student_, nullptr, plain, *backend_, kRates);
      }
      alone_->run(batch_);
    } else {
      fail(ErrorCode::usage, "no part '{}'; valid: step, teacher, student", part);
    }
  }
  double loss() { return whole_->run(batch_).loss; }
  // From the first weights again.
  void restart() { whole_.emplace(student_, &teacher_, config_, *backend_, kRates); }
  // What another program needs to do the same work: both models, and the batch.
  void save(const std::filesystem::path& folder) const {
    save_model(teacher_, folder / "teacher.bin");
    save_model(student_, folder / "student.bin");
    write_safetensors({{}, {{"images", network_input()}, {"labels", batch_.labels}}},
                      folder / "batch.bin");
  }
  // The batch as the network sees it: f32 (batch, H, W, C).
  Tensor network_input() const {
    const Preprocess& p = student_.preprocess;
    const Shape& shape = batch_.pixels.shape();
    const Tensor images = Tensor::host({DType::f32, shape});
    const int64_t each = images.elements() / shape[0];
    for (int64_t i = 0; i < shape[0]; ++i) {
      Image image{p.crop_height, p.crop_width, p.channels(), {}};
      const auto* pixels = batch_.pixels.as<uint8_t>() + i * each;
      image.pixels.assign(pixels, pixels + each);
      prepare_image(image, p, images.as<float>() + i * each);
    }
    return images;
  }
  TrainingStep& whole() { return *whole_; }
  double arena_mib() const { return static_cast<double>(whole_->arena_bytes()) / (1 << 20); }

 private:
  RunConfig config_;
  std::unique_ptr<Backend> backend_;
  Model teacher_, student_;
  Batch batch_;
  std::optional<TrainingStep> whole_, alone_;
};

// Reads lines and answers each with one, so that another program's rounds can be put between ours:
// "PART REPEATS" with seconds, "losses N" with those of the first N steps, "memory" with MiB.
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
    if (part == "losses") {
      parts.restart();
      for (int64_t i = 0; i < repeats; ++i) std::cout << fmt::format("{:.9g} ", parts.loss());
      std::cout << std::endl;
      continue;
    }
    for (int64_t i = 0; i < repeats; ++i) {
      std::cout << seconds_of([&] { parts.run(part); }) << ' ';
    }
    std::cout << std::endl;
  }
  return 0;
}

int bench_step(const BenchOptions& o) {
  if (o.serve) return serve(o);
  Parts parts(o);
  Json json = {{"batch", o.batch}, {"threads", o.threads}};
  std::map<std::string, std::vector<double>> seconds;
  parts.run("step");
  json["peak_memory_mib"] = peak_memory_mib();
  const std::vector<std::string> names{"step", "teacher", "student"};
  for (const std::string& name : names) parts.run(name);  // warm
  for (int64_t round = 0; round < o.rounds; ++round) {
    for (const std::string& name : names) {
      for (int64_t i = 0; i < o.repeats; ++i) {
        seconds[name].push_back(seconds_of([&] { parts.run(name); }));
      }
    }
  }
  for (const auto& [name, all] : seconds) {
    const double each = median(all), images = static_cast<double>(o.batch) / each;
    std::cout << fmt::format("{:<9}{:9.2f} ms {:9.1f} images/s   ({:.2f} to {:.2f} ms)\n", name,
                             each * 1e3, images, *std::ranges::min_element(all) * 1e3,
                             *std::ranges::max_element(all) * 1e3);
    json["median_seconds"][name] = each;
  }
  std::cout << fmt::format("peak memory {:.0f} MiB, of it activations and scratch {:.0f} MiB\n",
                           json["peak_memory_mib"].get<double>(), parts.arena_mib());
  if (!o.output.empty()) write_file(o.output, json.dump(2) + "\n");
  return 0;
}

struct NodeTime {
  PlannedNode node;
  double milliseconds;
};

void print_profile(const std::string& title, Program& program, Stream& stream, int64_t rounds) {
  const std::vector<PlannedNode> plan = program.plan();
  std::vector<std::vector<double>> runs(plan.size());
  for (int64_t round = 0; round < rounds; ++round) {
    const std::vector<double> times = program.profile(stream);
    for (size_t i = 0; i < times.size(); ++i) runs[i].push_back(times[i]);
  }
  std::map<std::string, double> of_op;
  double sum = 0;
  std::cout << title << "\n";
  for (size_t i = 0; i < plan.size(); ++i) {
    const double ms = median(runs[i]);
    sum += ms;
    of_op[plan[i].op] += ms;
    std::cout << fmt::format("  {:8.3f} ms {:7.1f} GFLOP/s {:6.1f} GB/s  {:<26} {} {}\n", ms,
                             plan[i].cost.flops / ms * 1e-6, plan[i].cost.bytes / ms * 1e-6,
                             plan[i].op, plan[i].name, plan[i].detail);
  }
  std::cout << fmt::format("{}: {:.2f} ms\n", title, sum);
  for (const auto& [op, ms] : of_op) {
    std::cout << fmt::format("  {:8.3f} ms {:5.1f} %  {}\n", ms, 100 * ms / sum, op);
  }
}

int bench_nodes(const BenchOptions& o) {
  Parts parts(o);
  parts.run("step");
  TrainingStep& step = parts.whole();
  print_profile("teacher", step.teacher()->program(), step.stream(), o.rounds);
  print_profile("student", step.program(), step.stream(), o.rounds);
  return 0;
}

CLI::App* add(CLI::App& app, BenchOptions& o, const std::string& name, const std::string& help) {
  CLI::App* command = app.add_subcommand(name, help);
  command->add_option("--teacher", o.teacher, "a model (.bin) or an architecture (.json)")
      ->required();
  command->add_option("--student", o.student, "a model (.bin) or an architecture (.json)")
      ->required();
  command->add_option("--batch-size", o.batch, "pictures a step")->check(CLI::Range(1, 100000));
  command->add_option("--threads", o.threads, "threads that compute; 0 = all cores");
  command->add_option("--rounds", o.rounds, "rounds; medians are shown")
      ->check(CLI::Range(1, 1000));
  return command;
}

}  // namespace
}  // namespace kd::cli

int main(int argc, char** argv) {
  using namespace kd::cli;
  CLI::App app("Times the parts of a distillation step.", "kdbench");
  app.require_subcommand(1);
  BenchOptions options;
  CLI::App* step = add(app, options, "step", "the whole step, the teacher and the student alone");
  step->add_option("--repeats", options.repeats, "runs of a part in a round")
      ->check(CLI::Range(1, 1000));
  step->add_option("-o,--output", options.output, "write the medians as JSON");
  step->add_option("--save", options.save, "with --serve: a folder for the models and the batch");
  step->add_flag("--serve", options.serve, "read 'PART REPEATS' lines, answer with seconds");
  add(app, options, "nodes", "every node of the teacher's and the student's program");
  return run_program(app, argc, argv,
                     [&] { return step->parsed() ? bench_step(options) : bench_nodes(options); });
}
