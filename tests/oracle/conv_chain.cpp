#include "oracle/conv_chain.h"

#include <algorithm>
#include <cmath>

namespace kd::oracle {

ChannelSums channel_sums(const Array& y) {
  const int64_t c = y.shape.back();
  ChannelSums sums{Array::zeros({c}), Array::zeros({c})};
  for (int64_t i = 0; i < y.size(); ++i) {
    sums.sum.at(i % c) += y.at(i);
    sums.squares.at(i % c) += y.at(i) * y.at(i);
  }
  return sums;
}

Finalized norm_finalize(const ChannelSums& sums, const Array& gamma, const Array& beta, double eps,
                        int64_t count) {
  Finalized result{sums.sum, sums.sum, sums.sum, sums.sum};
  const auto n = static_cast<double>(count);
  for (int64_t k = 0; k < gamma.size(); ++k) {
    const double mean = sums.sum.at(k) / n;
    const double var = std::max(0.0, sums.squares.at(k) / n - mean * mean);
    result.mean.at(k) = mean;
    result.var.at(k) = var;
    result.scale.at(k) = gamma.at(k) / std::sqrt(var + eps);
    result.bias.at(k) = beta.at(k) - mean * result.scale.at(k);
  }
  return result;
}

Array scale_bias(const Array& x, const Array& scale, const Array& bias) {
  const int64_t c = x.shape.back();
  Array y = x;
  for (int64_t i = 0; i < x.size(); ++i) y.at(i) = x.at(i) * scale.at(i % c) + bias.at(i % c);
  return y;
}

Array where_positive(const Array& dy, const Array& z) {
  Array dz = dy;
  for (int64_t i = 0; i < dy.size(); ++i) dz.at(i) = z.at(i) > 0 ? dy.at(i) : 0;
  return dz;
}

NormSums norm_sums(const Array& dz, const Array& x, const Array& mean, const Array& var,
                   double eps) {
  const int64_t c = x.shape.back();
  NormSums sums{Array::zeros({c}), Array::zeros({c})};
  for (int64_t i = 0; i < x.size(); ++i) {
    sums.dbeta.at(i % c) += dz.at(i);
    sums.dgamma.at(i % c) += dz.at(i) * (x.at(i) - mean.at(i % c)) / std::sqrt(var.at(i % c) + eps);
  }
  return sums;
}

Array norm_input_grad(const Array& dz, const Array& x, const Array& gamma, const Array& mean,
                      const Array& var, const NormSums& sums, double eps) {
  const int64_t c = x.shape.back();
  const double rows = static_cast<double>(x.size()) / static_cast<double>(c);
  Array dx = dz;
  for (int64_t i = 0; i < x.size(); ++i) {
    const int64_t k = i % c;
    const double inverse = 1 / std::sqrt(var.at(k) + eps);
    const double normalised = (x.at(i) - mean.at(k)) * inverse;
    dx.at(i) = gamma.at(k) * inverse *
               (dz.at(i) - sums.dbeta.at(k) / rows - normalised * sums.dgamma.at(k) / rows);
  }
  return dx;
}

}  // namespace kd::oracle
