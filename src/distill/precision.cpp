#include "distill/precision.h"

#include "kd/error.h"

namespace kd {

const std::vector<std::string>& precision_names() {
  static const std::vector<std::string> names{"auto", "fp32", "tf32", "fp16", "bf16"};
  return names;
}

DType dtype_of(const std::string& precision, const Backend& backend) {
  const bool low = precision == "fp16" || precision == "bf16";
  if (low && !backend.computes_in_16_bits()) {
    fail(ErrorCode::usage, "--precision {}: this engine ({}) computes in fp32", precision,
         backend.describe());
  }
  if (precision == "auto") return backend.computes_in_16_bits() ? DType::f16 : DType::f32;
  if (precision == "fp16") return DType::f16;
  return precision == "bf16" ? DType::bf16 : DType::f32;
}

DType student_dtype(const RunConfig& config, const Backend& backend) {
  return dtype_of(config.precision, backend);
}
DType teacher_dtype(const RunConfig& config, const Backend& backend) {
  return dtype_of(config.teacher_precision, backend);
}

}  // namespace kd
