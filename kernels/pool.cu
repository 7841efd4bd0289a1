#include "kernels/pool.h"
#include "kernels/pool_window.cuh"

namespace kd::kernels {
namespace {

struct Same {
  template <int kCount>
  __device__ Floats<kCount> operator()(const Floats<kCount>& value) const {
    return value;
  }
};

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, kBlocksAtOnce)
    max_pool_kernel(Pooling shape, int64_t count, const T* __restrict__ x, T* __restrict__ y,
                    uint8_t* __restrict__ index) {
  const int64_t channel = tile_group() * kCount;
  if (channel >= shape.channels) return;
  for (int64_t out = tile_row(); out < count; out += tile_row_step()) {
    const Position at = shape.split_pooled(out);
    const Best<kCount> best = window_maximum<kCount>(shape, x + channel, at, Same{});
    store(y + out * shape.channels + channel, from_floats<kCount, T>(best.value));
    store(index + out * shape.channels + channel, best.place);
  }
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, sizeof(T) == 4 ? 3 : kBlocksAtOnce)
    max_pool_backward_kernel(Pooling shape, int64_t count, const T* __restrict__ dy,
                             const uint8_t* __restrict__ index, T* __restrict__ dx) {
  const int64_t channel = tile_group() * kCount;
  if (channel >= shape.channels) return;
  for (int64_t in = tile_row(); in < count; in += tile_row_step()) {
    const Position at = shape.split(in);
    const Floats<kCount> sum = sum_of_choosers<kCount>(
        shape, at, index, channel,
        [&](int64_t offset) { return to_floats(load<kCount>(dy + offset)); });
    store(dx + in * shape.channels + channel, from_floats<kCount, T>(sum));
  }
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, kBlocksAtOnce)
    avg_pool_kernel(Pooling shape, int64_t count, const T* __restrict__ x, T* __restrict__ y) {
  const int64_t channel = tile_group() * kCount;
  if (channel >= shape.channels) return;
  for (int64_t out = tile_row(); out < count; out += tile_row_step()) {
    const Position at = shape.split_pooled(out);
    const Window rows = window_at(shape.rows, at.row);
    const Window columns = window_at(shape.columns, at.column);
    Floats<kCount> sum{};
    for (int row = rows.begin; row < rows.end; ++row) {
      for (int column = columns.begin; column < columns.end; ++column) {
        const auto value =
            to_floats(load<kCount>(place_in(x + channel, shape, at.image, row, column)));
#pragma unroll
        for (int i = 0; i < kCount; ++i) sum.at[i] += value.at[i];
      }
    }
    const float share = share_of(rows, columns, shape.count_include_pad);
#pragma unroll
    for (int i = 0; i < kCount; ++i) sum.at[i] *= share;
    store(y + out * shape.channels + channel, from_floats<kCount, T>(sum));
  }
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, kBlocksAtOnce)
    avg_pool_backward_kernel(Pooling shape, int64_t count, const T* __restrict__ dy,
                             T* __restrict__ dx) {
  const int64_t channel = tile_group() * kCount;
  if (channel >= shape.channels) return;
  for (int64_t in = tile_row(); in < count; in += tile_row_step()) {
    const Position at = shape.split(in);
    const Covering rows = covering(shape.rows, shape.row_stride, at.row);
    const Covering columns = covering(shape.columns, shape.column_stride, at.column);
    Floats<kCount> sum{};
    for (int row = rows.first; row <= rows.last; ++row) {
      const Window window = window_at(shape.rows, row);
      const int64_t line = (at.image * shape.rows.pooled + row) * shape.columns.pooled;
      for (int column = columns.first; column <= columns.last; ++column) {
        const float share =
            share_of(window, window_at(shape.columns, column), shape.count_include_pad);
        const auto d = to_floats(load<kCount>(dy + (line + column) * shape.channels + channel));
#pragma unroll
        for (int i = 0; i < kCount; ++i) sum.at[i] += d.at[i] * share;
      }
    }
    store(dx + in * shape.channels + channel, from_floats<kCount, T>(sum));
  }
}

// A block takes one image: its rows of threads share the places.
template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, kBlocksAtOnce)
    global_avg_pool_kernel(GlobalPoolShape shape, const T* __restrict__ x, T* __restrict__ y) {
  const int64_t channel = tile_group() * kCount, image = blockIdx.x;
  float sum[kCount] = {};
  if (channel < shape.channels) {
    const T* column = x + image * shape.places * shape.channels + channel;
#pragma unroll 4
    for (int64_t place = threadIdx.y; place < shape.places; place += blockDim.y) {
      const auto value = to_floats(load<kCount>(column + place * shape.channels));
#pragma unroll
      for (int i = 0; i < kCount; ++i) sum[i] += value.at[i];
    }
  }
  sum_over_tile_rows(sum);
  if (threadIdx.y != 0 || channel >= shape.channels) return;
  Floats<kCount> mean;
#pragma unroll
  for (int i = 0; i < kCount; ++i) mean.at[i] = sum[i] / static_cast<float>(shape.places);
  store(y + image * shape.channels + channel, from_floats<kCount, T>(mean));
}

template <class T, int kCount>
__global__ void __launch_bounds__(kTileThreads, kBlocksAtOnce)
    global_avg_pool_backward_kernel(GlobalPoolShape shape, const T* __restrict__ dy,
                                    T* __restrict__ dx, SplitPosition split) {
  const int64_t channel = tile_group() * kCount;
  if (channel >= shape.channels) return;
  const float share = 1.0f / static_cast<float>(shape.places);
  const int64_t count = shape.images * shape.places;
  for (int64_t row = tile_row(); row < count; row += tile_row_step()) {
    const int64_t image = split(row).image;
    auto d = to_floats(load<kCount>(dy + image * shape.channels + channel));
#pragma unroll
    for (int i = 0; i < kCount; ++i) d.at[i] *= share;
    store(dx + row * shape.channels + channel, from_floats<kCount, T>(d));
  }
}

// Can both be read and written 8 channels at a time?
template <class T>
bool has_vectors(int64_t channels, const void* a, const void* b, const uint8_t* index = nullptr) {
  return channels % kGroup == 0 && is_aligned<kGroup>(static_cast<const T*>(a)) &&
         is_aligned<kGroup>(static_cast<const T*>(b)) && is_aligned<kGroup>(index);
}

}  // namespace

void max_pool(StreamRef stream, const PoolShape& shape, const void* x, void* y, uint8_t* index) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, x, y, index), [&]<int kCount>() {
      const int64_t count = pooled_positions(shape);
      launch(stream, window_grid<kCount>(count, shape.channels), max_pool_kernel<T, kCount>,
             Pooling(shape), count, static_cast<const T*>(x), static_cast<T*>(y), index);
    });
  });
}

void max_pool_backward(StreamRef stream, const PoolShape& shape, const void* dy,
                       const uint8_t* index, void* dx) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, dy, dx, index), [&]<int kCount>() {
      const int64_t count = positions(shape);
      launch(stream, window_grid<kCount>(count, shape.channels),
             max_pool_backward_kernel<T, kCount>, Pooling(shape), count, static_cast<const T*>(dy),
             index, static_cast<T*>(dx));
    });
  });
}

void avg_pool(StreamRef stream, const PoolShape& shape, const void* x, void* y) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, x, y), [&]<int kCount>() {
      const int64_t count = pooled_positions(shape);
      launch(stream, window_grid<kCount>(count, shape.channels), avg_pool_kernel<T, kCount>,
             Pooling(shape), count, static_cast<const T*>(x), static_cast<T*>(y));
    });
  });
}

void avg_pool_backward(StreamRef stream, const PoolShape& shape, const void* dy, void* dx) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, dy, dx), [&]<int kCount>() {
      const int64_t count = positions(shape);
      launch(stream, window_grid<kCount>(count, shape.channels),
             avg_pool_backward_kernel<T, kCount>, Pooling(shape), count, static_cast<const T*>(dy),
             static_cast<T*>(dx));
    });
  });
}

void global_avg_pool(StreamRef stream, const GlobalPoolShape& shape, const void* x, void* y) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, x, y), [&]<int kCount>() {
      Grid grid = tile_grid(shape.places, shape.channels / kCount, 1, 1);
      grid.blocks.x = shape.images;
      launch(stream, grid, global_avg_pool_kernel<T, kCount>, shape, static_cast<const T*>(x),
             static_cast<T*>(y));
    });
  });
}

void global_avg_pool_backward(StreamRef stream, const GlobalPoolShape& shape, const void* dy,
                              void* dx) {
  with_float_type(shape.type, [&]<class T>(T) {
    with_group(has_vectors<T>(shape.channels, dy, dx), [&]<int kCount>() {
      launch(stream, window_grid<kCount>(shape.images * shape.places, shape.channels),
             global_avg_pool_backward_kernel<T, kCount>, shape, static_cast<const T*>(dy),
             static_cast<T*>(dx),
             SplitPosition{FastDivide(1), FastDivide(static_cast<int>(shape.places))});
    });
  });
}

}  // namespace kd::kernels
