#include "skipattn/data/document_reader.h"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "skipattn/core/errors.h"
#include "skipattn/io/json_file.h"
#include "skipattn/tokenizer/pretokens.h"

namespace skipattn::data {

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kProbeBytes = 64 << 10;  // how much of a file is looked at to tell text from binary
constexpr uint64_t kReadBytes = 1 << 20;

bool hidden(const fs::path& path) {
  return path.filename().string().starts_with('.');
}

}  // namespace

bool named_jsonl(fs::path path) {
  for (const char* packed : {".gz", ".zst", ".xz"})
    if (path.extension() == packed) path = path.stem();
  return path.extension() == ".jsonl" || path.extension() == ".ndjson";
}

DocumentReader::DocumentReader(const std::vector<std::string>& inputs, const DocumentReaderOptions& options)
    : options_(options) {
  FaultList faults;
  if (inputs.empty()) faults.add("no input is given: name files, folders, or - for standard input");
  if (std::count(inputs.begin(), inputs.end(), "-") > 1) faults.add("standard input (-) can be read only once");
  for (const std::string& input : inputs) try {
      list(input);
    } catch (const InputError& error) {
      faults.add_text(error.what());
    }
  faults.throw_if_any("");
}

DocumentReader::~DocumentReader() = default;

void DocumentReader::list(const std::string& input) {
  if (input == "-") {
    inputs_.push_back({input, true});
    return;
  }
  if (!fs::exists(input)) throw InputError("there is no file or folder '{}'", input);
  if (!fs::is_directory(input)) {
    inputs_.push_back({input, true});
    if (fs::is_regular_file(input)) total_bytes_ += fs::file_size(input);
    return;
  }
  std::vector<fs::path> found;
  const auto permission = fs::directory_options::skip_permission_denied;
  for (fs::recursive_directory_iterator i(input, permission), end; i != end; ++i) {
    if (hidden(i->path())) {
      if (i->is_directory()) i.disable_recursion_pending();
      continue;
    }
    const std::string name = i->path().filename().string();
    const auto matches = [&](const std::string& glob) { return ::fnmatch(glob.c_str(), name.c_str(), 0) == 0; };
    const bool wanted =
        options_.include.empty() || std::any_of(options_.include.begin(), options_.include.end(), matches);
    if (wanted && i->is_regular_file()) found.push_back(i->path());
  }
  if (found.empty()) throw InputError("the folder '{}' holds no file to read", input);
  std::sort(found.begin(), found.end());
  for (const fs::path& path : found) {
    inputs_.push_back({path, false});
    total_bytes_ += fs::file_size(path);
  }
}

uint64_t DocumentReader::file_bytes_read() const {
  return closed_bytes_ + (stream_ ? stream_->file_bytes() : 0);
}

std::string DocumentReader::location() const {
  const std::string name = path_ == "-" ? "standard input" : path_.string();
  return jsonl_ ? fmt::format("{}, line {}", name, line_) : name;
}

bool DocumentReader::fill(uint64_t bytes) {
  if (begin_ > 0 && pending_.size() - begin_ < bytes) {
    pending_.erase(0, begin_);
    begin_ = 0;
  }
  while (!at_end_ && pending_.size() - begin_ < bytes) {
    const size_t old = pending_.size();
    pending_.resize(old + std::max(kReadBytes, bytes - (old - begin_)));
    const size_t got = stream_->read({pending_.data() + old, pending_.size() - old});
    at_end_ = got < pending_.size() - old;
    pending_.resize(old + got);
  }
  return pending_.size() - begin_ >= bytes;
}

bool DocumentReader::looks_like_jsonl() const {
  const size_t newline = pending_.find('\n', begin_);
  const std::string_view line = std::string_view(pending_).substr(begin_, newline - begin_);
  const nlohmann::json value = nlohmann::json::parse(line, nullptr, false);
  return value.is_object() && value.contains(options_.text_key);
}

bool DocumentReader::open_next() {
  while (next_input_ < inputs_.size()) {
    if (stream_) closed_bytes_ += stream_->file_bytes();
    const Input& input = inputs_[next_input_++];
    path_ = input.path;
    stream_ = io::open_input(path_);
    pending_.clear();
    begin_ = line_ = 0;
    at_end_ = inside_document_ = false;
    jsonl_ = named_jsonl(path_);
    if (path_ == "-") {
      // The first line decides; it may be long.
      uint64_t probe = kProbeBytes;
      while (fill(probe) && pending_.front() == '{' && pending_.find('\n') == std::string::npos &&
             probe < options_.max_line_bytes)
        probe *= 2;
      jsonl_ = looks_like_jsonl();
    }
    fill(kProbeBytes);
    if (std::string_view(pending_).substr(0, kProbeBytes).find('\0') != std::string_view::npos) {
      if (!input.named) continue;
      throw InputError("'{}' is not a text file: it holds NUL bytes", path_.string());
    }
    ++files_;
    return true;
  }
  if (stream_) closed_bytes_ += stream_->file_bytes();
  stream_.reset();
  return false;
}

bool DocumentReader::next(DocumentPiece& piece) {
  for (;;) {
    if (!stream_ && !open_next()) return false;
    if (jsonl_ ? next_line(piece) : next_text(piece)) return true;
    if (!open_next()) return false;
  }
}

std::string DocumentReader::parse_line(std::string_view line) const {
  nlohmann::json value = io::parse_json(line, location());
  if (!value.is_object() || !value.contains(options_.text_key)) {
    throw InputError(
        "'{}' has no \"{}\"{}", location(), options_.text_key,
        value.is_object() && !value.empty() ? fmt::format("; it begins with \"{}\"", value.begin().key()) : "");
  }
  nlohmann::json& text = value[options_.text_key];
  if (!text.is_string())
    throw InputError("'{}': \"{}\" must be a string, it is {}", location(), options_.text_key, io::json_kind(text));
  return std::move(text.get_ref<std::string&>());
}

bool DocumentReader::next_line(DocumentPiece& piece) {
  for (;;) {
    size_t newline = pending_.find('\n', begin_);
    while (newline == std::string::npos && !at_end_) {
      const size_t held = pending_.size() - begin_;
      if (held > options_.max_line_bytes)
        throw InputError("'{}, line {}' is longer than {} bytes", path_.string(), line_ + 1, options_.max_line_bytes);
      fill(held + std::max(kReadBytes, held));
      newline = pending_.find('\n', begin_ + held);
    }
    if (begin_ == pending_.size()) return false;
    const size_t end = newline == std::string::npos ? pending_.size() : newline;
    const std::string_view line = std::string_view(pending_).substr(begin_, end - begin_);
    ++line_;
    begin_ = std::min(end + 1, pending_.size());
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    piece = {parse_line(line), true, true};
    if (!piece.text.empty()) return true;
  }
}

bool DocumentReader::next_text(DocumentPiece& piece) {
  uint64_t wanted = options_.piece_bytes;
  size_t cut = 0;
  for (;;) {
    const bool more = fill(wanted + kProbeBytes);
    const std::string_view held = std::string_view(pending_).substr(begin_);
    cut = held.size();
    if (!more) break;
    cut = options_.safe_cut ? options_.safe_cut(held, wanted) : tokenizer::safe_cut(held, wanted);
    // The last bytes held may be the beginning of a character.
    if (cut + 4 <= held.size()) break;
    if (wanted >= options_.max_piece_bytes) {
      cut = wanted;
      while ((static_cast<unsigned char>(held[cut]) & 0xc0) == 0x80 && cut > wanted - 4) --cut;
      break;
    }
    wanted *= 2;
  }
  piece.text.assign(pending_, begin_, cut);
  begin_ += cut;
  piece.begins = !inside_document_;
  piece.ends = at_end_ && begin_ == pending_.size();
  inside_document_ = !piece.ends;
  return !piece.text.empty();
}

}  // namespace skipattn::data
