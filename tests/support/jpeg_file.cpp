#include "support/jpeg_file.h"

#ifdef KD_WITH_JPEG
#include <cstdio>
// After cstdio, which it needs.
#include <jpeglib.h>
#endif

#include <cmath>
#include <cstdlib>

namespace kd::test {

#ifdef KD_WITH_JPEG
std::vector<std::byte> encode_jpeg(const Image& image, const JpegKind& kind) {
  jpeg_compress_struct jpeg{};
  jpeg_error_mgr errors{};
  jpeg.err = jpeg_std_error(&errors);
  jpeg_create_compress(&jpeg);
  unsigned char* memory = nullptr;
  unsigned long length = 0;
  jpeg_mem_dest(&jpeg, &memory, &length);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  if (kind.grey) jpeg_set_colorspace(&jpeg, JCS_GRAYSCALE);
  jpeg_set_quality(&jpeg, kind.quality, TRUE);
  jpeg.comp_info[0].h_samp_factor = kind.grey ? 1 : kind.horizontal;
  jpeg.comp_info[0].v_samp_factor = kind.grey ? 1 : kind.vertical;
  jpeg.restart_interval = static_cast<unsigned>(kind.restart);
  if (kind.progressive) jpeg_simple_progression(&jpeg);
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<JSAMPLE*>(image.pixels.data() +
                                     size_t{3} * jpeg.next_scanline * jpeg.image_width);
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  jpeg_destroy_compress(&jpeg);
  const auto* begin = reinterpret_cast<const std::byte*>(memory);
  std::vector<std::byte> bytes(begin, begin + length);
  std::free(memory);
  return bytes;
}
#else
std::vector<std::byte> encode_jpeg(const Image&, const JpegKind&) { return {}; }
#endif

Image scenery(int height, int width, int number) {
  Image image{height, width, 3, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        const double wave = std::sin(0.11 * x + 0.07 * (c + 1) * y + number) * 60;
        const int edge = (x / 23 + y / 17 + number) % 3 * 40;
        image.pixels.push_back(static_cast<uint8_t>(80 + wave + edge + (x * y * 13 + c * 5) % 16));
      }
    }
  }
  return image;
}

}  // namespace kd::test
