// Pooling over NHWC: parallel over output rows (forward) or images (backward), vectorised over
// channels.
#include <algorithm>
#include <cmath>
#include <limits>

#include "backend/cpu/cpu.h"

namespace kd::cpu {
namespace {

// Where the window of one output position lies, clipped to the input.
struct Window {
  int64_t start, begin, end;  // unclipped start; clipped range
  int64_t full;               // places that count for count_include_pad
};
Window window_at(int64_t out, int window, int stride, int pad_before, int pad_after, int64_t size) {
  const int64_t start = out * stride - pad_before;
  const int64_t stop = std::min(start + window, size + pad_after);
  return {start, std::max<int64_t>(start, 0), std::min(stop, size), stop - start};
}

struct Pooling {
  PoolAttrs a;
  Shape x, y;
  Window rows(int64_t oh) const {
    return window_at(oh, a.window[0], a.stride[0], a.pad[0], a.pad[2], x[1]);
  }
  Window columns(int64_t ow) const {
    return window_at(ow, a.window[1], a.stride[1], a.pad[1], a.pad[3], x[2]);
  }
  int64_t x_at(int64_t n, int64_t h, int64_t w) const { return ((n * x[1] + h) * x[2] + w) * x[3]; }
  int64_t y_at(int64_t n, int64_t h, int64_t w) const { return ((n * y[1] + h) * y[2] + w) * y[3]; }
  float divisor(const Window& r, const Window& c) const {
    const int64_t places =
        a.count_include_pad ? r.full * c.full : (r.end - r.begin) * (c.end - c.begin);
    return static_cast<float>(std::max<int64_t>(places, 1));
  }
};

void max_at(const Pooling& pool, const float* x, int64_t n, const Window& rows,
            const Window& columns, float* y, uint8_t* index) {
  const int64_t c = pool.x[3];
  std::fill_n(y, c, -std::numeric_limits<float>::infinity());
  std::fill_n(index, c, uint8_t{0});
  bool first = true;
  for (int64_t h = rows.begin; h < rows.end; ++h) {
    for (int64_t w = columns.begin; w < columns.end; ++w) {
      const float* at = x + pool.x_at(n, h, w);
      const auto place =
          static_cast<uint8_t>((h - rows.start) * pool.a.window[1] + (w - columns.start));
#pragma omp simd
      for (int64_t k = 0; k < c; ++k) {
        const bool wins = first || at[k] > y[k] || std::isnan(at[k]);
        y[k] = wins ? at[k] : y[k];
        index[k] = wins ? place : index[k];
      }
      first = false;
    }
  }
}

template <class Body>
void for_each_output(const Pooling& pool, const Body& body) {
#pragma omp parallel for collapse(2) schedule(static)
  for (int64_t n = 0; n < pool.y[0]; ++n) {
    for (int64_t oh = 0; oh < pool.y[1]; ++oh) {
      const Window rows = pool.rows(oh);
      for (int64_t ow = 0; ow < pool.y[2]; ++ow) body(n, oh, ow, rows, pool.columns(ow));
    }
  }
}

}  // namespace

StepPtr prepare_max_pool(const PrepareRequest& request) {
  const Pooling pool{request.node.attr<PoolAttrs>(), in_shape(request, 0), out_shape(request, 0)};
  return make_step([=](const Pointers& p) {
    for_each_output(pool, [&](int64_t n, int64_t oh, int64_t ow, const Window& r, const Window& c) {
      const int64_t at = pool.y_at(n, oh, ow);
      max_at(pool, in<float>(p, 0), n, r, c, out<float>(p, 0) + at, out<uint8_t>(p, 1) + at);
    });
  });
}

StepPtr prepare_max_pool_backward(const PrepareRequest& request) {
  const Pooling pool{request.node.attr<PoolGradAttrs>().pool, out_shape(request, 0),
                     in_shape(request, 0)};
  return make_step([=](const Pointers& p) {
    const auto* dy = in<float>(p, 0);
    const auto* index = in<uint8_t>(p, 1);
    auto* dx = out<float>(p, 0);
    const int64_t image = pool.x[1] * pool.x[2] * pool.x[3], c = pool.x[3];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < pool.x[0]; ++n) {
      std::fill_n(dx + n * image, image, 0.0f);
      for (int64_t oh = 0; oh < pool.y[1]; ++oh) {
        for (int64_t ow = 0; ow < pool.y[2]; ++ow) {
          const int64_t at = pool.y_at(n, oh, ow);
          const int64_t top = pool.rows(oh).start, left = pool.columns(ow).start;
          for (int64_t k = 0; k < c; ++k) {
            const int place = index[at + k], width = pool.a.window[1];
            dx[pool.x_at(n, top + place / width, left + place % width) + k] += dy[at + k];
          }
        }
      }
    }
  });
}

StepPtr prepare_avg_pool(const PrepareRequest& request) {
  const Pooling pool{request.node.attr<PoolAttrs>(), in_shape(request, 0), out_shape(request, 0)};
  return make_step([=](const Pointers& p) {
    const auto* x = in<float>(p, 0);
    const int64_t c = pool.x[3];
    for_each_output(pool, [&](int64_t n, int64_t oh, int64_t ow, const Window& r, const Window& s) {
      float* y = out<float>(p, 0) + pool.y_at(n, oh, ow);
      std::fill_n(y, c, 0.0f);
      for (int64_t h = r.begin; h < r.end; ++h) {
        for (int64_t w = s.begin; w < s.end; ++w) {
          const float* at = x + pool.x_at(n, h, w);
          for (int64_t k = 0; k < c; ++k) y[k] += at[k];
        }
      }
      const float divisor = pool.divisor(r, s);
      for (int64_t k = 0; k < c; ++k) y[k] /= divisor;
    });
  });
}

StepPtr prepare_avg_pool_backward(const PrepareRequest& request) {
  const Pooling pool{request.node.attr<PoolGradAttrs>().pool, out_shape(request, 0),
                     in_shape(request, 0)};
  return make_step([=](const Pointers& p) {
    const auto* dy = in<float>(p, 0);
    auto* dx = out<float>(p, 0);
    const int64_t image = pool.x[1] * pool.x[2] * pool.x[3], c = pool.x[3];
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < pool.x[0]; ++n) {
      std::fill_n(dx + n * image, image, 0.0f);
      for (int64_t oh = 0; oh < pool.y[1]; ++oh) {
        const Window r = pool.rows(oh);
        for (int64_t ow = 0; ow < pool.y[2]; ++ow) {
          const Window s = pool.columns(ow);
          const float* g = dy + pool.y_at(n, oh, ow);
          const float divisor = pool.divisor(r, s);
          for (int64_t h = r.begin; h < r.end; ++h) {
            for (int64_t w = s.begin; w < s.end; ++w) {
              float* at = dx + pool.x_at(n, h, w);
              for (int64_t k = 0; k < c; ++k) at[k] += g[k] / divisor;
            }
          }
        }
      }
    }
  });
}

StepPtr prepare_global_avg_pool(const PrepareRequest& request) {
  const Shape x = in_shape(request, 0);
  const int64_t places = x[1] * x[2], c = x[3], images = x[0];
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < images; ++n) {
      const float* at = in<float>(p, 0) + n * places * c;
      float* y = out<float>(p, 0) + n * c;
      std::fill_n(y, c, 0.0f);
      for (int64_t place = 0; place < places; ++place) {
        for (int64_t k = 0; k < c; ++k) y[k] += at[place * c + k];
      }
      for (int64_t k = 0; k < c; ++k) y[k] /= static_cast<float>(places);
    }
  });
}

StepPtr prepare_global_avg_pool_backward(const PrepareRequest& request) {
  const Shape dx = out_shape(request, 0);
  const int64_t places = dx[1] * dx[2], c = dx[3], images = dx[0];
  return make_step([=](const Pointers& p) {
#pragma omp parallel for schedule(static)
    for (int64_t n = 0; n < images; ++n) {
      const float* dy = in<float>(p, 0) + n * c;
      float* at = out<float>(p, 0) + n * places * c;
      for (int64_t place = 0; place < places; ++place) {
        for (int64_t k = 0; k < c; ++k) at[place * c + k] = dy[k] / static_cast<float>(places);
      }
    }
  });
}

}  // namespace kd::cpu
