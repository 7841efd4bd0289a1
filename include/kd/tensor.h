// Tensor = description + buffer + offset. No maths here.
#pragma once

#include <memory>
#include <string>

#include "kd/dtype.h"
#include "kd/shape.h"

namespace kd {

enum class Device : uint8_t { cpu, cuda };

struct TensorDesc {
  DType dtype = DType::f32;
  Shape shape;

  size_t bytes() const { return static_cast<size_t>(shape.elements()) * size_of(dtype); }
  bool operator==(const TensorDesc&) const = default;
  std::string str() const;  // "f32 (2, 3)"
};

// A shared, aligned block of device memory; copying a Buffer shares the block.
class Buffer {
 public:
  Buffer() = default;
  Buffer(std::shared_ptr<void> memory, size_t bytes, Device device)
      : memory_(std::move(memory)), bytes_(bytes), device_(device) {}
  void* data() const { return memory_.get(); }
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  explicit operator bool() const { return memory_ != nullptr; }

 private:
  std::shared_ptr<void> memory_;
  size_t bytes_ = 0;
  Device device_ = Device::cpu;
};

// 64-byte aligned host memory.
Buffer allocate_host(size_t bytes);

// Row-major elements of `desc` at `offset` bytes into `buffer`.
class Tensor {
 public:
  Tensor() = default;
  Tensor(TensorDesc desc, Buffer buffer, size_t offset = 0);  // throws Error if out of range
  static Tensor host(TensorDesc desc) { return {desc, allocate_host(desc.bytes())}; }

  const TensorDesc& desc() const { return desc_; }
  const Shape& shape() const { return desc_.shape; }
  int64_t elements() const { return desc_.shape.elements(); }
  size_t bytes() const { return desc_.bytes(); }
  const Buffer& buffer() const { return buffer_; }
  size_t offset() const { return offset_; }
  void* data() const { return static_cast<std::byte*>(buffer_.data()) + offset_; }
  template <class T>
  T* as() const {
    return static_cast<T*>(data());
  }
  explicit operator bool() const { return static_cast<bool>(buffer_); }

 private:
  TensorDesc desc_;
  Buffer buffer_;
  size_t offset_ = 0;
};

}  // namespace kd
