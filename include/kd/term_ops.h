// Ops that terms over features and relations between samples are made of. Floats are f32, f16 or
// bf16 unless said. Builders throw Error naming the tensors when shapes do not fit.
//
//   op                 gradient goes to
//   log, sqrt          x
//   batched_matmul     a and b
//   transpose          x
//   arg_max            nothing: differentiating towards x is an error
//   stop_gradient      nothing: x gets none, without an error
//   gather_dot         x; differentiating towards the bank is an error
//   sample_negatives   nothing: its result is indices
//   bank_update        nothing: it has no result
#pragma once

#include "kd/ops.h"

namespace kd {

Value log(Graph&, Value x, std::string name = {});
Value sqrt(Graph&, Value x, std::string name = {});  // gradient dy / (2 y)

struct BatchedMatmulAttrs {
  bool transpose_a = false, transpose_b = false;
  template <class F>
  void fields(F&& f) {
    f("transpose_a", transpose_a), f("transpose_b", transpose_b);
  }
};
// a (G, M, K), or (G, K, M) if transposed; b (G, K, N), or (G, N, K) -> (G, M, N): the product of
// each of the G pairs. Both of one type.
Value batched_matmul(Graph&, Value a, Value b, const BatchedMatmulAttrs& = {},
                     std::string name = {});

struct PermuteAttrs {
  std::vector<int64_t> axes;  // axis i of y is axis axes[i] of x
  template <class F>
  void fields(F&& f) {
    f("axes", axes);
  }
};
// x of any type and rank up to 5 -> y with y.shape[i] = x.shape[axes[i]].
Value transpose(Graph&, Value x, std::vector<int64_t> axes, std::string name = {});

// x (N, K) -> i32 (N): the first of each row's largest. NaN is never the largest; 0 where a row
// holds nothing above -inf.
Value arg_max(Graph&, Value x, std::string name = {});

// x itself, of any type; whatever x depends on sees no gradient through it.
Value stop_gradient(Graph&, Value x, std::string name = {});

// --- memory banks: contrastive representation distillation (Tian et al., ICLR 2020) --------------
// x f32 (B, D), bank f32 (M, D), index i32 (B, J) -> f32 (B, J):
//   y[b, j] = <x[b], bank[index[b, j]]>,
// and nothing of size (B, J, D) is made. An index outside [0, M) gives NaN and reads nothing.
Value gather_dot(Graph&, Value x, Value bank, Value index, std::string name = {});

struct NegativesAttrs {
  int64_t count = 1;       // J, of each sample; below 2^30
  int64_t population = 1;  // M, below 2^31
  int64_t tensor_id = 0;   // below 2^32; tells this op's numbers from another's
  template <class F>
  void fields(F&& f) {
    f("count", count), f("population", population), f("tensor_id", tensor_id);
  }
};
constexpr uint32_t kNegativeTries = 16;
// key i64 (2) = (seed, step), ids i32 (B), labels i32 (M) of all samples or empty -> i32
// (B, 1 + count). Column 0 is the sample's own id, column 1 + j is drawn uniformly from [0, M):
// try t is (w M) >> 32 with w word j % 4 of random_words(seed, Purpose::negatives, step, tensor_id
// 2^32 + b, (j / 4) kNegativeTries + t) (kd/random.h). A draw of the sample itself or, with labels,
// of one of its class is tried again; the last try is kept whatever it is. An id outside [0, M) has
// no class.
Value sample_negatives(Graph&, Value key, Value ids, Value labels /* may be empty */,
                       const NegativesAttrs&, std::string name = {});

struct BankUpdateAttrs {
  double momentum = 0.5;  // in [0, 1]
  template <class F>
  void fields(F&& f) {
    f("momentum", momentum);
  }
};
// bank f32 (M, D), updated; ids i32 (B); features f32 (B, D): bank[id] = v / |v|_2 with v = m
// bank[id] + (1 - m) features[b], or 0 where v is 0. Ids outside [0, M) are skipped; of equal ids
// only the last counts.
void bank_update(Graph&, Value bank, Value ids, Value features, const BankUpdateAttrs&);

}  // namespace kd
