// The convolutions that models and the case table ask cuDNN for, without running anything.
#pragma once

#include <string>
#include <vector>

#include "backend/cuda/cudnn_pattern.h"

namespace kd::test {

// Convolution nodes of one graph, each pattern once, in order.
struct Wanted {
  std::string what;  // "r18 training"
  std::vector<cuda::Pattern> patterns;
  int nodes = 0;       // convolution nodes
  int no_pattern = 0;  // fused nodes with an activation or a type cuDNN lacks: they are expanded
};

Wanted inference_patterns(const std::string& model, DType dtype, int64_t batch);
Wanted training_patterns(const std::string& model, DType dtype, int64_t batch);
Wanted case_patterns(DType dtype);  // of every convolution case and its gradients

// Training in f16 with the batch-norm chain wherever cuDNN may have kernels for it.
Wanted chain_patterns(const std::string& model, int64_t batch);

// A fused pattern as the plain convolution that the engine expands it to.
cuda::Pattern expanded(cuda::Pattern pattern);

}  // namespace kd::test
