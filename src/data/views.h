// Data sets made of others: a part of one, several in a row; and which pictures a split takes.
#pragma once

#include "kd/data.h"

namespace kd {

// Some samples of a data set, in the order given.
class SubsetDataset final : public Dataset {
 public:
  SubsetDataset(std::shared_ptr<const Dataset> of, std::vector<int64_t> samples)
      : of_(std::move(of)), samples_(std::move(samples)) {}
  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }
  int label(int64_t index) const override { return of_->label(at(index)); }
  std::string name(int64_t index) const override { return of_->name(at(index)); }
  int channels() const override { return of_->channels(); }
  Picture picture(int64_t index) const override { return of_->picture(at(index)); }
  const std::vector<std::string>& class_names() const override { return of_->class_names(); }

 private:
  int64_t at(int64_t index) const { return samples_[static_cast<size_t>(index)]; }
  std::shared_ptr<const Dataset> of_;
  std::vector<int64_t> samples_;
};

// Several data sets one behind the other, one or more; the classes are the first one's.
class JoinedDataset final : public Dataset {
 public:
  explicit JoinedDataset(std::vector<std::shared_ptr<const Dataset>> parts)
      : parts_(std::move(parts)) {}
  int64_t size() const override;
  int label(int64_t index) const override;
  std::string name(int64_t index) const override;
  int channels() const override { return parts_[0]->channels(); }
  Picture picture(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return parts_[0]->class_names(); }

 private:
  struct Place {
    const Dataset& part;
    int64_t index;
  };
  Place place(int64_t index) const;
  std::vector<std::shared_ptr<const Dataset>> parts_;
};

// Samples kept and set aside, both in order.
struct Shares {
  std::vector<int64_t> kept, aside;
};
// Sets aside round(share x n) of the n samples of each label (-1 too), those with the lowest random
// words; `which` keeps the splits of one seed apart.
Shares split_by_label(const std::vector<int>& labels, double share, uint64_t seed, uint32_t which);

}  // namespace kd
