// The text of one choice, made while its tokens arrive: whole characters, up to the first stop string, with the
// log-probabilities of the tokens that the text is of.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "skipattn/inference/stop_strings.h"
#include "skipattn/inference/utf8_stream.h"
#include "skipattn/serving/completion_request.h"
#include "skipattn/serving/served_model.h"
#include "skipattn/serving/token_report.h"
#include "skipattn/tokenizer/stream_decoder.h"

namespace skipattn::serving {

/// A token as clients see it.
struct LogprobEntry {
  std::string token;                                      ///< token_name()
  std::optional<double> log_probability;                  ///< none for a text's first token
  std::vector<std::pair<std::string, double>> likeliest;  ///< the token itself is among them; no name twice
  int64_t offset = 0;                                     ///< characters (code points) of the text before it
};

/// A token's text; "bytes:\xe2\x82" for one that is not UTF-8 by itself; its id in digits without a tokenizer.
std::string token_name(const ServedModel& model, uint32_t token);

class ChoiceText {
 public:
  /// What can be passed on now.
  struct Piece {
    std::string text;
    std::vector<LogprobEntry> entries;  ///< empty unless log-probabilities were asked for
  };

  /// Both must outlive it. With echo the prompt's text comes first; with log-probabilities too, its tokens have to be pushed
  /// like those that follow, else the text is made from the prompt's ids.
  ChoiceText(const ServedModel& model, const CompletionRequest& request, const Prompt& prompt);

  Piece push(const TokenReport& report);
  /// The text has ended: what was held back.
  Piece finish();

  /// A stop string came.
  bool stopped() const { return stop_.stopped(); }
  int64_t new_tokens() const { return new_tokens_; }

 private:
  std::string bytes_of(uint32_t token, bool of_prompt);
  LogprobEntry entry_for(const TokenReport& report) const;
  void release_entries(Piece& piece, bool all);

  const ServedModel& model_;
  const CompletionRequest& request_;
  const Prompt& prompt_;
  std::optional<tokenizer::StreamDecoder> decoder_;
  inference::Utf8Stream characters_;
  inference::StopStrings stop_;
  std::string echo_;                  // to be passed on first
  std::deque<LogprobEntry> waiting_;  // entries of text that is held back
  size_t prompt_seen_ = 0;            // prompt tokens decoded
  int64_t new_tokens_ = 0;
  int64_t decoded_ = 0, passed_ = 0;  // characters
  bool first_ = true;
};

}  // namespace skipattn::serving
