// Resizing that is no part of training: of whole pictures.
#pragma once

#include "kd/data.h"

namespace kd {

// The shorter side becomes `side`, as Preprocess::resize asks for.
Image resize_shorter(const Picture& picture, int side);

}  // namespace kd
