#include "distill/image_feed.h"

#include <cstring>

#include "kd/error.h"
#include "kd/ops.h"

namespace kd {

ImageFeed::Mirrored ImageFeed::mirrored(const TensorDesc& desc) {
  return {Tensor(desc, backend_.allocate(desc.bytes(), Memory::pinned_host)),
          Tensor(desc, backend_.allocate(desc.bytes(), Memory::device))};
}

ImageFeed::ImageFeed(Backend& backend, const std::vector<Target>& targets) : backend_(backend) {
  const Preprocess& p = targets.at(0).preprocess;
  const int64_t batch = targets[0].images.shape()[0];
  pixels_ = mirrored({DType::u8, {batch, p.crop_height, p.crop_width, p.channels()}});
  placements_ = mirrored({DType::i32, {batch, 3}});
  labels_ = mirrored({DType::i32, {batch}});
  ids_ = mirrored({DType::i32, {batch}});
  for (const Target& target : targets) add_target(target);
}

void ImageFeed::add_target(const Target& target) {
  const Tensor host = pixel_table(target.preprocess);
  const Tensor table(host.desc(), backend_.allocate(host.bytes(), Memory::device));
  const auto stream = backend_.stream(Priority::normal);
  backend_.copy(table.data(), host.data(), host.bytes(), *stream);
  backend_.synchronize(*stream);
  Graph graph;
  const Value pixels = graph.input("pixels", pixels_.device.desc());
  const Value placements = graph.input("placements", placements_.device.desc());
  const Value values = graph.input("table", table.desc());
  const Shape& shape = target.images.shape();
  const ImagesAttrs attrs{{static_cast<int>(shape[1]), static_cast<int>(shape[2])},
                          static_cast<int>(shape[3]),
                          target.images.desc().dtype};
  const Value images = place_images(graph, pixels, placements, values, attrs, "input");
  CompileOptions options;
  options.bindings = {{pixels, pixels_.device},
                      {placements, placements_.device},
                      {values, table},
                      {images, target.images}};
  programs_.push_back(compile(std::move(graph), backend_, options));
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
  auto* ids = ids_.host.as<int32_t>();
  for (int64_t i = 0; i < ids_.host.elements(); ++i) {
    const auto at = static_cast<size_t>(i);
    ids[i] = at < batch.ids.size() ? static_cast<int32_t>(batch.ids[at]) : 0;
  }
}

void ImageFeed::transfer(Stream& stream) {
  for (const Mirrored* part : {&pixels_, &placements_, &labels_, &ids_}) {
    backend_.copy(part->device.data(), part->host.data(), part->host.bytes(), stream);
  }
}

void ImageFeed::upload(const Batch& batch, Stream& stream) {
  stage(batch);
  transfer(stream);
}

}  // namespace kd
