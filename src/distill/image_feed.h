// The pictures of one batch on the device, and the small programs that make network inputs of them.
#pragma once

#include "kd/backend.h"
#include "kd/data.h"
#include "kd/program.h"

namespace kd {

class ImageFeed {
 public:
  // A network's input: f32 or 16-bit (batch, H, W, C), and how it wants its pictures normalised.
  struct Target {
    Tensor images;
    Preprocess preprocess;
  };
  // Pictures come in the size of the first target.
  ImageFeed(Backend& backend, const std::vector<Target>& targets);

  // Copies the batch into pinned memory at once, and enqueues the copies to the device. The memory
  // of the last call must have been read by then: wait for the stream, or an event after it.
  void upload(const Batch& batch, Stream& stream);
  void stage(const Batch& batch);  // the first half of upload(): what the host does
  void transfer(Stream& stream);   // the second: what the stream does
  void place(size_t target, Stream& stream) { programs_[target].run(stream); }
  Tensor labels() const { return labels_.device; }  // i32 (batch)
  Tensor ids() const { return ids_.device; }        // i32 (batch); 0 in a batch without

 private:
  struct Mirrored {  // one tensor in pinned host memory and on the device
    Tensor host, device;
  };
  Mirrored mirrored(const TensorDesc& desc);
  void add_target(const Target& target);

  Backend& backend_;
  Mirrored pixels_, placements_, labels_, ids_;
  std::vector<Program> programs_;
};

}  // namespace kd
