#include "skipattn/routing/head_faults.h"

#include <fmt/format.h>

#include <algorithm>

namespace skipattn::routing {

std::string format_indices(const std::vector<int>& indices) {
  std::string text;
  for (size_t first = 0, next = 0; first < indices.size(); first = next) {
    next = first + 1;
    while (next < indices.size() && indices[next] == indices[next - 1] + 1) ++next;
    if (!text.empty()) text += ", ";
    text += std::to_string(indices[first]);
    if (next - first > 1) text += fmt::format("-{}", indices[next - 1]);
  }
  return text;
}

std::vector<std::string> HeadFaults::lines() const {
  std::vector<std::string> lines;
  for (const auto& [place, heads] : heads_) {
    std::vector<int> unique = heads;
    unique.erase(std::unique(unique.begin(), unique.end()), unique.end());
    lines.push_back(fmt::format("layer {} {} {}: {}", place.first, unique.size() == 1 ? "head" : "heads",
                                format_indices(unique), place.second));
  }
  return lines;
}

}  // namespace skipattn::routing
