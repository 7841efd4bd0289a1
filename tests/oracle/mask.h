// One bit an element.
#pragma once

#include "oracle/array.h"

namespace kd::oracle {

Array sign_mask(const Array& y);  // (ceil(elements / 8)): bit i % 8 of byte i / 8 is y[i] > 0
Array apply_mask(const Array& x, const Array& mask);  // x where the bit is set, else 0

}  // namespace kd::oracle
