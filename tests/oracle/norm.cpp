#include "oracle/norm.h"

#include <cmath>

namespace kd::oracle {
namespace {

int64_t channels(const Array& x) { return x.shape.back(); }

}  // namespace

Statistics batch_statistics(const Array& x) {
  const int64_t c = channels(x), rows = x.size() / c;
  Statistics result{Array::zeros({c}), Array::zeros({c})};
  for (int64_t i = 0; i < x.size(); ++i) {
    result.mean.at(i % c) += x.at(i) / static_cast<double>(rows);
  }
  for (int64_t i = 0; i < x.size(); ++i) {
    const double off = x.at(i) - result.mean.at(i % c);
    result.var.at(i % c) += off * off / static_cast<double>(rows);
  }
  return result;
}

Array batch_norm(const Array& x, const Normalisation& norm) {
  const int64_t c = channels(x);
  Array y = x;
  for (int64_t i = 0; i < x.size(); ++i) {
    const double deviation = std::sqrt(norm.var.at(i % c) + norm.eps);
    y.at(i) =
        norm.gamma.at(i % c) * (x.at(i) - norm.mean.at(i % c)) / deviation + norm.beta.at(i % c);
  }
  return y;
}

NormGradient batch_norm_backward(const Array& dy, const Array& x, const Normalisation& norm) {
  const int64_t c = channels(x);
  const double rows = static_cast<double>(x.size()) / static_cast<double>(c);
  NormGradient result{Array::zeros(x.shape), Array::zeros({c}), Array::zeros({c})};
  Array normalised = x;
  for (int64_t i = 0; i < x.size(); ++i) {
    normalised.at(i) = (x.at(i) - norm.mean.at(i % c)) / std::sqrt(norm.var.at(i % c) + norm.eps);
    result.dbeta.at(i % c) += dy.at(i);
    result.dgamma.at(i % c) += dy.at(i) * normalised.at(i);
  }
  for (int64_t i = 0; i < x.size(); ++i) {
    const double through_statistics =
        (result.dbeta.at(i % c) + normalised.at(i) * result.dgamma.at(i % c)) / rows;
    result.dx.at(i) = norm.gamma.at(i % c) / std::sqrt(norm.var.at(i % c) + norm.eps) *
                      (dy.at(i) - through_statistics);
  }
  return result;
}

Array running(const Array& old, const Array& batch, double momentum) {
  Array result = old;
  for (int64_t i = 0; i < old.size(); ++i) {
    result.at(i) = (1 - momentum) * old.at(i) + momentum * batch.at(i);
  }
  return result;
}

Array unbiased(const Array& var, int64_t n) {
  Array result = var;
  if (n == 1) return result;
  for (double& value : result.data) value *= static_cast<double>(n) / static_cast<double>(n - 1);
  return result;
}

}  // namespace kd::oracle
