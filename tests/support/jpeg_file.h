// JPEG files of every kind that decoders meet.
#pragma once

#include <vector>

#include "kd/data.h"

namespace kd::test {

struct JpegKind {
  int quality = 90;
  int horizontal = 2, vertical = 2;  // luma samples for each of colour: 2 x 2 is 4:2:0
  bool progressive = false, grey = false;
  int restart = 0;  // blocks between restart markers
};

// Empty where this build has no libjpeg-turbo.
std::vector<std::byte> encode_jpeg(const Image& image, const JpegKind& kind);

// Colours that change everywhere, smoothly and at edges.
Image scenery(int height, int width, int number);

}  // namespace kd::test
