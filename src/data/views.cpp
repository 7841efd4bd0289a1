#include "data/views.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "kd/random.h"

namespace kd {

JoinedDataset::Place JoinedDataset::place(int64_t index) const {
  size_t part = 0;
  while (index >= parts_[part]->size()) index -= parts_[part++]->size();
  return {*parts_[part], index};
}

int64_t JoinedDataset::size() const {
  int64_t sum = 0;
  for (const auto& part : parts_) sum += part->size();
  return sum;
}

int JoinedDataset::label(int64_t index) const {
  const Place at = place(index);
  return at.part.label(at.index);
}

std::string JoinedDataset::name(int64_t index) const {
  const Place at = place(index);
  return at.part.name(at.index);
}

Picture JoinedDataset::picture(int64_t index) const {
  const Place at = place(index);
  return at.part.picture(at.index);
}

Shares split_by_label(const std::vector<int>& labels, double share, uint64_t seed, uint32_t which) {
  std::map<int, std::vector<std::pair<uint32_t, int64_t>>> draws;  // of each label's samples
  for (size_t i = 0; i < labels.size(); ++i) {
    const uint32_t word = random_words(seed, Purpose::split, which, i, 0)[0];
    draws[labels[i]].emplace_back(word, static_cast<int64_t>(i));
  }
  Shares shares;
  for (auto& [label, samples] : draws) {
    std::ranges::sort(samples);
    const auto aside = std::lround(share * static_cast<double>(samples.size()));
    for (size_t k = 0; k < samples.size(); ++k) {
      (k < static_cast<size_t>(aside) ? shares.aside : shares.kept).push_back(samples[k].second);
    }
  }
  std::ranges::sort(shares.kept);
  std::ranges::sort(shares.aside);
  return shares;
}

}  // namespace kd
