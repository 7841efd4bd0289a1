#include "support/parity.h"

#include <algorithm>
#include <cmath>
#include <fstream>

#include "distill/training_step.h"
#include "kd/error.h"
#include "kd/random.h"
#include "support/support.h"

namespace kd::test {
namespace {

std::vector<float> fetched(const Tensor& tensor, Backend& backend) {
  const Tensor host = Tensor::host(tensor.desc());
  const auto stream = backend.stream(Priority::normal);
  backend.copy(host.data(), tensor.data(), host.bytes(), *stream);
  backend.synchronize(*stream);
  std::vector<float> values(static_cast<size_t>(host.elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    switch (host.desc().dtype) {
      case DType::f16:
        values[i] = f16_to_f32(host.as<uint16_t>()[i]);
        break;
      case DType::bf16:
        values[i] = bf16_to_f32(host.as<uint16_t>()[i]);
        break;
      default:
        values[i] = host.as<float>()[i];
    }
  }
  return values;
}

}  // namespace

StepsTrace trace_steps(const ParityJob& job, Backend& backend, const std::string& precision) {
  RunConfig config = job.config;
  config.precision = config.teacher_precision = precision;
  TrainingStep step(plain_setup(job.student, &job.teacher, config, job.rates), backend);
  StepsTrace trace;
  double scale = 1;
  for (const Batch& batch : job.batches) {
    scale = trace.losses.empty() ? config.loss_scale : scale;
    const StepResult result = step.run(batch);
    trace.losses.push_back(result.loss);
    scale = result.loss_scale;
  }
  if (step.variables().low_dtype() != DType::f16) scale = 1;
  for (const Value v : job.student.graph.leaves(Role::parameter)) {
    const std::string& name = job.student.graph.info(v).name;
    std::vector<float> gradient = fetched(step.variables().gradient(name), backend);
    for (float& g : gradient) g /= static_cast<float>(scale);
    trace.gradients[name] = std::move(gradient);
  }
  for (const auto& [name, tensor] : step.variables().fetch()) {
    if (name.starts_with("arena.")) continue;  // the optimiser's
    trace.weights[name].assign(tensor.as<float>(), tensor.as<float>() + tensor.elements());
  }
  return trace;
}

std::vector<double> fed_losses(const ParityJob& job, Backend& backend) {
  TrainingStep step(plain_setup(job.student, &job.teacher, job.config, job.rates), backend);
  std::vector<double> losses;
  const auto take = [&] {
    while (const auto result = step.result()) losses.push_back(result->loss);
  };
  for (const Batch& batch : job.batches) {
    step.feed(batch);
    take();
  }
  step.flush();
  take();
  return losses;
}

Distance distance(const std::map<std::string, std::vector<float>>& got,
                  const std::map<std::string, std::vector<float>>& want) {
  Distance found;
  double all_off = 0, all_size = 0, all_common = 0;
  for (const auto& [name, wanted] : want) {
    const std::vector<float>& values = got.at(name);
    double off = 0, size = 0;
    for (size_t i = 0; i < wanted.size(); ++i) {
      off += std::pow(double{values[i]} - wanted[i], 2);
      size += std::pow(double{wanted[i]}, 2);
      all_common += double{values[i]} * wanted[i];
    }
    const double apart = std::sqrt(off / std::max(size, 1e-30));
    if (!(apart <= found.worst)) found = {apart, 0, 1, name};
    all_off += off;
    all_size += size;
  }
  found.overall = std::sqrt(all_off / std::max(all_size, 1e-30));
  found.gain = all_common / std::max(all_size, 1e-30);
  return found;
}

Batch random_batch(const Model& model, int64_t size, uint32_t number) {
  Batch made = make_batch(model.preprocess, size);
  RandomSequence random(11, Purpose::init, number, 3);
  for (int64_t i = 0; i < made.pixels.elements(); ++i) {
    made.pixels.as<uint8_t>()[i] = static_cast<uint8_t>(random.below(256));
  }
  for (int64_t i = 0; i < size; ++i) {
    const std::array<int32_t, 3> place{static_cast<int32_t>(random.below(5)) - 2,
                                       static_cast<int32_t>(random.below(5)) - 2,
                                       static_cast<int32_t>(random.below(2))};
    std::ranges::copy(place, made.placements.as<int32_t>() + 3 * i);
    made.labels.as<int32_t>()[i] =
        static_cast<int32_t>(random.below(static_cast<uint32_t>(model.classes())));
  }
  return made;
}

ParityJob resnet18_job(int64_t batch, int64_t steps) {
  const TemporaryFolder folder;
  const auto file = folder.path() / "r18_small.json";
  std::ofstream(file) << R"({"input_size": [48, 48], "classes": 10,
    "stem": {"kind": "imagenet", "channels": 64},
    "preprocess": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
    "stages": [{"block": "basic", "channels": 64, "blocks": 2},
               {"block": "basic", "channels": 128, "blocks": 2, "stride": 2},
               {"block": "basic", "channels": 256, "blocks": 2, "stride": 2},
               {"block": "basic", "channels": 512, "blocks": 2, "stride": 2}]})";
  ParityJob job;
  job.student = build_model(file, 10, 1);
  job.teacher = build_model(file, 10, 2);
  job.config.batch_size = batch;
  job.config.teacher = {"given"};
  job.config.loss = "ce=0.1,kl=0.7,mse=0.1,lse_margin=0.1";
  job.rates = {0.05f};
  for (int64_t i = 0; i < steps; ++i) {
    job.batches.push_back(random_batch(job.student, batch, static_cast<uint32_t>(i)));
  }
  return job;
}

ParityBounds parity_bounds(const std::string& precision) {
  if (precision == "fp16") return {2e-3, 0.2, 0.03, 2e-3, false};
  if (precision == "bf16") return {1e-2, 0.5, 0.15, 1e-2, false};
  return {1e-5, 1e-4, 1e-4, 1e-4, true};
}

// The job with weights that differ by up to 2^-20, as sums of a thousand roundings do.
ParityJob nudged(const ParityJob& job, uint64_t seed) {
  ParityJob made = job;
  RandomSequence random(seed, Purpose::init, 17, 0);
  for (auto& [name, tensor] : made.student.tensors) {
    const Tensor own = Tensor::host(tensor.desc());
    for (int64_t i = 0; i < own.elements(); ++i) {
      const double factor = 1 + random.uniform(-0x1p-20, 0x1p-20);
      own.as<float>()[i] = static_cast<float>(tensor.as<float>()[i] * factor);
    }
    tensor = own;
  }
  return made;
}

std::string compare_losses(const ParityJob& job, Backend& backend, const std::string& precision) {
  const auto cpu = make_backend(Device::cpu, {.threads = 2});
  const std::vector<double> want = trace_steps(job, *cpu, "fp32").losses;
  std::vector<double> apart(want.size(), 0);
  for (const uint64_t seed : {1, 2, 3}) {
    const std::vector<double> near = trace_steps(nudged(job, seed), *cpu, "fp32").losses;
    for (size_t i = 0; i < want.size(); ++i) {
      apart[i] = std::max(apart[i], std::abs(near[i] - want[i]));
    }
  }
  const std::vector<double> got = trace_steps(job, backend, precision).losses;
  double amplified = 0;
  std::string wrong;
  for (size_t i = 0; i < want.size(); ++i) {
    amplified = std::max(amplified, apart[i]);
    const double allowed = 50 * amplified + 5e-5 * std::abs(want[i]);
    if (!(std::abs(got[i] - want[i]) <= allowed)) {
      wrong +=
          format("loss of step {}: {}, on the CPU {}, {} allowed\n", i, got[i], want[i], allowed);
    }
  }
  return wrong;
}

std::string compare_with_cpu(const ParityJob& job, Backend& backend, const std::string& precision) {
  const auto cpu = make_backend(Device::cpu, {.threads = 2});
  const StepsTrace want = trace_steps(job, *cpu, "fp32");
  const StepsTrace got = trace_steps(job, backend, precision);
  const ParityBounds bounds = parity_bounds(precision);
  std::string wrong;
  const auto check = [&](const std::string& what, double apart, double bound) {
    if (!(apart <= bound)) {
      wrong += format("{}: {} apart, {} allowed\n", what, apart, bound);
    }
  };
  for (size_t i = 0; i < want.losses.size(); ++i) {
    check("loss of step " + std::to_string(i),
          std::abs(got.losses[i] - want.losses[i]) / std::abs(want.losses[i]), bounds.loss);
  }
  const Distance gradients = distance(got.gradients, want.gradients);
  const Distance weights = distance(got.weights, want.weights);
  check("all gradients", gradients.overall, bounds.gradients);
  check("their gain", std::abs(gradients.gain - 1), bounds.gain);
  check("all weights", weights.overall, bounds.weights);
  if (bounds.each_tensor) {
    check("gradient of " + gradients.where, gradients.worst, bounds.gradients);
    check(weights.where, weights.worst, bounds.weights);
  }
  return wrong;
}

}  // namespace kd::test
