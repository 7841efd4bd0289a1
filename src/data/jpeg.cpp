#include "data/jpeg.h"

#ifdef KD_WITH_JPEG
#include <jpeglib.h>
// After jpeglib.h, which does not include it.
#include <jerror.h>

#include <csetjmp>
#include <cstdio>
#endif

#include <algorithm>
#include <array>

#include "kd/error.h"

namespace kd {

#ifdef KD_WITH_JPEG
namespace {

// What libjpeg calls where it would otherwise print or exit.
struct Complaints {
  jpeg_error_mgr base{};
  std::jmp_buf jump{};
  std::array<char, JMSG_LENGTH_MAX> text{};
};

[[noreturn]] void give_up(j_common_ptr jpeg) {
  auto* complaints = reinterpret_cast<Complaints*>(jpeg->err);
  jpeg->err->format_message(jpeg, complaints->text.data());
  std::longjmp(complaints->jump, 1);
}

// Small damage is borne, as every viewer does; a file that ends early would be grey from there on.
void warn(j_common_ptr jpeg, int level) {
  const int code = jpeg->err->msg_code;
  if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER)) give_up(jpeg);
}

class Decompressor {
 public:
  Decompressor() {
    state_.err = jpeg_std_error(&complaints_.base);
    complaints_.base.error_exit = give_up;
    complaints_.base.emit_message = warn;
    jpeg_create_decompress(&state_);
  }
  ~Decompressor() { jpeg_destroy_decompress(&state_); }
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;
  // Whether `work` got to its end. It may own nothing: longjmp destroys no object.
  template <class Work>
  bool attempt(const Work& work) {
    if (setjmp(complaints_.jump) != 0) {
      jpeg_abort_decompress(&state_);
      return false;
    }
    work(state_);
    jpeg_abort_decompress(&state_);  // forgets the file
    return true;
  }
  const char* why() const { return complaints_.text.data(); }

 private:
  jpeg_decompress_struct state_{};
  Complaints complaints_;
};

Decompressor& decompressor() {
  thread_local Decompressor one;
  return one;
}

void read_header(jpeg_decompress_struct& jpeg, std::span<const std::byte> file) {
  jpeg_mem_src(&jpeg, reinterpret_cast<const unsigned char*>(file.data()), file.size());
  jpeg_read_header(&jpeg, TRUE);
}

constexpr int kWidestBlock = 32;  // decoded columns begin and end at blocks: 4 x 8 at most
size_t widest(const Window& window) {
  return static_cast<size_t>(window.width + 4 * kWidestBlock) * 3;
}

// A block more on either side, since upsampling looks past edges. Returns the first column.
int crop_columns(jpeg_decompress_struct& jpeg, const Window& window) {
  const int all = static_cast<int>(jpeg.output_width);
  const int margin = std::min(kWidestBlock, jpeg.max_h_samp_factor * jpeg.min_DCT_scaled_size);
  const int begin = std::max(0, window.left - margin),
            end = std::min(all, window.left + window.width + margin);
  if (begin == 0 && end == all) return 0;
  auto left = static_cast<JDIMENSION>(begin), width = static_cast<JDIMENSION>(end - begin);
  jpeg_crop_scanline(&jpeg, &left, &width);
  return static_cast<int>(left);
}

Pixels read_window(jpeg_decompress_struct& jpeg, const JpegPart& part, uint8_t* out) {
  const Window& window = part.window;
  jpeg.out_color_space = JCS_RGB;
  jpeg.scale_num = 1;
  jpeg.scale_denom = static_cast<unsigned>(part.shrink);
  jpeg_start_decompress(&jpeg);
  const int left = crop_columns(jpeg, window);
  if (window.top > 0) jpeg_skip_scanlines(&jpeg, static_cast<JDIMENSION>(window.top));
  const auto stride = static_cast<ptrdiff_t>(jpeg.output_width) * 3;
  for (int y = 0; y < window.height; ++y) {
    JSAMPROW row = out + y * stride;
    jpeg_read_scanlines(&jpeg, &row, 1);
  }
  return {out + ptrdiff_t{window.left - left} * 3, stride};
}

}  // namespace

std::optional<Size> jpeg_size(std::span<const std::byte> file) {
  if (file.size() < 4 || file[0] != std::byte{0xff} || file[1] != std::byte{0xd8}) return {};
  Size size{0, 0};
  const bool read = decompressor().attempt([&](jpeg_decompress_struct& jpeg) {
    read_header(jpeg, file);
    if (jpeg.num_components != 1 && jpeg.num_components != 3) return;
    size = {static_cast<int>(jpeg.image_height), static_cast<int>(jpeg.image_width)};
  });
  if (!read || size.height == 0) return {};
  return size;
}

Pixels decode_jpeg(std::span<const std::byte> file, const std::string& name, const JpegPart& part,
                   std::vector<uint8_t>& memory) {
  const size_t bytes = static_cast<size_t>(part.window.height) * widest(part.window);
  memory.resize(std::max(memory.size(), bytes));
  Pixels pixels{};
  Decompressor& jpeg = decompressor();
  const bool done = jpeg.attempt([&](jpeg_decompress_struct& state) {
    read_header(state, file);
    pixels = read_window(state, part, memory.data());
  });
  KD_CHECK(done, "{}: can't be decoded: {}", name, jpeg.why());
  return pixels;
}

#else

std::optional<Size> jpeg_size(std::span<const std::byte>) { return {}; }
Pixels decode_jpeg(std::span<const std::byte>, const std::string& name, const JpegPart&,
                   std::vector<uint8_t>&) {
  fail(ErrorCode::internal, "{}: this build has no libjpeg-turbo", name);
}

#endif

}  // namespace kd
