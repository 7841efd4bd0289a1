#include "kernels/norm_backward.h"
#include "kernels/norm_sums.cuh"

namespace kd::kernels {
namespace {

enum class Gate : uint8_t { open, output, mask };

struct Gradient {
  const void *dy, *x, *gate;
  const float *mean, *coefficients;
  void *dx, *dresidual;
  float* partials;
  int64_t rows, channels;
};

template <class T, int kCount>
struct Loaded {
  Vec<T, kCount> dy, x, y;
  unsigned bits;
};

// Reads rows of one group of channels, and says what comes through the gate.
template <class T, int kCount, Gate kGate>
struct Reader {
  const T* __restrict__ dy, * __restrict__ x;
  const void* gate;
  int64_t channels, first;

  __device__ Reader(const Gradient& g, int64_t group)
      : dy(static_cast<const T*>(g.dy)),
        x(static_cast<const T*>(g.x)),
        gate(g.gate),
        channels(g.channels),
        first(group * kCount) {}
  __device__ Loaded<T, kCount> operator()(int64_t row) const {
    const int64_t at = row * channels + first;
    Loaded<T, kCount> loaded;
    loaded.dy = load<kCount>(dy + at);
    loaded.x = load<kCount>(x + at);
    if constexpr (kGate == Gate::output) {
      loaded.y = load<kCount>(static_cast<const T*>(gate) + at);
    } else if constexpr (kGate == Gate::mask) {
      loaded.bits = static_cast<const uint8_t*>(gate)[at / kGroup];
      if constexpr (kCount == 1) loaded.bits >>= at % kGroup;
    }
    return loaded;
  }
  __device__ static float through(const Loaded<T, kCount>& loaded, int i) {
    const float d = to_float(loaded.dy.at[i]);
    if constexpr (kGate == Gate::output) return to_float(loaded.y.at[i]) > 0 ? d : 0.0f;
    if constexpr (kGate == Gate::mask) return (loaded.bits >> i & 1) != 0 ? d : 0.0f;
    return d;
  }
};

template <class T, int kCount, Gate kGate>
__global__ void __launch_bounds__(kTileThreads) sums_kernel(Gradient g) {
  const int64_t group = tile_group();
  float sums[2 * kCount] = {};
  if (group * kCount < g.channels) {
    const auto mean = channel_floats<kCount>(g.mean, group);
    using Read = Reader<T, kCount, kGate>;
    for_rows<kRowsAtOnce>(walk_together(g.rows), Read(g, group),
                          [&](int64_t, const Loaded<T, kCount>& loaded) {
#pragma unroll
                            for (int i = 0; i < kCount; ++i) {
                              const float d = Read::through(loaded, i);
                              sums[i] += d;
                              sums[kCount + i] += d * (to_float(loaded.x.at[i]) - mean.at[i]);
                            }
                          });
  }
  store_sums<kCount>(sums, group, g.channels, g.partials);
}

__global__ void finalize_kernel(NormGradientFinalize a) {
  const int64_t c = static_cast<int64_t>(blockIdx.x) * kFinalChannels + threadIdx.x;
  const Totals totals = sum_partials(a.sums, c, a.channels);
  if (threadIdx.y != 0 || c >= a.channels) return;
  const auto rows = static_cast<double>(a.rows);
  const double inverse = 1 / ::sqrt(static_cast<double>(a.var[c]) + a.eps);
  const double scale = a.gamma[c] * inverse;
  a.dbeta[c] = static_cast<float>(totals.sum);
  a.dgamma[c] = static_cast<float>(totals.square * inverse);
  a.coefficients[c] = static_cast<float>(scale);
  a.coefficients[a.channels + c] =
      static_cast<float>(-scale * totals.square * inverse * inverse / rows);
  a.coefficients[2 * a.channels + c] = static_cast<float>(-scale * totals.sum / rows);
}

template <class T, int kCount, Gate kGate>
__global__ void __launch_bounds__(kTileThreads) apply_kernel(Gradient g) {
  const int64_t group = tile_group();
  if (group * kCount >= g.channels) return;
  const auto mean = channel_floats<kCount>(g.mean, group);
  const auto scale = channel_floats<kCount>(g.coefficients, group);
  const auto slope = channel_floats<kCount>(g.coefficients + g.channels, group);
  const auto offset = channel_floats<kCount>(g.coefficients + 2 * g.channels, group);
  T* __restrict__ dx = static_cast<T*>(g.dx) + group * kCount;
  T* __restrict__ dresidual = static_cast<T*>(g.dresidual);
  using Read = Reader<T, kCount, kGate>;
  for_rows<kApplyRowsAtOnce>(
      walk_back<kApplyRowsAtOnce>(g.rows), Read(g, group),
      [&](int64_t row, const Loaded<T, kCount>& loaded) {
        Floats<kCount> through, result;
#pragma unroll
        for (int i = 0; i < kCount; ++i) {
          through.at[i] = Read::through(loaded, i);
          const float off = to_float(loaded.x.at[i]) - mean.at[i];
          result.at[i] = through.at[i] * scale.at[i] + off * slope.at[i] + offset.at[i];
        }
        store(dx + row * g.channels, from_floats<kCount, T>(result));
        if (dresidual != nullptr) {
          store(dresidual + row * g.channels + group * kCount, from_floats<kCount, T>(through));
        }
      });
}

template <class T, int kCount, Gate kGate>
void launch_all(StreamRef stream, const Gradient& g, NormGradientFinalize last) {
  const Grid grid = sums_grid<kCount>(g.rows, g.channels);
  launch(stream, grid, sums_kernel<T, kCount, kGate>, g);
  last.sums = {g.partials, g.partials + g.channels, nullptr, grid.blocks.x, 2 * g.channels};
  norm_gradient_finalize(stream, last);
  launch(stream, apply_grid<kCount>(g.rows, g.channels), apply_kernel<T, kCount, kGate>, g);
}

template <class T, Gate kGate>
void launch_gated(StreamRef stream, const Gradient& g, const NormGradientFinalize& last) {
  bool groups = has_groups(g.channels);
  for (const void* at : {g.dy, g.x, kGate == Gate::output ? g.gate : nullptr,
                         static_cast<const void*>(g.dx), static_cast<const void*>(g.dresidual)}) {
    groups = groups && is_aligned<kGroup>(static_cast<const T*>(at));
  }
  groups ? launch_all<T, kGroup, kGate>(stream, g, last) : launch_all<T, 1, kGate>(stream, g, last);
}

}  // namespace

void norm_gradient_finalize(StreamRef stream, const NormGradientFinalize& args) {
  launch(stream, final_grid(args.channels), finalize_kernel, args);
}

void norm_backward(StreamRef stream, const NormBackward& a) {
  const auto [type, rows, channels] = a.shape;
  float* coefficients = norm_scratch(a.shape, a.workspace);
  const void* gate = a.mask != nullptr ? a.mask : a.y;
  const Gradient g{a.dy,         a.x,     gate,        a.mean,
                   coefficients, a.dx,    a.dresidual, static_cast<float*>(a.workspace),
                   rows,         channels};
  const NormGradientFinalize last{{},    rows,     channels, a.gamma,     a.var,
                                  a.eps, a.dgamma, a.dbeta,  coefficients};
  with_float_type(type, [&]<class T>(T) {
    if (a.mask != nullptr) return launch_gated<T, Gate::mask>(stream, g, last);
    if (a.y != nullptr) return launch_gated<T, Gate::output>(stream, g, last);
    launch_gated<T, Gate::open>(stream, g, last);
  });
}

}  // namespace kd::kernels
