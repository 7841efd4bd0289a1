// What kernel headers may use: nothing but this. Compiles with and without the CUDA toolkit.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define KD_HOST_DEVICE __host__ __device__
#else
#define KD_HOST_DEVICE
#endif
