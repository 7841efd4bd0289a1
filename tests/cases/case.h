// One case: a small graph, what goes into it, and what must come out. Every mode (*_test.cpp) runs
// the same cases; adding an op means adding cases to the file of its family.
#pragma once

#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kd/graph.h"
#include "oracle/array.h"

namespace kd::test {

using oracle::Array;
using Arrays = std::vector<Array>;
using Random = std::mt19937_64;

// Writes the elements of a leaf; `earlier` holds the leaves before it.
using Fill = std::function<void(Array& leaf, Random& random, std::span<const Array> earlier)>;

Fill normal(double scale = 1, double shift = 0);
Fill uniform(double low, double high);
Fill outliers();  // normal, and every 13th element twenty times as large
Fill constant(double value);
Fill whole_numbers(int64_t low, int64_t high);  // both included; labels, ties
Fill distinct();  // shuffled multiples of 1/4: no two equal, none near another
Fill listed(std::vector<double> values);  // repeated as often as needed

struct Leaf {
  std::string name;
  TensorDesc desc;
  Fill fill;
  bool differentiable = false;  // its gradient is checked
  bool updated = false;         // overwritten by the run: its contents follow the outputs
};
Leaf f32(std::string name, Shape shape, Fill fill = normal());
Leaf i32(std::string name, Shape shape, Fill fill);
Leaf trained(Leaf leaf);  // differentiable
Leaf state(Leaf leaf);    // updated

// |got - want| <= (eps(f32) (a + b sqrt(length)) + eps(dtype) roundings) (|want| + rms of the
// tensor); the rms is left out where every element is computed on its own. Arithmetic is in f32
// whatever the dtype of a case's values; the second part is there in 16 bits only.
struct Tolerance {
  double a = 4, b = 1;
  int64_t length = 1;           // elements summed up for an output
  int64_t gradient_length = 0;  // ... for a gradient; 0 = length
  bool elementwise = false;
  DType dtype = DType::f32;  // of the values; lowered() sets it
  double roundings = 2;      // to it, on the way to an output
};

struct Case {
  std::string name;  // family_what, letters, digits and underscores only
  std::vector<Leaf> leaves;
  std::function<std::vector<Value>(Graph&, const std::vector<Value>& leaves)> build;
  // The outputs of `build`, then the new contents of the updated leaves.
  std::function<Arrays(const Arrays& leaves)> oracle;
  Tolerance tolerance = {};
  // Leaves that keep f32 where the case is run in 16 bits; empty: those of rank 0 and 1.
  std::vector<std::string> stays_f32 = {};
  bool f32_only = false;  // makes no sense in 16 bits
  size_t seeded = 0;      // the output whose gradient is propagated
  bool blocked = false;   // also run between convolutions, where values arrive in blocked layouts
  std::string term = {};  // the objective's term this case is about
};

// The case with its f32 leaves in a 16-bit type, but for those that stay f32.
Case lowered(const Case& a_case, DType dtype);

double rounded(DType dtype, double value);  // to a float type; others are left alone

std::vector<int64_t> dims_of(const Shape& shape);
std::vector<Array> contents(
    const Case& a_case);  // of the leaves, rounded to their types; repeatable
Array to_array(const Tensor& tensor);
void write(const Array& array, const Tensor& tensor);

const std::vector<Case>& all_cases();

// One list for each family file.
std::vector<Case> conv_cases();
std::vector<Case> conv_backward_cases();
std::vector<Case> conv_fused_cases();
std::vector<Case> conv_chain_cases();
std::vector<Case> activation_cases();
std::vector<Case> norm_cases();
std::vector<Case> norm_backward_cases();
std::vector<Case> pool_cases();
std::vector<Case> linear_cases();
std::vector<Case> pointwise_cases();
std::vector<Case> shape_cases();
std::vector<Case> rows_cases();
std::vector<Case> distill_cases();
std::vector<Case> term_cases();
std::vector<Case> map_term_cases();
std::vector<Case> relation_term_cases();
std::vector<Case> peer_term_cases();
std::vector<Case> optimizer_cases();
std::vector<Case> training_cases();
std::vector<Case> images_cases();
std::vector<Case> contrast_cases();
std::vector<Case> mix_cases();

}  // namespace kd::test
