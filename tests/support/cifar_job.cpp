#include "support/cifar_job.h"

#include <unistd.h>

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

std::optional<CifarFolder> cifar_folder() {
  namespace fs = std::filesystem;
  const auto real = real_data();
  if (!real || !fs::exists(*real / "cifar10.tar.gz")) return std::nullopt;
  const fs::path folder = fs::path(KD_BIN_DIR).parent_path() / "some_cifar10";
  const CifarFolder made{folder, folder / "resnet56.bin"};
  if (fs::exists(folder)) return made;
  const fs::path fresh = folder.string() + "." + std::to_string(::getpid());
  fs::create_directories(fresh);
  if (!unpack_some(*real / "cifar10.tar.gz", fresh)) return std::nullopt;
  ImportOptions options;
  options.mean = {{0.485, 0.456, 0.406}};
  options.std = {{0.229, 0.224, 0.225}};
  save_model(import_onnx(*real / "teachers" / "cifar10_resnet56.onnx", options),
             fresh / "resnet56.bin");
  std::error_code another_was_first;
  fs::rename(fresh, folder, another_was_first);
  if (another_was_first) fs::remove_all(fresh);
  return made;
}

std::optional<ParityJob> cifar_job(int64_t batch, int64_t steps) {
  const auto real = cifar_folder();
  if (!real) return std::nullopt;
  ParityJob job;
  job.teacher = load_model(real->teacher);
  const DataSplits splits = open_data(real->data, {});
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
