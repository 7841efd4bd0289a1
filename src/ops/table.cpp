#include "ops/table.h"

#include <array>

namespace kd {
namespace {

constexpr std::array kOps{
#define KD_OP(name, attrs) &op_##name,
#include "ops/ops.def"
#undef KD_OP
};

}  // namespace

std::span<const OpDef* const> all_ops() { return kOps; }

const OpDef* find_op(std::string_view name) {
  for (const OpDef* op : kOps) {
    if (op->name == name) return op;
  }
  return nullptr;
}

}  // namespace kd
