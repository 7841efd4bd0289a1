// The same training steps on two engines, and how far they are apart.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "kd/backend.h"
#include "kd/config.h"
#include "kd/data.h"

namespace kd::test {

struct StepsTrace {
  std::vector<double> losses;  // one a step
  // After the last step, by parameter and statistic: gradients (unscaled), weights, running values.
  std::map<std::string, std::vector<float>> gradients, weights;
};

struct ParityJob {
  Model student, teacher;
  RunConfig config;
  std::vector<float> rates;
  std::vector<Batch> batches;
};
StepsTrace trace_steps(const ParityJob& job, Backend& backend, const std::string& precision);

// The losses of batches fed one behind the other, as training does, in config's precision.
std::vector<double> fed_losses(const ParityJob& job, Backend& backend);

// Root mean square of the difference over that of `want`: of the worst tensor, and of all together;
// and what of `want` is in `got`: 1 unless something is scaled wrongly, whatever the noise.
struct Distance {
  double worst = 0, overall = 0, gain = 1;
  std::string where;  // the worst is
};
Distance distance(const std::map<std::string, std::vector<float>>& got,
                  const std::map<std::string, std::vector<float>>& want);

// Random pictures and labels that fit a model.
Batch random_batch(const Model& model, int64_t size, uint32_t number);

// ResNet-18 taught by ResNet-18, 10 classes, small pictures.
ParityJob resnet18_job(int64_t batch, int64_t steps);

// Where every engine is compared with the CPU's. In 16 bits the tensors are bounded together: a
// ReLU's input that rounds to the other side of 0 opens or shuts a whole path, so that a share p of
// such masks costs sqrt(p) of a gradient, layer upon layer; the gain stays at 1 all the same.
struct ParityBounds {
  double loss, gradients, gain, weights;
  bool each_tensor;
};
ParityBounds parity_bounds(const std::string& precision);
// Empty, or sentences about what is further apart than the bounds.
// How far the losses of two runs may be apart: training amplifies differences, so the measure is
// the CPU engine beside itself with weights that differ in their last bits. Empty, or what is too
// far.
std::string compare_losses(const ParityJob& job, Backend& backend, const std::string& precision);
std::string compare_with_cpu(const ParityJob& job, Backend& backend, const std::string& precision);

}  // namespace kd::test
