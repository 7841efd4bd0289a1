// The CUDA engine without CUDA: the steps of src/backend/cuda/steps and the kernels they launch run
// on the host through the SIMT shim; what cuDNN and cuBLASLt compute is done by the CPU engine,
// with operands and results rounded to the node's types as theirs are.
#pragma once

#include <memory>

#include "kd/backend.h"

namespace kd::test {

std::unique_ptr<Backend> make_simt_backend();

}  // namespace kd::test
