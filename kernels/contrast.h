// Samples against a memory bank of rows.
//   gather_dot           y[b, j] = <x[b], bank[index[b, j]]>
//   gather_dot_backward  dx[b] = sum_j dy[b, j] bank[index[b, j]]
//   sample_negatives     ids[b, 0] = the sample's own; ids[b, 1 + j] drawn from [0, population),
//                        neither the sample nor of its class if one of kNegativeDraws tries is so
//   bank_update          bank[id] = v / |v|, v = m bank[id] + (1 - m) features[b]
// Bytes: gather_dot and its gradient read 4 D of the bank for each of B J (from L2, where a bank of
// a few MB stays), and x, index, dy, y, dx once; 2 B J D FLOPs. bank_update: 12 D a sample.
// sample_negatives: 4 a draw, 25 integer operations.
// Mapping: gather_dot: a warp for kDots neighbouring products, lanes across D in 16-byte vectors
// where rows are aligned. gather_dot_backward: a block for 32 vectors of one dx; its warps take
// every kWarps-th j and add up in a fixed order. sample_negatives: a thread for four neighbouring
// draws. bank_update: a warp a row. An index outside the bank reads nothing and makes y, and dx[b],
// NaN; NaN in a row reaches what is made of it. An id outside the bank is not updated; of equal ids
// the last counts. A row of zeros stays one.
#pragma once

#include "kernels/types.h"

namespace kd::kernels {

constexpr uint32_t kNegativeDraws = 16;

struct GatherArgs {
  int64_t batch = 0, each = 0;     // B, J
  int64_t rows = 0, features = 0;  // of the bank: M, D
  const float* from = nullptr;     // x (B, D), or dy (B, J)
  const float* bank = nullptr;
  const int32_t* index = nullptr;  // (B, J)
  float* to = nullptr;             // y (B, J), or dx (B, D)
};
void gather_dot(StreamRef stream, const GatherArgs& args);
void gather_dot_backward(StreamRef stream, const GatherArgs& args);

struct NegativesArgs {
  int64_t batch = 0, count = 0, population = 0, tensor_id = 0;
  const int64_t* key = nullptr;     // seed, step
  const int32_t* own = nullptr;     // (B)
  const int32_t* labels = nullptr;  // (population), or none
  int32_t* ids = nullptr;           // (B, 1 + count)
};
void sample_negatives(StreamRef stream, const NegativesArgs& args);

struct BankUpdateArgs {
  int64_t batch = 0, rows = 0, features = 0;
  float momentum = 0.5f;
  const int32_t* ids = nullptr;   // (B)
  const float* values = nullptr;  // (B, D)
  float* bank = nullptr;          // (M, D)
};
void bank_update(StreamRef stream, const BankUpdateArgs& args);

}  // namespace kd::kernels
