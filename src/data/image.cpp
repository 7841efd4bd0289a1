// Decoding and encoding of picture files, by stb_image.
#include <algorithm>
#include <array>
#include <span>

#include "core/file.h"
#include "data/stb_memory.h"
#include "kd/data.h"
#include "kd/error.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace kd {
namespace {

// Few bytes may ask for much memory and time: a picture has at most 1 Mi pixels and 500 more for
// each byte of its file (blank JPEG files reach 85), never more than 100 million.
constexpr int64_t kMaxPixels = 100'000'000, kFreePixels = int64_t{1} << 20, kPixelsPerByte = 500;
// A progressive JPEG decodes the whole picture again in each scan; encoders write about 10.
constexpr int kMaxScans = 100;

int count_scans(std::span<const std::byte> bytes) {
  int scans = 0;
  for (size_t i = 1; i < bytes.size(); ++i) {
    scans += bytes[i - 1] == std::byte{0xff} && bytes[i] == std::byte{0xda};
  }
  return scans;
}

// ITU-R BT.601 luma.
uint8_t grey_of(const uint8_t* rgb) {
  return static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

}  // namespace

Image load_image(const std::filesystem::path& path, int channels) {
  const std::vector<std::byte> bytes = read_file(path);
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int size = static_cast<int>(std::min<size_t>(bytes.size(), INT32_MAX));
  int width = 0, height = 0, stored = 0;
  KD_CHECK(stbi_info_from_memory(data, size, &width, &height, &stored),
           "{}: not a readable picture: {}", path.string(), stbi_failure_reason());
  const int64_t most =
      std::min(kMaxPixels, kFreePixels + kPixelsPerByte * static_cast<int64_t>(bytes.size()));
  KD_CHECK(width >= 1 && height >= 1 && int64_t{width} * height <= most,
           "{}: {} x {} pixels, expected at most {} in a file of {} bytes", path.string(), width,
           height, most, bytes.size());
  const bool jpeg = bytes.size() > 1 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8};
  KD_CHECK(!jpeg || count_scans(bytes) <= kMaxScans, "{}: a JPEG of more than {} scans",
           path.string(), kMaxScans);
  limit_decoder(bytes.size(), int64_t{width} * height);
  // Decoded as stored: stb's own conversion of channels reads past the end of 16-bit PNM pictures.
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(data, size, &width, &height, &stored, 0), stbi_image_free);
  KD_CHECK(pixels, "{}: can't be decoded: {}", path.string(), stbi_failure_reason());
  Image image{height, width, channels, {}};
  const size_t count = static_cast<size_t>(width) * static_cast<size_t>(height);
  image.pixels.resize(count * static_cast<size_t>(channels));
  const auto each = static_cast<size_t>(stored);
  for (size_t i = 0; i < count; ++i) {
    const stbi_uc* from = pixels.get() + i * each;
    const std::array<uint8_t, 3> rgb =
        each < 3 ? std::array{from[0], from[0], from[0]} : std::array{from[0], from[1], from[2]};
    if (channels == 3) {
      std::ranges::copy(rgb, image.pixels.data() + i * 3);
    } else {
      image.pixels[i] = grey_of(rgb.data());
    }
  }
  return image;
}

std::vector<std::byte> encode_png(const Image& image) {
  std::vector<std::byte> bytes;
  const auto put = [](void* context, void* data, int size) {
    const auto* begin = static_cast<const std::byte*>(data);
    auto* to = static_cast<std::vector<std::byte>*>(context);
    to->insert(to->end(), begin, begin + size);
  };
  const int stride = image.width * image.channels;
  KD_CHECK(stbi_write_png_to_func(put, &bytes, image.width, image.height, image.channels,
                                  image.pixels.data(), stride),
           "a picture of {} x {} pixels can't be encoded", image.width, image.height);
  return bytes;
}

void save_png(const Image& image, const std::filesystem::path& path) {
  const std::vector<std::byte> bytes = encode_png(image);
  write_file(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace kd
