// Constants of an ONNX graph: initialisers, and what folding makes of them.
#pragma once

#include <onnx.pb.h>

#include <filesystem>
#include <string>
#include <vector>

namespace kd::onnx_import {

// A constant tensor in row-major order. Floats of every width are kept as f32, integers and
// booleans as i64. Where one number fills it, just that one is stored (a graph of a kilobyte may
// ask for a gigabyte of zeros).
struct Array {
  std::vector<int64_t> dims;
  bool integer = false;  // which of the two lists holds the elements
  std::vector<float> reals = {};
  std::vector<int64_t> integers = {};

  int64_t count() const;  // product of dims
  size_t stored() const { return integer ? integers.size() : reals.size(); }
  bool uniform() const { return stored() == 1; }
  double at(int64_t i) const;                // element i, as a number
  std::vector<int64_t> as_integers() const;  // all of them; saturates
  static Array filled(std::vector<int64_t> dims, double value, bool integer);
};

// x seen through strides (in elements; 0 repeats): element (i, j, ...) of the result is
// x[offset + i strides[0] + j strides[1] ...].
Array strided(const Array& x, std::vector<int64_t> dims, const std::vector<int64_t>& strides,
              int64_t offset = 0);
std::vector<int64_t> row_major(const std::vector<int64_t>& dims);   // the strides of a dense array
Array permuted(const Array& x, const std::vector<int>& order);      // axis i is axis order[i] of x
Array broadcast(const Array& x, const std::vector<int64_t>& dims);  // right-aligned
Array reshaped(Array x, std::vector<int64_t> dims);

// The product; throws Error naming `what` if one is negative or it overflows.
int64_t checked_count(const std::vector<int64_t>& dims, const std::string& what);

// Reads a stored tensor; external data must lie inside `folder`.
Array read_tensor(const onnx::TensorProto& tensor, const std::filesystem::path& folder);
bool is_integer_type(int onnx_type);

}  // namespace kd::onnx_import
