#include "oracle/conv.h"

#include <functional>

namespace kd::oracle {
namespace {

// One product of the convolution: which elements of x, w and y meet.
struct Product {
  int64_t n, row, column, channel;  // x
  int64_t k, r, s, c;               // w
  int64_t i, j;                     // y
};

struct Sizes {
  int64_t n, h, w, c, k, r, s, i, j;
};

// Calls visit for every product whose x lies inside the picture.
void visit_products(const Sizes& size, const Convolution& conv,
                    const std::function<void(const Product&)>& visit) {
  const int64_t channels = size.c / conv.groups, filters = size.k / conv.groups;
  Product p{};
  for (p.n = 0; p.n < size.n; ++p.n)
    for (p.i = 0; p.i < size.i; ++p.i)
      for (p.j = 0; p.j < size.j; ++p.j)
        for (p.k = 0; p.k < size.k; ++p.k)
          for (p.r = 0; p.r < size.r; ++p.r)
            for (p.s = 0; p.s < size.s; ++p.s) {
              p.row = p.i * conv.stride_h + p.r * conv.dilation_h - conv.top;
              p.column = p.j * conv.stride_w + p.s * conv.dilation_w - conv.left;
              if (p.row < 0 || p.row >= size.h || p.column < 0 || p.column >= size.w) continue;
              for (p.c = 0; p.c < channels; ++p.c) {
                p.channel = p.k / filters * channels + p.c;
                visit(p);
              }
            }
}

}  // namespace

Array conv2d(const Array& x, const Array& w, const Convolution& conv) {
  const int64_t height = x.dim(1) + conv.top + conv.bottom;
  const int64_t width = x.dim(2) + conv.left + conv.right;
  const int64_t rows = (height - conv.dilation_h * (w.dim(1) - 1) - 1) / conv.stride_h + 1;
  const int64_t columns = (width - conv.dilation_w * (w.dim(2) - 1) - 1) / conv.stride_w + 1;
  Array y = Array::zeros({x.dim(0), rows, columns, w.dim(0)});
  const Sizes size{x.dim(0), x.dim(1), x.dim(2), x.dim(3), w.dim(0),
                   w.dim(1), w.dim(2), rows,     columns};
  visit_products(size, conv, [&](const Product& p) {
    y.at(p.n, p.i, p.j, p.k) += x.at(p.n, p.row, p.column, p.channel) * w.at(p.k, p.r, p.s, p.c);
  });
  return y;
}

Array conv2d_dgrad(const Array& dy, const Array& w, const Convolution& conv, int64_t h,
                   int64_t width) {
  Array dx = Array::zeros({dy.dim(0), h, width, w.dim(3) * conv.groups});
  const Sizes size{dy.dim(0), h,        width,     dx.dim(3), w.dim(0),
                   w.dim(1),  w.dim(2), dy.dim(1), dy.dim(2)};
  visit_products(size, conv, [&](const Product& p) {
    dx.at(p.n, p.row, p.column, p.channel) += dy.at(p.n, p.i, p.j, p.k) * w.at(p.k, p.r, p.s, p.c);
  });
  return dx;
}

Array conv2d_wgrad(const Array& x, const Array& dy, const Convolution& conv, int64_t r, int64_t s) {
  Array dw = Array::zeros({dy.dim(3), r, s, x.dim(3) / conv.groups});
  const Sizes size{x.dim(0), x.dim(1), x.dim(2), x.dim(3), dy.dim(3), r, s, dy.dim(1), dy.dim(2)};
  visit_products(size, conv, [&](const Product& p) {
    dw.at(p.k, p.r, p.s, p.c) += x.at(p.n, p.row, p.column, p.channel) * dy.at(p.n, p.i, p.j, p.k);
  });
  return dw;
}

}  // namespace kd::oracle
