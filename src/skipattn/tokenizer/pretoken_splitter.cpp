#include "skipattn/tokenizer/pretoken_splitter.h"

namespace skipattn::tokenizer {

std::vector<CompiledStep> compile_steps(const std::vector<SplitStep>& steps) {
  std::vector<CompiledStep> compiled;
  for (const SplitStep& step : steps)
    compiled.push_back({step.pattern.empty() ? nullptr : std::make_shared<const SplitPattern>(step.pattern),
                        step.drop_matches, step.drop_gaps, takes_plain_words(step.pattern)});
  return compiled;
}

}  // namespace skipattn::tokenizer
