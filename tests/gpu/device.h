// The CUDA engine of this process, if there is a device.
#pragma once

#include <gtest/gtest.h>

#include <memory>

#include "kd/backend.h"

#define KD_NEEDS_A_GPU()                                                               \
  if (const std::string why = ::kd::why_unavailable(::kd::Device::cuda); !why.empty()) \
  GTEST_SKIP() << why

namespace kd::test {

inline Backend& cuda() {
  static const std::unique_ptr<Backend> backend = make_backend(Device::cuda);
  return *backend;
}

}  // namespace kd::test
