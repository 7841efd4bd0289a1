// Ops that terms over features are made of.
#pragma once

#include "kd/ops.h"

namespace kd {

Value log(Graph&, Value x, std::string name = {});
Value sqrt(Graph&, Value x, std::string name = {});  // gradient dy / (2 y)

}  // namespace kd
