// What is done to the pictures of a batch once they are normalised: mixed with one another (Mixup,
// CutMix), resized for a network that takes another size.
#pragma once

#include "kd/ops.h"

namespace kd {

// x (N, H, W, C) f32, f16 or bf16; partners i32 (N) in [0, N); shares f32 (N) = lambda; boxes i32
// (N, 4) = top, left, height, width. -> y (N, H, W, C), of x's type:
//   height > 0: x[partners[n]] inside the box, x[n] outside   (CutMix: Yun et al., ICCV 2019)
//   otherwise:  lambda x[n] + (1 - lambda) x[partners[n]]     (Mixup: Zhang et al., ICLR 2018)
// A box may reach over the edge. Has no gradient: it makes inputs of networks.
Value mix_images(Graph&, Value x, Value partners, Value shares, Value boxes, std::string name = {});

struct ResizeAttrs {
  std::array<int, 2> size{0, 0};  // h, w of the result
  template <class F>
  void fields(F&& f) {
    f("size", size);
  }
};
// x (N, H, W, C) f32, f16 or bf16 -> y (N, h, w, C), of x's type: bilinear, pixels having their
// centres at halves, antialiased where a side shrinks. Along a side, with s = H / h:
//   y[i] = sum_j w_ij x[j] / sum_j w_ij,  w_ij = max(0, 1 - |j + 1/2 - s (i + 1/2)| / max(1, s))
// over the pixels j that there are: what PIL's BILINEAR and torch's interpolate(mode="bilinear",
// antialias=True) compute. A side that keeps its length is copied exactly. Has no gradient: it
// makes inputs of networks. Throws Error for a side that is not 1 to 16384.
Value resize_images(Graph&, Value x, const ResizeAttrs&, std::string name = {});

}  // namespace kd
