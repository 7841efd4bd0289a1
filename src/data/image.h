// Picture files in memory.
#pragma once

#include <vector>

#include "kd/data.h"

namespace kd {

// A picture never has more pixels, wherever it comes from.
constexpr int64_t kMaxPixels = 100'000'000;

// JPEG stays encoded where libjpeg-turbo can decode it; everything else is decoded here. Throws
// Error naming `name`.
Picture picture_of_file(std::vector<std::byte> bytes, const std::string& name, int channels);
// As above, of bytes that something else keeps; the size of a JPEG picture in them is checked.
Picture picture_of_jpeg(std::span<const std::byte> bytes, const std::string& name, int channels);
Picture owning(Image image);

// BT.601 luma of as many RGB pixels; may be done in place.
void to_grey(const uint8_t* rgb, std::span<uint8_t> grey);
// Bytes of pixels in other channels. Grey is repeated, colour becomes BT.601 luma.
Image convert_channels(Image image, int channels);

}  // namespace kd
