// Worker threads fill a ring of batches; next() hands them out in order, whatever the workers do.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "kd/data.h"
#include "kd/error.h"
#include "kd/random.h"

namespace kd {
namespace {

struct Slot {
  Batch batch;
  int64_t number = -1;  // of the batch it holds or will hold
  bool ready = false;
};

}  // namespace

struct Loader::Impl {
  std::shared_ptr<const Dataset> data;
  LoaderOptions options;
  std::vector<int64_t> order;
  std::vector<Slot> ring;
  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable changed;
  int64_t epoch = 0, claimed = 0, handed_out = 0;  // batches of this pass
  bool stop = false;
  std::exception_ptr error;
  double waited = 0;
  int64_t bad = 0;

  Impl(std::shared_ptr<const Dataset> d, LoaderOptions o)
      : data(std::move(d)), options(std::move(o)) {
    KD_CHECK(data->size() > 0, "the data set is empty");
    KD_CHECK(options.batch >= 1 && options.workers >= 1 && options.prefetch >= 1,
             "batch size, workers and prefetch must be 1 or more");
    KD_CHECK(!shuffled() || data->size() >= options.batch,
             "{} training pictures do not fill one batch of {}", data->size(), options.batch);
    const Augment& a = options.augment;
    KD_CHECK(a.rand_augment >= 0 && a.rand_augment_magnitude >= 0 && a.rand_augment_magnitude <= 30,
             "RandAugment of {} operations at magnitude {}: magnitudes are 0 to 30", a.rand_augment,
             a.rand_augment_magnitude);
    KD_CHECK(a.mixup >= 0 && a.cutmix >= 0, "mixup {} and cutmix {} must not be negative", a.mixup,
             a.cutmix);
    ring.resize(static_cast<size_t>(options.prefetch) + 1);  // one is in the caller's hands
    for (Slot& slot : ring) slot.batch = make_batch(options.preprocess, options.batch);
  }

  int64_t batches() const {
    const int64_t size = data->size(), batch = options.batch;
    return shuffled() ? size / batch : (size + batch - 1) / batch;
  }
  bool shuffled() const { return options.training && !options.in_order; }
  int64_t view() const { return options.views > 0 ? epoch % options.views : epoch; }

  void shuffle() {
    order.resize(static_cast<size_t>(data->size()));
    std::iota(order.begin(), order.end(), int64_t{0});
    if (!shuffled()) return;
    RandomSequence random(options.seed, Purpose::shuffle, static_cast<uint32_t>(epoch), 0);
    for (size_t i = order.size(); i > 1; --i) {
      std::swap(order[i - 1], order[random.below(static_cast<uint32_t>(i))]);
    }
  }

  void join() {
    {
      const std::lock_guard lock(mutex);
      stop = true;
    }
    changed.notify_all();
    for (std::thread& worker : workers) worker.join();
    workers.clear();
  }

  void begin(int64_t new_epoch, int64_t first) {
    join();
    stop = false;
    error = nullptr;
    epoch = new_epoch;
    claimed = handed_out = first;
    shuffle();
    for (Slot& slot : ring) slot.ready = false;
    for (int i = 0; i < options.workers; ++i) workers.emplace_back([this] { work(); });
  }

  // Places in the ring go by number, so a batch never waits for one that comes after it.
  Slot& slot_of(int64_t number) { return ring[static_cast<size_t>(number) % ring.size()]; }

  void work() {
    for (;;) {
      int64_t number = 0;
      {
        std::unique_lock lock(mutex);
        // The batch handed out last is still being read: its slot comes free with the next call.
        const auto room = [&] {
          return claimed - handed_out < static_cast<int64_t>(ring.size()) - 1;
        };
        changed.wait(lock, [&] { return stop || error || claimed >= batches() || room(); });
        if (stop || error || claimed >= batches()) return;
        number = claimed++;
      }
      Slot& slot = slot_of(number);
      try {
        fill(slot.batch, number);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
      }
      {
        const std::lock_guard lock(mutex);
        slot.number = number;
        slot.ready = true;
      }
      changed.notify_all();
    }
  }

  void fill(Batch& batch, int64_t number) {
    const int64_t begin = number * options.batch;
    batch.count = std::min(options.batch, data->size() - begin);
    if (options.training) draw_mixing(options.augment, options.seed, epoch, number, batch);
    for (int64_t i = 0; i < options.batch; ++i) {
      const int64_t place = begin + std::min(i, batch.count - 1);
      const int64_t id = read_readable(place, batch, i);
      batch.ids[static_cast<size_t>(i)] = std::max<int64_t>(id, 0);
      batch.labels.as<int32_t>()[i] = i < batch.count && id >= 0 ? data->label(id) : -1;
    }
  }

  // Prepares the sample at `place` of the order. An unreadable one is replaced in training by the
  // next readable one of the order, and left out (-1, zeros) in evaluation.
  int64_t read_readable(int64_t place, Batch& batch, int64_t row) {
    for (int64_t step = 0; step < data->size(); ++step) {
      const int64_t id = order[static_cast<size_t>((place + step) % data->size())];
      try {
        const Image image = data->image(id);
        put(options.training ? stage_augmented(image, options.preprocess, options.augment,
                                               options.seed, view(), id)
                             : stage_image(image, options.preprocess),
            batch, row);
        return id;
      } catch (const Error& bad_image) {
        report(bad_image);
        if (!options.training) break;
      }
    }
    const Preprocess& p = options.preprocess;
    StagedImage black{{p.crop_height, p.crop_width, p.channels(), {}}, {}};
    black.image.pixels.assign(static_cast<size_t>(batch.pixels.elements() / options.batch), 0);
    put(black, batch, row);
    return -1;
  }

  void put(const StagedImage& made, Batch& batch, int64_t row) const {
    const auto each = static_cast<int64_t>(made.image.pixels.size());
    KD_CHECK(each == batch.pixels.elements() / options.batch,
             "a picture has {} channels, the network takes {}", made.image.channels,
             options.preprocess.channels());
    std::ranges::copy(made.image.pixels, batch.pixels.as<uint8_t>() + row * each);
    int32_t* place = batch.placements.as<int32_t>() + row * 3;
    place[0] = made.place.top;
    place[1] = made.place.left;
    place[2] = made.place.mirrored ? 1 : 0;
  }

  void report(const Error& bad_image) {
    const std::lock_guard lock(mutex);
    const bool seen = std::ranges::find(named, bad_image.what()) != named.end();
    if (seen) return;
    named.emplace_back(bad_image.what());
    ++bad;
    if (options.warn) options.warn(bad_image.what());
    if (bad > options.max_bad_images) {
      fail(ErrorCode::input, "{} unreadable pictures, {} allowed (--max-bad-images); the last: {}",
           bad, options.max_bad_images, bad_image.what());
    }
  }
  std::vector<std::string> named;  // messages already given

  const Batch* next() {
    const auto start = std::chrono::steady_clock::now();
    std::unique_lock lock(mutex);
    if (handed_out >= batches()) return nullptr;
    Slot& slot = slot_of(handed_out);
    changed.wait(lock, [&] { return error || (slot.ready && slot.number == handed_out); });
    waited += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (error) std::rethrow_exception(error);
    slot.ready = false;
    ++handed_out;
    lock.unlock();
    changed.notify_all();
    return &slot.batch;
  }
};

Loader::Loader(std::shared_ptr<const Dataset> data, LoaderOptions options)
    : impl_(std::make_unique<Impl>(std::move(data), std::move(options))) {}
Loader::~Loader() { impl_->join(); }
int64_t Loader::batches() const { return impl_->batches(); }
Shape Loader::pixels() const { return impl_->ring.front().batch.pixels.shape(); }
void Loader::start(int64_t epoch, int64_t first) { impl_->begin(epoch, first); }
const Batch* Loader::next() { return impl_->next(); }
double Loader::wait_seconds() const { return impl_->waited; }
int64_t Loader::bad_images() const { return impl_->bad; }

}  // namespace kd
