// Decoding and encoding of picture files: JPEG by libjpeg-turbo where there is one, the rest by
// stb_image.
#include "data/image.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "core/file.h"
#include "data/jpeg.h"
#include "data/stb_memory.h"
#include "kd/error.h"

#define STBI_NO_STDIO
#include <stb/stb_image.h>
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace kd {
namespace {

// Few bytes may ask for much memory and time: a picture has at most 1 Mi pixels and 500 more for
// each byte of its file (blank JPEG files reach 85), never more than 100 million.
constexpr int64_t kFreePixels = int64_t{1} << 20, kPixelsPerByte = 500;
// A progressive JPEG decodes the whole picture again in each scan; encoders write about 10.
constexpr int kMaxScans = 100;

int count_scans(std::span<const std::byte> bytes) {
  int scans = 0;
  const auto* at = bytes.data();
  const auto* const end = at + bytes.size();
  while (at < end) {
    at = static_cast<const std::byte*>(std::memchr(at, 0xff, static_cast<size_t>(end - at)));
    if (at == nullptr || ++at == end) break;
    scans += *at == std::byte{0xda};
  }
  return scans;
}

// ITU-R BT.601 luma.
uint8_t grey_of(const uint8_t* rgb) {
  return static_cast<uint8_t>((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

void check_size(std::span<const std::byte> bytes, const std::string& name, const Size& size) {
  const int64_t most =
      std::min(kMaxPixels, kFreePixels + kPixelsPerByte * static_cast<int64_t>(bytes.size()));
  KD_CHECK(size.width >= 1 && size.height >= 1 && int64_t{size.width} * size.height <= most,
           "{}: {} x {} pixels, expected at most {} in a file of {} bytes", name, size.width,
           size.height, most, bytes.size());
  const bool jpeg = bytes.size() > 1 && bytes[0] == std::byte{0xff} && bytes[1] == std::byte{0xd8};
  KD_CHECK(!jpeg || count_scans(bytes) <= kMaxScans, "{}: a JPEG of more than {} scans", name,
           kMaxScans);
}

Image decode_by_stb(std::span<const std::byte> bytes, const std::string& name, int channels) {
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const int length = static_cast<int>(std::min<size_t>(bytes.size(), INT32_MAX));
  int width = 0, height = 0, stored = 0;
  KD_CHECK(stbi_info_from_memory(data, length, &width, &height, &stored),
           "{}: not a readable picture: {}", name, stbi_failure_reason());
  check_size(bytes, name, {height, width});
  limit_decoder(bytes.size(), int64_t{width} * height);
  // Decoded as stored: stb's own conversion of channels reads past the end of 16-bit PNM pictures.
  const std::unique_ptr<stbi_uc, decltype(&stbi_image_free)> pixels(
      stbi_load_from_memory(data, length, &width, &height, &stored, 0), stbi_image_free);
  KD_CHECK(pixels, "{}: can't be decoded: {}", name, stbi_failure_reason());
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

}  // namespace

Picture view_of(const Image& image) {
  return {image.height, image.width, image.channels, image.pixels, {}};
}

Picture owning(Image image) {
  const auto kept = std::make_shared<const Image>(std::move(image));
  Picture picture = view_of(*kept);
  picture.memory = kept;
  return picture;
}

Picture picture_of_jpeg(std::span<const std::byte> bytes, const std::string& name, int channels) {
  const std::optional<Size> size = jpeg_size(bytes);
  if (!size) return owning(decode_by_stb(bytes, name, channels));
  check_size(bytes, name, *size);
  return {size->height, size->width, channels, {}, bytes, nullptr, name};
}

Picture picture_of_file(std::vector<std::byte> bytes, const std::string& name, int channels) {
  const auto kept = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  Picture picture = picture_of_jpeg(*kept, name, channels);
  if (!picture.jpeg.empty()) picture.memory = kept;
  return picture;
}

void to_grey(const uint8_t* rgb, std::span<uint8_t> grey) {
  for (uint8_t& value : grey) {
    value = grey_of(rgb);
    rgb += 3;
  }
}

Image convert_channels(Image image, int channels) {
  if (image.channels == channels) return image;
  const size_t count = image.pixels.size() / static_cast<size_t>(image.channels);
  image.channels = channels;
  if (channels == 1) {
    to_grey(image.pixels.data(), {image.pixels.data(), count});
    image.pixels.resize(count);
    return image;
  }
  std::vector<uint8_t> pixels(3 * count);
  for (size_t i = 0; i < count; ++i) std::fill_n(pixels.data() + 3 * i, 3, image.pixels[i]);
  image.pixels = std::move(pixels);
  return image;
}

Image decode(const Picture& picture) {
  Image image{picture.height, picture.width, picture.channels, {}};
  if (picture.jpeg.empty()) {
    image.pixels.assign(picture.pixels.begin(), picture.pixels.end());
    return image;
  }
  image.channels = 3;
  image.pixels.reserve(static_cast<size_t>(image.height) * static_cast<size_t>(image.width) * 3);
  std::vector<uint8_t> memory;
  const Pixels rgb =
      decode_jpeg(picture.jpeg, picture.name, {1, all_of({image.height, image.width})}, memory);
  for (int y = 0; y < image.height; ++y) {
    const uint8_t* row = rgb.data + y * rgb.stride;
    image.pixels.insert(image.pixels.end(), row, row + ptrdiff_t{3} * image.width);
  }
  return convert_channels(std::move(image), picture.channels);
}

Image load_image(const std::filesystem::path& path, int channels) {
  return decode(picture_of_file(read_file(path), path.string(), channels));
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
