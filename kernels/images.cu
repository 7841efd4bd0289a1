#include "kernels/images.h"
#include "kernels/vec.cuh"

namespace kd::kernels {
namespace {

constexpr int kThreads = 256, kPixels = 4;  // of a thread
constexpr int kRow = 257;                   // of the table

// Where image `image`'s crop pixel (row, column) comes from; null: outside.
__device__ const uint8_t* pixel_at(const ImagesArgs& args, int64_t image, int row, int column) {
  const int32_t* place = args.placements + image * 3;
  const int64_t from_row = int64_t{place[0]} + row;
  const int64_t from_column =
      int64_t{place[1]} + (place[2] != 0 ? args.crop_width - 1 - column : column);
  const bool inside =
      from_row >= 0 && from_row < args.height && from_column >= 0 && from_column < args.width;
  if (!inside) return nullptr;
  return args.pixels +
         ((image * args.height + from_row) * args.width + from_column) * args.pixel_channels;
}

// kChannels: those of y, 4 or 8, or 0 for any number. Grid: tiles of every image.
template <int kChannels, class T>
__global__ void __launch_bounds__(kThreads) place(const ImagesArgs args, unsigned tiles) {
  KD_DYNAMIC_SHARED(float, table);
  KD_SHARED(int, source, kMostImageChannels);  // the pixel's channel of each of y's, or -1
  for (int i = static_cast<int>(threadIdx.x); i < args.pixel_channels * kRow; i += kThreads) {
    table[i] = args.table[i];
  }
  for (int k = static_cast<int>(threadIdx.x); k < args.channels; k += kThreads) {
    source[k] = -1;
    for (int c = 0; c < args.pixel_channels; ++c) {
      if (args.table[c * kRow + kRow - 1] == static_cast<float>(k)) source[k] = c;
    }
  }
  __syncthreads();
  const int64_t image = blockIdx.x / tiles;
  const unsigned first = blockIdx.x % tiles * (kThreads * kPixels) + threadIdx.x;
  const auto width = static_cast<unsigned>(args.crop_width);
  const unsigned count = static_cast<unsigned>(args.crop_height) * width;
  for (int u = 0; u < kPixels; ++u) {
    const unsigned at = first + static_cast<unsigned>(u) * kThreads;
    if (at >= count) return;
    const uint8_t* pixel =
        pixel_at(args, image, static_cast<int>(at / width), static_cast<int>(at % width));
    const auto value = [&](int k) {
      const int c = source[k];
      const float found = c < 0 ? 0.0f : table[c * kRow + (pixel == nullptr ? 0 : pixel[c])];
      return from_float<T>(found);
    };
    T* y = static_cast<T*>(args.y) + (image * count + at) * args.channels;
    if constexpr (kChannels == 0) {
      for (int k = 0; k < args.channels; ++k) y[k] = value(k);
    } else {
      Vec<T, kChannels> values;
#pragma unroll
      for (int k = 0; k < kChannels; ++k) values.at[k] = value(k);
      store(y, values);
    }
  }
}

}  // namespace

void place_images(StreamRef stream, const ImagesArgs& args) {
  if (args.images == 0) return;
  if (args.pixel_channels > kMostPixelChannels || args.channels > kMostImageChannels) {
    throw LaunchError("place_images: " + std::to_string(args.pixel_channels) + " -> " +
                      std::to_string(args.channels) + " channels, at most 32 -> 64");
  }
  const int64_t tiles = divided_up(int64_t{args.crop_height} * args.crop_width, kThreads * kPixels);
  const Grid grid{{args.images * tiles},
                  {kThreads},
                  static_cast<size_t>(args.pixel_channels) * kRow * sizeof(float)};
  with_float_type(args.type, [&](auto of) {
    using T = decltype(of);
    const auto* y = static_cast<const T*>(args.y);
    const auto kernel = args.channels == 4 && is_aligned<4>(y)   ? place<4, T>
                        : args.channels == 8 && is_aligned<8>(y) ? place<8, T>
                                                                 : place<0, T>;
    launch(stream, grid, kernel, args, static_cast<unsigned>(tiles));
  });
}

}  // namespace kd::kernels
