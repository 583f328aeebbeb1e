// Documents out of whatever people keep text in, one after another, in bounded memory:
//   a text file    one document
//   a JSONL file   one document a line, the value of one key; lines end at \n only
//   a folder       all its files, below it too, in name order; hidden ones are passed over, and
//                  binary ones (with NUL bytes)
//   "-"            standard input: JSONL when its first line is a JSON object with that key,
//                  else one text
// each of them plain or packed with gzip, zstd or xz. JSONL is told by the name: .jsonl or .ndjson,
// before .gz, .zst, .xz.
//
//   DocumentReader reader({"books/", "more.jsonl.xz"});
//   for (DocumentPiece piece; reader.next(piece);) …
//
// A long text comes in pieces of some megabytes, cut where tokenization is not changed by it (safe_cut() of the
// tokenizer); a JSONL line is held whole.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "skipattn/io/compressed_stream.h"

namespace skipattn::data {

struct DocumentReaderOptions {
  std::string text_key = "text";                ///< which value of a JSONL line is the text
  std::vector<std::string> include;             ///< in folders, only names that match one of these globs; empty: all
  uint64_t piece_bytes = 4 << 20;               ///< a text longer than this comes in pieces of about this size
  uint64_t max_piece_bytes = 64 << 20;          ///< cut at any character when no harmless place comes before this
  uint64_t max_line_bytes = uint64_t{1} << 30;  ///< the longest JSONL line that is held
  /// The first harmless place to cut a text at or after a position, its size when there is none (Tokenizer::safe_cut());
  /// empty: GPT-2's (tokenizer/pretokens.h).
  std::function<std::size_t(std::string_view text, std::size_t position)> safe_cut = {};
};

/// A document, or a part of a long one.
struct DocumentPiece {
  std::string text;
  bool begins = true;  ///< the first piece of its document
  bool ends = true;    ///< the last one
};

/// True for x.jsonl and x.ndjson, packed ones too.
bool named_jsonl(std::filesystem::path path);

class DocumentReader {
 public:
  /// Lists the inputs. Throws InputError naming every path that is not there, is a folder without
  /// files to read, or is "-" a second time.
  explicit DocumentReader(const std::vector<std::string>& inputs, const DocumentReaderOptions& options = {});
  ~DocumentReader();

  /// The next piece; false at the end. Empty documents are passed over. Throws InputError naming
  /// the file (and line): a line that is not JSON or lacks the key, a packed file cut short, a
  /// named file that is binary.
  bool next(DocumentPiece& piece);

  /// Files opened so far, without the binary ones passed over.
  uint64_t files() const { return files_; }
  /// Bytes of the files read so far, as they lie on the disk, and of all of them (0: unknown,
  /// standard input).
  uint64_t file_bytes_read() const;
  uint64_t file_bytes_total() const { return total_bytes_; }

 private:
  struct Input {
    std::filesystem::path path;
    bool named = true;  // by the user, not found in a folder
  };

  void list(const std::string& input);
  bool open_next();
  bool next_line(DocumentPiece& piece);
  bool next_text(DocumentPiece& piece);
  std::string parse_line(std::string_view line) const;
  bool looks_like_jsonl() const;
  /// Reads until `pending_` holds `bytes` or the input ends; false when it has ended.
  bool fill(uint64_t bytes);
  std::string location() const;

  DocumentReaderOptions options_;
  std::vector<Input> inputs_;
  size_t next_input_ = 0;
  uint64_t files_ = 0;
  uint64_t closed_bytes_ = 0;
  uint64_t total_bytes_ = 0;

  // The input at hand.
  std::unique_ptr<io::InputStream> stream_;
  std::filesystem::path path_;
  bool jsonl_ = false;
  bool inside_document_ = false;
  uint64_t line_ = 0;
  std::string pending_;  // read and not yet handed out, from begin_ on
  size_t begin_ = 0;
  bool at_end_ = false;
};

}  // namespace skipattn::data
