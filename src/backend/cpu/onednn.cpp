#include "backend/cpu/onednn.h"

namespace kd::cpu {

std::string onednn_version() {
  const dnnl_version_t* v = dnnl_version();
  const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
  const bool wide = isa >= dnnl::cpu_isa::avx512_core, middle = isa >= dnnl::cpu_isa::avx2;
  return format("oneDNN {}.{}.{} ({})", v->major, v->minor, v->patch,
                wide     ? "AVX-512"
                : middle ? "AVX2"
                         : "SSE");
}

}  // namespace kd::cpu
