// The first steps of the CIFAR-10 job on real pictures: ResNet-20 taught by the imported ResNet-56.
#pragma once

#include <optional>

#include "support/parity.h"

namespace kd::test {

// Nothing where the real data is not there.
std::optional<ParityJob> cifar_job(int64_t batch, int64_t steps);

}  // namespace kd::test
