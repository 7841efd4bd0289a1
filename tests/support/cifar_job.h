// The first steps of the CIFAR-10 job on real pictures: ResNet-20 taught by the imported ResNet-56.
#pragma once

#include <filesystem>
#include <optional>

#include "support/parity.h"

namespace kd::test {

// Some real pictures of each class (train/, val/) and the imported ResNet-56, unpacked once into
// the build folder. Nothing where the real data is not there.
struct CifarFolder {
  std::filesystem::path data, teacher;
};
std::optional<CifarFolder> cifar_folder();

// Nothing where the real data is not there.
std::optional<ParityJob> cifar_job(int64_t batch, int64_t steps);

}  // namespace kd::test
