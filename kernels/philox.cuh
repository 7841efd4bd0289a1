// Philox4x32-10 (Salmon et al., SC 2011), the bits of kd/random.h: words that are a pure function
// of what they are for.
#pragma once

#include "kernels/kd_cuda.h"

namespace kd::kernels {

struct Words {
  uint32_t at[4];
};

// kd::philox.
__device__ inline Words philox(Words counter, uint32_t key0, uint32_t key1) {
#pragma unroll
  for (int round = 0; round < 10; ++round) {
    const uint32_t high0 = __umulhi(0xD2511F53u, counter.at[0]), low0 = 0xD2511F53u * counter.at[0];
    const uint32_t high1 = __umulhi(0xCD9E8D57u, counter.at[2]), low1 = 0xCD9E8D57u * counter.at[2];
    counter = {{high1 ^ counter.at[1] ^ key0, low1, high0 ^ counter.at[3] ^ key1, low0}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

// kd::random_words(key[0], kPurpose, key[1], b, index); key = seed, step, on the device.
template <uint32_t kPurpose>
__device__ Words random_words(const int64_t* key, uint64_t b, uint32_t index) {
  const auto seed = static_cast<uint64_t>(key[0]);
  const Words counter{{index, static_cast<uint32_t>(b), static_cast<uint32_t>(b >> 32),
                       static_cast<uint32_t>(key[1])}};
  return philox(counter, static_cast<uint32_t>(seed) ^ (kPurpose * 0x9E3779B9u),
                static_cast<uint32_t>(seed >> 32));
}

}  // namespace kd::kernels
