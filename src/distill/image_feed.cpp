#include "distill/image_feed.h"

#include <cstring>

#include "kd/error.h"
#include "kd/ops.h"

namespace kd {

ImageFeed::Mirrored ImageFeed::mirrored(const TensorDesc& desc) {
  return {Tensor(desc, backend_.allocate(desc.bytes(), Memory::pinned_host)),
          Tensor(desc, backend_.allocate(desc.bytes(), Memory::device))};
}

ImageFeed::ImageFeed(const Preprocess& p, Backend& backend, const std::vector<Tensor>& targets)
    : backend_(backend) {
  const int64_t batch = targets.at(0).shape()[0];
  const auto channels = static_cast<int64_t>(p.channels());
  pixels_ = mirrored({DType::u8, {batch, p.crop_height, p.crop_width, channels}});
  placements_ = mirrored({DType::i32, {batch, 3}});
  labels_ = mirrored({DType::i32, {batch}});
  const Tensor table = pixel_table(p);
  table_ = Tensor(table.desc(), backend.allocate(table.bytes(), Memory::device));
  const auto stream = backend.stream(Priority::normal);
  backend.copy(table_.data(), table.data(), table.bytes(), *stream);
  backend.synchronize(*stream);
  for (const Tensor& target : targets) {
    Graph graph;
    const Value pixels = graph.input("pixels", pixels_.device.desc());
    const Value placements = graph.input("placements", placements_.device.desc());
    const Value values = graph.input("table", table_.desc());
    const ImagesAttrs attrs{
        {p.crop_height, p.crop_width}, static_cast<int>(target.shape()[3]), target.desc().dtype};
    const Value images = place_images(graph, pixels, placements, values, attrs, "input");
    CompileOptions options;
    options.bindings = {{pixels, pixels_.device},
                        {placements, placements_.device},
                        {values, table_},
                        {images, target}};
    programs_.push_back(compile(std::move(graph), backend, options));
  }
}

void ImageFeed::stage(const Batch& batch) {
  const auto put = [](const Mirrored& to, const Tensor& from) {
    KD_CHECK(to.host.desc() == from.desc(), "a batch holds {}, expected {}", from.desc().str(),
             to.host.desc().str());
    std::memcpy(to.host.data(), from.data(), from.bytes());
  };
  put(pixels_, batch.pixels);
  put(placements_, batch.placements);
  put(labels_, batch.labels);
}

void ImageFeed::transfer(Stream& stream) {
  for (const Mirrored* part : {&pixels_, &placements_, &labels_}) {
    backend_.copy(part->device.data(), part->host.data(), part->host.bytes(), stream);
  }
}

void ImageFeed::upload(const Batch& batch, Stream& stream) {
  stage(batch);
  transfer(stream);
}

}  // namespace kd
