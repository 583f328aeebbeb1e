// Which text goes to the held-out file: whole documents, or, of a corpus that is one text file, its end.
//
//   HoldOut hold_out(inputs, seed, 0.1);
//   for (DocumentPiece piece; reader.next(piece);)
//     for (PlacedPiece& part : hold_out.place(std::move(piece))) (part.held_out ? val : train).add(part.piece);
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/data/document_reader.h"

namespace skipattn::data {

/// Whether a document goes to the held-out file: decided by a hash of its text and the seed, so that it does not depend
/// on the names, the order or the number of the other documents, and equal documents never land on both sides. Of a
/// document that comes in pieces, the first piece decides.
bool held_out(std::string_view text, uint64_t seed, double fraction);

struct PlacedPiece {
  DocumentPiece piece;
  bool held_out = false;
};

class HoldOut {
 public:
  /// `inputs` as DocumentReader takes them. A single text file is read once to learn its size; its last `fraction`, from
  /// the beginning of a line on, is held out as a document of its own. fraction 0: nothing is held out.
  HoldOut(const std::vector<std::string>& inputs, uint64_t seed, double fraction);

  /// The piece with its place, or its two parts where the held-out end begins inside it. Pieces come in order.
  std::vector<PlacedPiece> place(DocumentPiece piece);

 private:
  std::vector<PlacedPiece> place_by_offset(DocumentPiece piece);

  uint64_t seed_;
  double fraction_;
  std::optional<uint64_t> tail_;  // byte of the one text from which on it is held out
  uint64_t offset_ = 0;           // bytes that came so far
  bool held_ = false;             // where the document (or the tail) at hand goes
  bool tail_begun_ = false;       // the held-out end has had its first piece
};

}  // namespace skipattn::data
