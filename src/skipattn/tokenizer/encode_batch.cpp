#include "skipattn/tokenizer/encode_batch.h"

#include <algorithm>

#include "skipattn/core/parallel.h"

namespace skipattn::tokenizer {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 19;  // long enough that the cost of a task is nothing

/// What one task encodes: a part of one document, or documents that are whole.
struct Piece {
  std::size_t document;   // the first one
  std::size_t documents;  // how many; 1 when it is a part
  TextPart text;          // the part
  std::vector<uint32_t> ids;
  bool is_part;
};

std::vector<Piece> cut_into_pieces(const Tokenizer& tokenizer, std::span<const TextPart> documents) {
  std::vector<Piece> pieces;
  std::size_t gathered = 0;  // bytes of the whole documents in the last piece
  for (std::size_t i = 0; i < documents.size(); ++i) {
    const std::string_view text = documents[i].text;
    if (text.size() >= 2 * kPieceBytes) {
      for (std::size_t begin = 0; begin < text.size();) {
        const std::size_t end = tokenizer.safe_cut(text, std::min(begin + kPieceBytes, text.size()));
        pieces.push_back({i, 1, {text.substr(begin, end - begin), documents[i].begins && begin == 0}, {}, true});
        begin = end;
      }
      continue;
    }
    if (pieces.empty() || pieces.back().is_part || gathered + text.size() > kPieceBytes) {
      pieces.push_back({i, 0, {}, {}, false});
      gathered = 0;
    }
    ++pieces.back().documents;
    gathered += text.size();
  }
  return pieces;
}

}  // namespace

std::vector<std::vector<uint32_t>> encode_batch(const Tokenizer& tokenizer, std::span<const std::string_view> documents,
                                                int threads) {
  std::vector<TextPart> parts;
  parts.reserve(documents.size());
  for (const std::string_view text : documents) parts.push_back({text, true});
  return encode_parts(tokenizer, parts, threads);
}

std::vector<std::vector<uint32_t>> encode_parts(const Tokenizer& tokenizer, std::span<const TextPart> documents,
                                                int threads) {
  std::vector<std::vector<uint32_t>> ids(documents.size());
  std::vector<Piece> pieces = cut_into_pieces(tokenizer, documents);
  parallel_tasks(pieces.size(), threads, [&](std::size_t i) {
    Piece& piece = pieces[i];
    if (piece.is_part) {
      tokenizer.encode(piece.text.text, piece.ids, piece.text.begins);
    } else {
      for (std::size_t d = piece.document; d < piece.document + piece.documents; ++d)
        tokenizer.encode(documents[d].text, ids[d], documents[d].begins);
    }
  });
  std::vector<std::size_t> sizes(documents.size());
  for (const Piece& piece : pieces)
    if (piece.is_part) sizes[piece.document] += piece.ids.size();
  for (Piece& piece : pieces) {
    if (!piece.is_part) continue;
    std::vector<uint32_t>& whole = ids[piece.document];
    whole.reserve(sizes[piece.document]);
    whole.insert(whole.end(), piece.ids.begin(), piece.ids.end());
    std::vector<uint32_t>().swap(piece.ids);
  }
  return ids;
}

}  // namespace skipattn::tokenizer
