// What a search varies: numbers of a configuration, by dotted names. A recipe's key "search" holds
// them: {"lr": {"from": 0.01, "to": 0.3, "scale": "log"}, "terms.kl.temperature": [1, 2, 4, 8]}.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kd {

// Names: "lr" (any numeric setting; one that stages have is set in all of them), "terms.kl.weight",
// "terms.kl.temperature" (the term's parameter, wherever the term is), and of one stage, from 0:
// "stages.1.lr", "stages.1.terms.kl.weight".
struct SearchDimension {
  enum class Scale : uint8_t { linear, log };
  std::string name;
  std::vector<double> choices = {};  // what is tried; empty: a range
  double from = 0, to = 0;
  Scale scale = Scale::linear;
};

}  // namespace kd
