// Batches: their tensors, and which pictures of one are mixed.
#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "kd/data.h"
#include "kd/random.h"

namespace kd {

Batch make_batch(const Preprocess& p, int64_t batch) {
  Batch made;
  made.pixels = Tensor::host({DType::u8, {batch, p.crop_height, p.crop_width, p.channels()}});
  made.placements = Tensor::host({DType::i32, {batch, 3}});
  made.labels = Tensor::host({DType::i32, {batch}});
  std::fill_n(made.pixels.as<uint8_t>(), made.pixels.elements(), uint8_t{0});
  std::fill_n(made.placements.as<int32_t>(), made.placements.elements(), 0);
  std::fill_n(made.labels.as<int32_t>(), batch, -1);
  made.ids.resize(static_cast<size_t>(batch));
  made.count = batch;
  return made;
}

void mix_nothing(Batch& batch) {
  const int64_t size = batch.labels.elements();
  if (!batch.partners) {
    batch.partners = Tensor::host({DType::i32, {size}});
    batch.shares = Tensor::host({DType::f32, {size}});
    batch.boxes = Tensor::host({DType::i32, {size, 4}});
  }
  std::iota(batch.partners.as<int32_t>(), batch.partners.as<int32_t>() + size, 0);
  std::fill_n(batch.shares.as<float>(), size, 1.0f);
  std::fill_n(batch.boxes.as<int32_t>(), 4 * size, 0);
}

namespace {

// A box of 1 - lambda of the area around a random centre, cut off at the edges (Yun et al.).
std::array<int32_t, 4> pasted_box(const Shape& pixels, double lambda, double centre_y,
                                  double centre_x) {
  const double ratio = std::sqrt(1 - lambda);
  const auto span = [&](int64_t size, double centre) {
    const auto length = static_cast<int32_t>(static_cast<double>(size) * ratio);
    const auto middle = static_cast<int32_t>(static_cast<double>(size) * centre);
    const int32_t first = std::max(0, middle - length / 2);
    const int32_t last = std::min(static_cast<int32_t>(size), middle - length / 2 + length);
    return std::array<int32_t, 2>{first, last - first};
  };
  const auto rows = span(pixels[1], centre_y), columns = span(pixels[2], centre_x);
  if (rows[1] <= 0 || columns[1] <= 0) return {0, 0, 0, 0};
  return {rows[0], columns[0], rows[1], columns[1]};
}

}  // namespace

void draw_mixing(const Augment& a, uint64_t seed, int64_t epoch, int64_t number, Batch& batch) {
  if (!a.mixes()) return;
  mix_nothing(batch);
  RandomSequence random(seed, Purpose::mix, static_cast<uint32_t>(epoch),
                        static_cast<uint64_t>(number));
  const bool mixed = random.uniform() < a.mix_probability;
  const bool switched = random.uniform() < a.switch_probability;
  const double centre_y = random.uniform(), centre_x = random.uniform();
  if (!mixed) return;
  const int64_t size = batch.labels.elements();
  int32_t* partners = batch.partners.as<int32_t>();
  for (int64_t i = size; i > 1; --i) {
    std::swap(partners[i - 1], partners[random.below(static_cast<uint32_t>(i))]);
  }
  const bool cut = a.cutmix > 0 && (a.mixup <= 0 || switched);
  const double alpha = cut ? a.cutmix : a.mixup;
  double lambda = random.beta(alpha, alpha);
  if (cut) {
    const Shape& pixels = batch.pixels.shape();
    const auto box = pasted_box(pixels, lambda, centre_y, centre_x);
    lambda = 1 - double(box[2]) * box[3] / static_cast<double>(pixels[1] * pixels[2]);
    for (int64_t i = 0; i < size; ++i) {
      std::ranges::copy(box, batch.boxes.as<int32_t>() + 4 * i);
    }
  }
  std::fill_n(batch.shares.as<float>(), size, static_cast<float>(lambda));
}

}  // namespace kd
