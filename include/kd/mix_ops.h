// Pictures of a batch mixed with one another (Mixup, CutMix), once they are normalised.
#pragma once

#include "kd/ops.h"

namespace kd {

// x (N, H, W, C) f32, f16 or bf16; partners i32 (N) in [0, N); shares f32 (N) = lambda; boxes i32
// (N, 4) = top, left, height, width. -> y (N, H, W, C), of x's type:
//   height > 0: x[partners[n]] inside the box, x[n] outside   (CutMix: Yun et al., ICCV 2019)
//   otherwise:  lambda x[n] + (1 - lambda) x[partners[n]]     (Mixup: Zhang et al., ICLR 2018)
// A box may reach over the edge. Has no gradient: it makes inputs of networks.
Value mix_images(Graph&, Value x, Value partners, Value shares, Value boxes, std::string name = {});

}  // namespace kd
