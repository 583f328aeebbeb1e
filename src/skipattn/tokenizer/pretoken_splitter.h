// Cutting text into pre-tokens by the steps of a scheme: GPT-2's pattern by its own scanner, others by search.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "skipattn/tokenizer/pattern/plain_words.h"
#include "skipattn/tokenizer/pattern/split_pattern.h"
#include "skipattn/tokenizer/pretokens.h"
#include "skipattn/tokenizer/scheme.h"

namespace skipattn::tokenizer {

/// A SplitStep with its pattern compiled; none where GPT-2's scanner is meant.
struct CompiledStep {
  std::shared_ptr<const SplitPattern> pattern;
  bool drop_matches = false;
  bool drop_gaps = false;
  bool plain_words = false;  ///< plain_word() finds matches of it
};

/// Throws InputError as SplitPattern does.
std::vector<CompiledStep> compile_steps(const std::vector<SplitStep>& steps);

/// One thread's.
class PretokenSplitter {
 public:
  /// `steps` must outlive the splitter.
  explicit PretokenSplitter(std::span<const CompiledStep> steps) : steps_(steps) {
    for (const CompiledStep& step : steps)
      scanners_.push_back(step.pattern ? std::make_unique<PatternScanner>(*step.pattern) : nullptr);
  }

  /// Calls `use(piece)` for each piece of a text, in order; none is empty.
  template <typename Use>
  void split(std::string_view text, const Use& use) {
    split_from(0, text, use);
  }

 private:
  template <typename Use>
  void split_from(std::size_t step, std::string_view text, const Use& use) {
    if (step == steps_.size()) {
      use(text);
    } else if (scanners_[step]) {
      search(step, text, use);
    } else {
      PretokenScanner scanner(text);
      for (std::string_view piece; scanner.next(piece);) split_from(step + 1, piece, use);
    }
  }
  template <typename Use>
  void search(std::size_t step, std::string_view text, const Use& use) {
    const CompiledStep& how = steps_[step];
    const bool last = step + 1 == steps_.size();
    const auto hand_on = [&](std::size_t begin, std::size_t end, bool dropped) {
      if (begin == end || dropped) return;
      const std::string_view piece = text.substr(begin, end - begin);
      if (last) {
        use(piece);
      } else {
        split_from(step + 1, piece, use);
      }
    };
    PatternScanner& scanner = *scanners_[step];
    scanner.start(text);
    const char* const end = text.data() + text.size();
    std::size_t begin = 0;  // of what no match has reached
    for (PatternScanner::Match match;;) {
      if (how.plain_words)
        for (std::size_t bytes; begin < text.size() && (bytes = plain_word(text.data() + begin, end)) > 0;) {
          hand_on(begin, begin + bytes, how.drop_matches);
          scanner.pass_ascii(bytes);
          begin += bytes;
        }
      if (!scanner.next(match)) break;
      hand_on(begin, match.begin, how.drop_gaps);
      hand_on(match.begin, match.end, how.drop_matches);
      begin = match.end;
    }
    hand_on(begin, text.size(), how.drop_gaps);
  }

  std::span<const CompiledStep> steps_;
  std::vector<std::unique_ptr<PatternScanner>> scanners_;  // [step] null: GPT-2's
};

}  // namespace skipattn::tokenizer
