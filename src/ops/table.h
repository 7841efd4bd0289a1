// Declares every op_<name> of ops.def.
#pragma once

#include "kd/conv_chain.h"
#include "kd/distill_ops.h"
#include "kd/fused_ops.h"
#include "kd/mix_ops.h"
#include "kd/optimizer_ops.h"
#include "kd/term_ops.h"

namespace kd {

#define KD_OP(name, attrs) extern const OpDef op_##name;
#include "ops/ops.def"
#undef KD_OP

}  // namespace kd
