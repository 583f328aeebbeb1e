#include "skipattn/tokenizer/pretoken_counter.h"

#include <algorithm>

#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::tokenizer {

void PretokenCounter::add(std::string_view text) {
  bytes_ += text.size();
  PretokenScanner scanner(text);
  for (std::string_view pretoken; scanner.next(pretoken);)
    for (std::size_t i = 0; i < pretoken.size(); i += kLongest) count(pretoken.substr(i, kLongest), 1);
}

void PretokenCounter::merge(const PretokenCounter& other) {
  bytes_ += other.bytes_;
  for (const auto& [pretoken, times] : other.sorted()) count(pretoken, times);
}

std::vector<std::pair<std::string_view, uint64_t>> PretokenCounter::sorted() const {
  std::vector<std::pair<std::string_view, uint64_t>> items(counts_.begin(), counts_.end());
  std::sort(items.begin(), items.end());
  return items;
}

void PretokenCounter::count(std::string_view pretoken, uint64_t times) {
  if (const auto found = counts_.find(pretoken); found != counts_.end()) {
    found->second += times;
    return;
  }
  if (counts_.size() >= max_entries_) forget_the_rarest();
  counts_.emplace(pretoken, times);
}

void PretokenCounter::forget_the_rarest() {
  for (uint64_t rare = 1; counts_.size() > max_entries_ / 2; ++rare)
    std::erase_if(counts_, [&](const auto& item) { return item.second <= rare; });
}

}  // namespace skipattn::tokenizer
