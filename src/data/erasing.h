// Random erasing (Zhong et al., AAAI 2020): a rectangle of a picture becomes one colour.
#pragma once

#include <array>

#include "kd/data.h"
#include "kd/random.h"

namespace kd {

using Colour = std::array<uint8_t, 3>;  // in a picture's order of channels

// What is next to 0 once normalised.
Colour mean_colour(const Preprocess& preprocess);

// With `probability`: 2-33 % of the area, aspect (height / width) 0.3-3.3, both drawn, log-uniform
// the latter; ten tries to fit inside, then nothing.
void erase_randomly(Image& image, double probability, const Colour& colour, RandomSequence& random);

}  // namespace kd
