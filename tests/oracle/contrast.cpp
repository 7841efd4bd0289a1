#include "oracle/contrast.h"

#include <cmath>
#include <map>

#include "oracle/rows.h"

namespace kd::oracle {
namespace {

// Element d of a row, NaN where there is no such row.
double in_bank(const Array& bank, double row, int64_t d) {
  if (row < 0 || row >= static_cast<double>(bank.dim(0))) return NAN;
  return bank.at(static_cast<int64_t>(row) * bank.dim(1) + d);
}

uint32_t drawn(const Negatives& n, int64_t b, int64_t j, uint32_t attempt) {
  const uint32_t purpose = 6;  // the engine's number for negatives
  const auto words = philox4x32_10(
      {static_cast<uint32_t>(j / 4 * 16) + attempt, static_cast<uint32_t>(b),
       static_cast<uint32_t>(n.tensor_id), static_cast<uint32_t>(n.step)},
      {static_cast<uint32_t>(n.seed) ^ purpose * 0x9E3779B9u, static_cast<uint32_t>(n.seed >> 32)});
  const double share = std::ldexp(words[static_cast<size_t>(j % 4)], -32);
  return static_cast<uint32_t>(std::floor(share * static_cast<double>(n.population)));
}

}  // namespace

Array gather_dot(const Array& x, const Array& bank, const Array& index) {
  const int64_t each = index.dim(1), features = bank.dim(1);
  Array y = Array::zeros(index.shape);
  for (int64_t i = 0; i < y.size(); ++i) {
    for (int64_t d = 0; d < features; ++d) {
      y.at(i) += x.at(i / each * features + d) * in_bank(bank, index.at(i), d);
    }
  }
  return y;
}

Array gather_dot_backward(const Array& dy, const Array& bank, const Array& index) {
  const int64_t each = index.dim(1), features = bank.dim(1);
  Array dx = Array::zeros({index.dim(0), features});
  for (int64_t i = 0; i < index.size(); ++i) {
    for (int64_t d = 0; d < features; ++d) {
      dx.at(i / each * features + d) += dy.at(i) * in_bank(bank, index.at(i), d);
    }
  }
  return dx;
}

Array sample_negatives(const Array& ids, const Array& labels, const Negatives& n) {
  Array y = Array::zeros({ids.size(), 1 + n.count});
  for (int64_t b = 0; b < ids.size(); ++b) {
    const auto own = static_cast<int64_t>(ids.at(b));
    const bool known = own >= 0 && own < n.population;
    const auto refused = [&](int64_t id) {
      if (!known) return false;
      return id == own || (!labels.data.empty() && labels.at(id) == labels.at(own));
    };
    y.at(b * (1 + n.count)) = ids.at(b);
    for (int64_t j = 0; j < n.count; ++j) {
      uint32_t attempt = 0;
      while (attempt < 15 && refused(drawn(n, b, j, attempt))) ++attempt;
      y.at(b * (1 + n.count) + 1 + j) = drawn(n, b, j, attempt);
    }
  }
  return y;
}

Array bank_update(Array bank, const Array& ids, const Array& features, double momentum) {
  const int64_t d = bank.dim(1);
  std::map<int64_t, int64_t> last;  // the place in the batch of each id
  for (int64_t b = 0; b < ids.size(); ++b) last[static_cast<int64_t>(ids.at(b))] = b;
  for (const auto& [id, b] : last) {
    if (id < 0 || id >= bank.dim(0)) continue;
    double norm = 0;
    for (int64_t i = 0; i < d; ++i) {
      double& to = bank.at(id * d + i);
      to = momentum * to + (1 - momentum) * features.at(b * d + i);
      norm = std::hypot(norm, to);
    }
    for (int64_t i = 0; i < d && norm > 0; ++i) bank.at(id * d + i) /= norm;
  }
  return bank;
}

}  // namespace kd::oracle
