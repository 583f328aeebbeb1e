// Faults of single heads gathered into one line a layer: "layer 3 heads 0-7: key layer 5 is later
// than its reader…". Used inside the module only.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace skipattn::routing {

/// Ascending indices in short form: {0, 1, 2, 5} -> "0-2, 5".
std::string format_indices(const std::vector<int>& indices);

/// Collects faults by layer and head; heads of a layer with the same fault share a line.
class HeadFaults {
 public:
  /// Heads of a layer in ascending order.
  void add(int layer, int head, const std::string& fault) { heads_[{layer, fault}].push_back(head); }
  /// One line per layer and fault, by layer.
  std::vector<std::string> lines() const;

 private:
  std::map<std::pair<int, std::string>, std::vector<int>> heads_;
};

}  // namespace skipattn::routing
