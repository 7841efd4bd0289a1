#include "kd/tensor.h"

#include <cstdlib>
#include <new>

#include "kd/error.h"

namespace kd {

std::string TensorDesc::str() const { return std::string(name_of(dtype)) + " " + shape.str(); }

Buffer allocate_host(size_t bytes) {
  constexpr size_t kAlignment = 64;
  const size_t rounded = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded ? rounded : kAlignment);
  if (memory == nullptr) fail(ErrorCode::device, "out of memory: {} bytes wanted", bytes);
  return {std::shared_ptr<void>(memory, std::free), bytes, Device::cpu};
}

Tensor::Tensor(TensorDesc desc, Buffer buffer, size_t offset)
    : desc_(desc), buffer_(std::move(buffer)), offset_(offset) {
  KD_CHECK(offset_ <= buffer_.bytes() && bytes() <= buffer_.bytes() - offset_,
           "a tensor {} at byte {} does not fit into a buffer of {} bytes", desc_.str(), offset_,
           buffer_.bytes());
}

}  // namespace kd
