// Batches: their tensors, and which pictures of one are mixed.
#include <algorithm>

#include "kd/data.h"

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

}  // namespace kd
