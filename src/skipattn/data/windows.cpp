#include "skipattn/data/windows.h"

#include <algorithm>

#include "skipattn/core/errors.h"
#include "skipattn/core/text.h"

namespace skipattn::data {

Packing parse_packing(const std::string& text) {
  if (text == "stream") return Packing::kStream;
  if (text == "documents") return Packing::kDocuments;
  throw InputError("packing must be \"stream\" or \"documents\", it is \"{}\"{}", text,
                   did_you_mean(text, {"stream", "documents"}));
}

Windows::Windows(const TokenFiles& corpus, const WindowOptions& options) : corpus_(corpus), options_(options) {
  if (options_.context < 1) throw InputError("context must be 1 or more, it is {}", options_.context);
  if (options_.stride < 0) throw InputError("stride must be 1 or more, it is {}", options_.stride);
  if (options_.stride == 0) options_.stride = options_.context;
  const bool selects = options_.packing == Packing::kDocuments || options_.min_document_tokens > 1;
  if (selects && !corpus_.documents_known())
    throw InputError("{} does not say where documents begin: set end_of_text to the token that ends them",
                     corpus_.description());
  if (selects) {
    keep_documents();
  } else {
    runs_.push_back({0, 0});
    count_ = windows_in(corpus_.tokens());
    if (count_ == 0) fail(corpus_.tokens());
  }
}

uint64_t Windows::windows_in(uint64_t tokens) const {
  const auto needed = static_cast<uint64_t>(options_.context) + 1;
  return tokens < needed ? 0 : (tokens - needed) / static_cast<uint64_t>(options_.stride) + 1;
}

void Windows::keep_documents() {
  const uint64_t documents = corpus_.documents();
  uint64_t kept_tokens = 0;
  uint64_t run_end = 0;
  for (uint64_t i = 0, begin = 0; i < documents; ++i) {
    const uint64_t end = corpus_.document_start(i + 1);
    const uint64_t tokens = end - begin;
    const bool kept = tokens >= static_cast<uint64_t>(std::max<int64_t>(0, options_.min_document_tokens));
    if (kept && options_.packing == Packing::kStream) {
      if (runs_.empty() || begin != run_end) runs_.push_back({kept_tokens, begin});
      run_end = end;
    } else if (kept && windows_in(tokens) > 0) {
      runs_.push_back({count_, begin});
      count_ += windows_in(tokens);
    }
    if (kept) kept_tokens += tokens;
    begin = end;
  }
  if (options_.packing == Packing::kStream) count_ = windows_in(kept_tokens);
  if (count_ == 0) fail(kept_tokens);
}

void Windows::fail(uint64_t kept_tokens) const {
  const int64_t needed = options_.context + 1;
  if (options_.packing == Packing::kStream && options_.min_document_tokens <= 1)
    throw InputError("a context of {} needs {} tokens, {} holds {}", options_.context, needed, corpus_.description(),
                     kept_tokens);
  uint64_t longest = 0;
  for (uint64_t i = 0; i < corpus_.documents(); ++i)
    longest = std::max(longest, corpus_.document_start(i + 1) - corpus_.document_start(i));
  if (options_.packing == Packing::kStream)
    throw InputError(
        "a context of {} needs {} tokens, the documents of {} with min_document_tokens = {} hold "
        "{}; the longest "
        "document has {}",
        options_.context, needed, corpus_.description(), options_.min_document_tokens, kept_tokens, longest);
  throw InputError(
      "no document of {} has the {} tokens that packing = \"documents\" needs here: the longest "
      "has {}",
      corpus_.description(), std::max(needed, options_.min_document_tokens), longest);
}

void Windows::pieces(uint64_t index, std::vector<Piece>& out) const {
  const auto stride = static_cast<uint64_t>(options_.stride);
  uint64_t wanted = static_cast<uint64_t>(options_.context) + 1;
  const bool stream = options_.packing == Packing::kStream;
  uint64_t place = stream ? index * stride : index;  // in the unit of the runs' keys
  auto run =
      std::upper_bound(runs_.begin(), runs_.end(), place, [](uint64_t value, const Run& r) { return value < r.key; });
  --run;
  out.clear();
  if (!stream) {
    out.push_back({run->begin + (place - run->key) * stride, wanted});
    return;
  }
  while (wanted > 0) {
    const auto next = run + 1;
    const uint64_t here = next == runs_.end() ? wanted : std::min(wanted, next->key - place);
    out.push_back({run->begin + (place - run->key), here});
    place += here;
    wanted -= here;
    run = next;
  }
}

}  // namespace skipattn::data
