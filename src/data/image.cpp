// Decoding and encoding of picture files, by stb_image.
#include "core/file.h"
#include "kd/data.h"
#include "kd/error.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace kd {
namespace {

constexpr int64_t kMaxPixels = 100'000'000;

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
  KD_CHECK(int64_t{width} * height <= kMaxPixels, "{}: {} x {} pixels, more than {}", path.string(),
           width, height, kMaxPixels);
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(data, size, &width, &height, &stored, 3), stbi_image_free);
  KD_CHECK(pixels, "{}: can't be decoded: {}", path.string(), stbi_failure_reason());
  Image image{height, width, channels, {}};
  const size_t count = static_cast<size_t>(width) * static_cast<size_t>(height);
  if (channels == 3) {
    image.pixels.assign(pixels.get(), pixels.get() + count * 3);
  } else {
    image.pixels.resize(count);
    for (size_t i = 0; i < count; ++i) image.pixels[i] = grey_of(pixels.get() + i * 3);
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
