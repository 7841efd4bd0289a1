// Who uses a value: what every pass asks.
#pragma once

#include <span>
#include <vector>

#include "kd/graph.h"

namespace kd {

class Uses {
 public:
  Uses(const Graph& graph, std::span<const Value> keep)
      : users_(static_cast<size_t>(graph.value_count())) {
    const auto& nodes = graph.nodes();
    for (size_t i = 0; i < nodes.size(); ++i) {
      for (const Value v : nodes[i].inputs)
        users_[static_cast<size_t>(v.id)].push_back(static_cast<int>(i));
    }
    for (const Value v : keep) users_[static_cast<size_t>(v.id)].push_back(-1);
  }
  // The one node that uses v, or -1 if there is none, several, or the outside too.
  int only(Value v) const {
    const auto& users = users_[static_cast<size_t>(v.id)];
    return users.size() == 1 ? users[0] : -1;
  }
  // Every node that uses v, once for each time; -1 stands for the outside.
  const std::vector<int>& all(Value v) const { return users_[static_cast<size_t>(v.id)]; }

 private:
  std::vector<std::vector<int>> users_;
};

}  // namespace kd
