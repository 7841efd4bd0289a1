// What kdbench kernels times: every op, at the sizes that training meets: ResNet-18 and ResNet-50
// at 224 x 224, ResNet-20 at 32 x 32, losses over few and many classes, an optimiser over
// ResNet-18.
#pragma once

#include <string>
#include <vector>

#include "cli/bench_isolated.h"

namespace kd::cli {

struct KernelCase {
  std::string op, what;  // the name is op/what
  DType dtype = DType::f32;
  Isolated::Build build;  // one node
};

struct CaseSizes {
  DType dtype = DType::f32;
  int64_t large = 16;   // pictures of 224 x 224
  int64_t small = 128;  // pictures of 32 x 32
};

// One list for each file bench_cases_*.cpp.
std::vector<KernelCase> conv_kernels(const CaseSizes& sizes);
std::vector<KernelCase> norm_kernels(const CaseSizes& sizes);
std::vector<KernelCase> chain_kernels(const CaseSizes& sizes);  // batch norm inside convolutions
std::vector<KernelCase> layer_kernels(const CaseSizes& sizes);  // activation, pools, linear
std::vector<KernelCase> value_kernels(const CaseSizes& sizes);  // pointwise, shapes, rows, pictures
std::vector<KernelCase> training_kernels(const CaseSizes& sizes);  // loss, optimiser
std::vector<KernelCase> kernel_cases(const CaseSizes& sizes);      // all

}  // namespace kd::cli
