// Which types a run computes in: --precision and --teacher-precision, and what `auto` means.
#pragma once

#include "kd/backend.h"
#include "kd/config.h"

namespace kd {

const std::vector<std::string>& precision_names();  // auto, fp32, tf32, fp16, bf16
// auto is fp16 on CUDA and fp32 elsewhere. Throws Error{usage} where the engine can't.
DType dtype_of(const std::string& precision, const Backend& backend);
DType student_dtype(const RunConfig& config, const Backend& backend);
DType teacher_dtype(const RunConfig& config, const Backend& backend);

}  // namespace kd
