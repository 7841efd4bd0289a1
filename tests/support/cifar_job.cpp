#include "support/cifar_job.h"

#include <cstdlib>

#include "io/onnx/import.h"
#include "support/support.h"

namespace kd::test {
namespace {

// Some pictures of each class out of the archive: enough for a few batches.
bool unpack_some(const std::filesystem::path& archive, const std::filesystem::path& to) {
  const std::string command = "tar -xzf '" + archive.string() + "' -C '" + to.string() +
                              "' --wildcards 'train/*_s_00000*' 'val/*_s_00000*'";
  return std::system(command.c_str()) == 0;
}

}  // namespace

std::optional<ParityJob> cifar_job(int64_t batch, int64_t steps) {
  const auto data = real_data();
  if (!data || !std::filesystem::exists(*data / "cifar10.tar.gz")) return std::nullopt;
  const TemporaryFolder folder;
  if (!unpack_some(*data / "cifar10.tar.gz", folder.path())) return std::nullopt;
  ParityJob job;
  ImportOptions options;
  options.preprocess.mean = {0.485, 0.456, 0.406};
  options.preprocess.std = {0.229, 0.224, 0.225};
  job.teacher = import_onnx(*data / "teachers" / "cifar10_resnet56.onnx", options);
  const DataSplits splits = open_data(folder.path(), {});
  job.student = build_model(std::filesystem::path(KD_SOURCE_DIR) / "models/cifar_resnet20.json",
                            static_cast<int64_t>(splits.train->class_names().size()), 0);
  job.student.preprocess = job.teacher.preprocess;
  job.config.batch_size = batch;
  job.config.teacher = {"given"};
  job.config.loss = "ce=0.1,kl=0.9";
  job.rates = {0.004f};  // where the one-cycle schedule of the job begins
  LoaderOptions loading;
  loading.batch = batch;
  loading.preprocess = job.student.preprocess;
  loading.augment.pad_crop = 4;
  loading.augment.flip = 0.5;
  loading.training = true;
  Loader loader(splits.train, loading);
  for (int64_t epoch = 0; static_cast<int64_t>(job.batches.size()) < steps; ++epoch) {
    loader.start(epoch);
    while (const Batch* given = loader.next()) {
      if (static_cast<int64_t>(job.batches.size()) == steps) break;
      Batch copy = *given;  // its tensors are the loader's: copy them
      for (Tensor* tensor : {&copy.pixels, &copy.placements, &copy.labels}) {
        const Tensor own = Tensor::host(tensor->desc());
        std::copy_n(tensor->as<std::byte>(), tensor->bytes(), own.as<std::byte>());
        *tensor = own;
      }
      job.batches.push_back(std::move(copy));
    }
  }
  return job;
}

}  // namespace kd::test
