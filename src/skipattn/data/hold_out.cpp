#include "skipattn/data/hold_out.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <filesystem>
#include <vector>

namespace skipattn::data {

namespace {

/// Bytes of the text when the corpus is one file of text (not JSONL, not a folder, not standard input).
std::optional<uint64_t> single_text_bytes(const std::vector<std::string>& inputs) {
  if (inputs.size() != 1 || !std::filesystem::is_regular_file(inputs[0]) || named_jsonl(inputs[0])) return std::nullopt;
  const auto input = io::open_input(inputs[0]);
  std::vector<char> buffer(1 << 20);
  uint64_t bytes = 0;
  while (const size_t count = input->read(buffer)) bytes += count;
  return bytes;
}

}  // namespace

bool held_out(std::string_view text, uint64_t seed, double fraction) {
  const uint64_t hash = ::XXH3_64bits_withSeed(text.data(), text.size(), seed);
  return static_cast<double>(hash >> 11) * 0x1.0p-53 < fraction;
}

HoldOut::HoldOut(const std::vector<std::string>& inputs, uint64_t seed, double fraction)
    : seed_(seed), fraction_(fraction) {
  if (fraction <= 0) return;
  if (const auto bytes = single_text_bytes(inputs))
    tail_ = static_cast<uint64_t>(static_cast<double>(*bytes) * (1.0 - fraction));
}

std::vector<PlacedPiece> HoldOut::place(DocumentPiece piece) {
  if (tail_) return place_by_offset(std::move(piece));
  if (piece.begins) held_ = fraction_ > 0 && held_out(piece.text, seed_, fraction_);
  std::vector<PlacedPiece> placed;
  placed.push_back({std::move(piece), held_});
  return placed;
}

std::vector<PlacedPiece> HoldOut::place_by_offset(DocumentPiece piece) {
  const uint64_t begin = offset_;
  offset_ += piece.text.size();
  std::vector<PlacedPiece> placed;
  if (held_) {
    piece.begins = !tail_begun_;
    tail_begun_ = true;
    placed.push_back({std::move(piece), true});
    return placed;
  }
  if (offset_ <= *tail_) {
    placed.push_back({std::move(piece), false});
    return placed;
  }
  const size_t line_end = piece.text.find('\n', *tail_ > begin ? *tail_ - begin : 0);
  const size_t cut = line_end == std::string::npos ? piece.text.size() : line_end + 1;
  DocumentPiece rest{piece.text.substr(cut), true, piece.ends};
  held_ = true;
  tail_begun_ = !rest.text.empty();
  piece.text.resize(cut);
  piece.ends = true;
  placed.push_back({std::move(piece), false});
  if (tail_begun_) placed.push_back({std::move(rest), true});
  return placed;
}

}  // namespace skipattn::data
