#include "skipattn/serving/choice_text.h"

#include <fmt/format.h>

#include <algorithm>

namespace skipattn::serving {

namespace {

int64_t characters_in(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return (static_cast<uint8_t>(byte) & 0xC0) != 0x80; });
}

}  // namespace

std::string token_name(const ServedModel& model, uint32_t token) {
  if (!model.tokenizer) return std::to_string(token);
  if (static_cast<int64_t>(token) >= model.tokenizer->vocab_size()) return fmt::format("token:{}", token);
  const std::string& bytes = model.tokenizer->token(token);
  inference::Utf8Stream stream;
  if (const std::string text = stream.push(bytes); text + stream.finish() == bytes) return bytes;
  std::string name = "bytes:";
  for (const char byte : bytes) name += fmt::format("\\x{:02x}", static_cast<uint8_t>(byte));
  return name;
}

ChoiceText::ChoiceText(const ServedModel& model, const CompletionRequest& request, const Prompt& prompt)
    : model_(model), request_(request), prompt_(prompt), stop_(request.stop) {
  if (model.tokenizer) decoder_.emplace(*model.tokenizer, /*begins=*/request.echo);
  if (!request.echo || request.logprobs >= 0) return;
  for (const uint32_t id : prompt.ids) echo_ += characters_.push(bytes_of(id, /*of_prompt=*/true));
}

/// What the token adds to the text.
std::string ChoiceText::bytes_of(uint32_t token, bool of_prompt) {
  if (of_prompt && prompt_seen_++ < prompt_.hidden) return "";
  if (!of_prompt && static_cast<int64_t>(token) == model_.end_of_text) return "";
  const bool first = std::exchange(first_, false);
  if (decoder_) return std::string(decoder_->push(token));
  return fmt::format("{}{}", first ? "" : " ", token);
}

LogprobEntry ChoiceText::entry_for(const TokenReport& report) const {
  LogprobEntry entry{token_name(model_, report.token), report.log_probability, {}, decoded_};
  const auto add = [&](uint32_t token, double log_probability) {
    const std::string name = token_name(model_, token);
    const auto same = [&](const auto& item) { return item.first == name; };
    if (std::none_of(entry.likeliest.begin(), entry.likeliest.end(), same))
      entry.likeliest.emplace_back(name, log_probability);
  };
  for (const RatedToken& rated : report.likeliest) add(rated.token, rated.log_probability);
  if (report.log_probability) add(report.token, *report.log_probability);
  return entry;
}

/// Entries whose characters have been passed on; all of them when the text ends by itself.
void ChoiceText::release_entries(Piece& piece, bool all) {
  while (!waiting_.empty() && (all || waiting_.front().offset < passed_)) {
    piece.entries.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
}

ChoiceText::Piece ChoiceText::push(const TokenReport& report) {
  if (request_.logprobs >= 0) waiting_.push_back(entry_for(report));
  if (!report.of_prompt) ++new_tokens_;
  Piece piece{std::exchange(echo_, ""), {}};
  const std::string decoded = characters_.push(bytes_of(report.token, report.of_prompt));
  const std::string passed = report.of_prompt ? decoded : stop_.push(decoded);
  decoded_ += characters_in(decoded);
  passed_ += characters_in(passed);
  piece.text += passed;
  release_entries(piece, decoded_ == passed_);
  return piece;
}

ChoiceText::Piece ChoiceText::finish() {
  Piece piece{std::exchange(echo_, ""), {}};
  std::string rest = stop_.push(characters_.finish());
  rest += stop_.finish();
  passed_ += characters_in(rest);
  piece.text += rest;
  release_entries(piece, !stop_.stopped());
  return piece;
}

}  // namespace skipattn::serving
