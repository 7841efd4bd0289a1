// What the commands of kdbench share: options, clocks, and what a result says of its machine.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/json.h"
#include "kd/backend.h"

namespace kd::cli {

struct BenchOptions {
  std::string teacher, student, device = "cpu", output, save;
  int64_t batch = 16, threads = 0, rounds = 5;
  int64_t repeats = 0;  // 0: by the device
  bool serve = false, autotune = false;
  std::string precision = "auto", teacher_precision = "auto", pipeline = "auto";
  // kernels
  std::string filter, dtype;
  double seconds = 0.2, memory_gib = 0;  // of each kernel; 0: by the device
  int64_t image_batch = 0;               // pictures of 224 x 224; 0: by the device
  bool list = false;
  // loader
  std::string data;
  int64_t workers = 1, crop = 224, resize = 0, pad_crop = 0;
  double val_split = 0;
  bool random_resized_crop = false, evaluation = false, jpeg_scaling = false;
};

std::unique_ptr<Backend> open_engine(const BenchOptions& options);

// The engine, the CPU, the date, and versions: what every result begins with.
Json about_machine(const Backend& backend);

int bench_step(const BenchOptions& options);     // the parts of a step
int bench_nodes(const BenchOptions& options);    // the nodes of its programs
int bench_kernels(const BenchOptions& options);  // one node at a time
int bench_loader(const BenchOptions& options);   // pictures to batches, nothing behind

}  // namespace kd::cli
