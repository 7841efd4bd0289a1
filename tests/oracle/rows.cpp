#include "oracle/rows.h"

#include <algorithm>
#include <cmath>

namespace kd::oracle {

Array log_softmax(const Array& x, double temperature) {
  const int64_t k = x.shape.back();
  Array y = x;
  for (int64_t row = 0; row < x.size() / k; ++row) {
    double largest = x.at(row * k) / temperature;
    for (int64_t i = 0; i < k; ++i) largest = std::max(largest, x.at(row * k + i) / temperature);
    double sum = 0;
    for (int64_t i = 0; i < k; ++i) sum += std::exp(x.at(row * k + i) / temperature - largest);
    for (int64_t i = 0; i < k; ++i) {
      y.at(row * k + i) = x.at(row * k + i) / temperature - largest - std::log(sum);
    }
  }
  return y;
}

Array softmax(const Array& x, double temperature) {
  Array y = log_softmax(x, temperature);
  for (double& value : y.data) value = std::exp(value);
  return y;
}

// Through the Jacobian: dp_j / dz_i = p_j ([i = j] - p_i), d log p_j / dz_i = [i = j] - p_i, z =
// x/T.
Array softmax_backward(const Array& dy, const Array& y, double temperature, bool logarithm) {
  const int64_t k = y.shape.back();
  Array dx = Array::zeros(y.shape);
  for (int64_t row = 0; row < y.size() / k; ++row) {
    double moved = 0;
    for (int64_t j = row * k; j < (row + 1) * k; ++j) {
      moved += logarithm ? dy.at(j) : dy.at(j) * y.at(j);
    }
    for (int64_t i = row * k; i < (row + 1) * k; ++i) {
      const double p = logarithm ? std::exp(y.at(i)) : y.at(i);
      dx.at(i) = ((logarithm ? dy.at(i) : p * dy.at(i)) - p * moved) / temperature;
    }
  }
  return dx;
}

Array one_hot(const Array& labels, int64_t classes, double smoothing) {
  Array y = Array::zeros({labels.size(), classes});
  for (int64_t row = 0; row < labels.size(); ++row) {
    const auto label = static_cast<int64_t>(labels.at(row));
    for (int64_t k = 0; k < classes; ++k) {
      const double hit = k == label ? 1 : 0;
      const double q = (1 - smoothing) * hit + smoothing / static_cast<double>(classes);
      const bool valid = label >= 0 && label < classes;
      y.at(row * classes + k) = valid ? q : label == -1 ? 0 : std::nan("");
    }
  }
  return y;
}

Array arg_max(const Array& x) {
  const int64_t k = x.dim(1);
  Array y = Array::zeros({x.dim(0)});
  for (int64_t row = 0; row < x.dim(0); ++row) {
    for (int64_t i = k; i-- > 0;) {
      bool largest = x.at(row * k + i) > -INFINITY;
      for (int64_t other = 0; other < k; ++other) {
        largest = largest && !(x.at(row * k + other) > x.at(row * k + i));
      }
      if (largest) y.at(row) = static_cast<double>(i);
    }
  }
  return y;
}

double top_k_correct(const Array& logits, const Array& labels, int64_t k) {
  const int64_t classes = logits.dim(1);
  double correct = 0;
  for (int64_t row = 0; row < logits.dim(0); ++row) {
    const auto label = static_cast<int64_t>(labels.at(row));
    if (label < 0 || label >= classes) continue;
    int64_t not_smaller = 0;
    for (int64_t i = 0; i < classes; ++i) {
      if (i != label && logits.at(row * classes + i) >= logits.at(row * classes + label)) {
        ++not_smaller;
      }
    }
    if (not_smaller < k) ++correct;
  }
  return correct;
}

std::array<uint32_t, 4> philox4x32_10(std::array<uint32_t, 4> counter,
                                      std::array<uint32_t, 2> key) {
  const uint64_t multiplier0 = 0xD2511F53, multiplier1 = 0xCD9E8D57;
  const uint32_t weyl0 = 0x9E3779B9, weyl1 = 0xBB67AE85;
  for (int round = 0; round < 10; ++round) {
    const uint64_t product0 = multiplier0 * counter[0];
    const uint64_t product1 = multiplier1 * counter[2];
    const auto high0 = static_cast<uint32_t>(product0 >> 32);
    const auto high1 = static_cast<uint32_t>(product1 >> 32);
    counter = {high1 ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               high0 ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += weyl0;
    key[1] += weyl1;
  }
  return counter;
}

Array dropout(const Array& x, const Dropout& dropout) {
  const uint32_t purpose = 4;  // the engine's number for dropout
  const std::array<uint32_t, 2> key{static_cast<uint32_t>(dropout.seed) ^ purpose * 0x9E3779B9u,
                                    static_cast<uint32_t>(dropout.seed >> 32)};
  Array y = x;
  for (int64_t i = 0; i < x.size(); ++i) {
    const auto words = philox4x32_10(
        {static_cast<uint32_t>(i / 4), static_cast<uint32_t>(dropout.tensor_id),
         static_cast<uint32_t>(dropout.tensor_id >> 32), static_cast<uint32_t>(dropout.step)},
        key);
    const double number = std::ldexp(words[static_cast<size_t>(i % 4)] >> 8, -24);
    y.at(i) = number >= dropout.rate ? x.at(i) / (1 - dropout.rate) : 0;
  }
  return y;
}

}  // namespace kd::oracle
