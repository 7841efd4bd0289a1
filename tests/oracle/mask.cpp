#include "oracle/mask.h"

#include <cmath>

namespace kd::oracle {

Array sign_mask(const Array& y) {
  Array mask = Array::zeros({(y.size() + 7) / 8});
  for (int64_t i = 0; i < y.size(); ++i) {
    if (y.at(i) > 0) mask.at(i / 8) += std::exp2(static_cast<double>(i % 8));
  }
  return mask;
}

Array apply_mask(const Array& x, const Array& mask) {
  Array result = x;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double shifted = std::floor(mask.at(i / 8) / std::exp2(static_cast<double>(i % 8)));
    if (std::fmod(shifted, 2) == 0) result.at(i) = 0;
  }
  return result;
}

}  // namespace kd::oracle
