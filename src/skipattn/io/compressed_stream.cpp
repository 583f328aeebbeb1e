#include "skipattn/io/compressed_stream.h"

#include <fcntl.h>
#include <lzma.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "skipattn/core/errors.h"

namespace skipattn::io {

namespace {

constexpr size_t kChunk = 1 << 18;
constexpr uint64_t kXzMemory = uint64_t{1} << 30;

// The bytes of the file itself, in chunks that can be looked at before they are taken.
class RawInput {
 public:
  RawInput(const std::filesystem::path& path)
      : name_(path == "-" ? "standard input" : fmt::format("'{}'", path.string())),
        descriptor_(path == "-" ? STDIN_FILENO : open_for_reading(path)),
        owned_(path != "-") {
    buffer_.resize(kChunk);
  }
  ~RawInput() {
    if (owned_) ::close(descriptor_);
  }
  RawInput(const RawInput&) = delete;
  RawInput& operator=(const RawInput&) = delete;

  /// What is there and not yet taken; empty only at the end.
  std::string_view peek() {
    if (begin_ == end_) refill();
    return {buffer_.data() + begin_, end_ - begin_};
  }
  void take(size_t count) { begin_ += count; }
  /// The first bytes of the input, before anything is taken.
  std::string_view first_bytes(size_t count) {
    while (end_ < count && refill()) {
    }
    return {buffer_.data(), std::min(count, end_)};
  }
  uint64_t total() const { return total_; }
  const std::string& name() const { return name_; }

 private:
  // Reads once behind what is held; false at the end of the input.
  bool refill() {
    if (begin_ == end_) begin_ = end_ = 0;
    for (;;) {
      const ssize_t got = ::read(descriptor_, buffer_.data() + end_, buffer_.size() - end_);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) throw RunError("cannot read {}: {}", name_, std::strerror(errno));
      end_ += static_cast<size_t>(got);
      total_ += static_cast<uint64_t>(got);
      return got > 0;
    }
  }

  std::string name_;
  int descriptor_;
  bool owned_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t total_ = 0;
};

class StreamBase : public InputStream {
 public:
  explicit StreamBase(std::unique_ptr<RawInput> raw) : raw_(std::move(raw)) {}
  uint64_t file_bytes() const override { return raw_->total(); }
  size_t read(std::span<char> out) override {
    size_t filled = 0;
    while (filled < out.size()) {
      const size_t got = read_some(out.subspan(filled));
      if (got == 0) break;
      filled += got;
    }
    return filled;
  }

 protected:
  /// At least one byte, or 0 at the end.
  virtual size_t read_some(std::span<char> out) = 0;
  [[noreturn]] void fail_short(const char* kind) const {
    throw InputError("{} is cut short: its {} data ends in the middle", raw_->name(), kind);
  }
  [[noreturn]] void fail_damaged(const char* kind, const std::string& reason) const {
    throw InputError("{} holds damaged {} data: {}", raw_->name(), kind, reason);
  }

  std::unique_ptr<RawInput> raw_;
};

class PlainStream : public StreamBase {
 public:
  using StreamBase::StreamBase;

 protected:
  size_t read_some(std::span<char> out) override {
    const std::string_view bytes = raw_->peek();
    const size_t count = std::min(bytes.size(), out.size());
    std::memcpy(out.data(), bytes.data(), count);
    raw_->take(count);
    return count;
  }
};

class GzipStream : public StreamBase {
 public:
  explicit GzipStream(std::unique_ptr<RawInput> raw) : StreamBase(std::move(raw)) {
    if (::inflateInit2(&state_, 15 + 16) != Z_OK) throw RunError("no memory to unpack gzip data");
  }
  ~GzipStream() override { ::inflateEnd(&state_); }

 protected:
  size_t read_some(std::span<char> out) override {
    for (;;) {
      std::string_view bytes = raw_->peek();
      if (between_members_) {
        // Tape blocks are padded with zeros, which gzip allows after the last member.
        while (!bytes.empty() && bytes.front() == 0) {
          raw_->take(1);
          bytes = raw_->peek();
        }
        if (bytes.empty()) return 0;
        ::inflateReset(&state_);
        between_members_ = false;
      }
      if (bytes.empty()) fail_short("gzip");
      state_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
      state_.avail_in = static_cast<uInt>(bytes.size());
      state_.next_out = reinterpret_cast<Bytef*>(out.data());
      state_.avail_out = static_cast<uInt>(std::min<size_t>(out.size(), 1u << 30));
      const uInt room = state_.avail_out;
      const int status = ::inflate(&state_, Z_NO_FLUSH);
      raw_->take(bytes.size() - state_.avail_in);
      if (status == Z_STREAM_END) between_members_ = true;
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        fail_damaged("gzip", state_.msg != nullptr ? state_.msg : "unreadable");
      if (room != state_.avail_out) return room - state_.avail_out;
    }
  }

 private:
  z_stream state_{};
  bool between_members_ = false;
};

class XzStream : public StreamBase {
 public:
  explicit XzStream(std::unique_ptr<RawInput> raw) : StreamBase(std::move(raw)) {
    if (::lzma_stream_decoder(&state_, kXzMemory, LZMA_CONCATENATED) != LZMA_OK)
      throw RunError("no memory to unpack xz data");
  }
  ~XzStream() override { ::lzma_end(&state_); }

 protected:
  size_t read_some(std::span<char> out) override {
    while (!ended_) {
      const std::string_view bytes = raw_->peek();
      state_.next_in = reinterpret_cast<const uint8_t*>(bytes.data());
      state_.avail_in = bytes.size();
      state_.next_out = reinterpret_cast<uint8_t*>(out.data());
      state_.avail_out = out.size();
      const lzma_ret status = ::lzma_code(&state_, bytes.empty() ? LZMA_FINISH : LZMA_RUN);
      raw_->take(bytes.size() - state_.avail_in);
      if (status == LZMA_STREAM_END) ended_ = true;
      if (status == LZMA_BUF_ERROR) fail_short("xz");
      if (status == LZMA_MEMLIMIT_ERROR) fail_damaged("xz", "it needs more than 1 GiB to unpack");
      if (status != LZMA_OK && status != LZMA_STREAM_END)
        fail_damaged("xz", status == LZMA_FORMAT_ERROR ? "not an xz stream" : "unreadable");
      if (state_.avail_out != out.size()) return out.size() - state_.avail_out;
    }
    return 0;
  }

 private:
  lzma_stream state_ = LZMA_STREAM_INIT;
  bool ended_ = false;
};

class ZstdStream : public StreamBase {
 public:
  explicit ZstdStream(std::unique_ptr<RawInput> raw) : StreamBase(std::move(raw)), state_(::ZSTD_createDCtx()) {
    if (state_ == nullptr) throw RunError("no memory to unpack zstd data");
    // Large corpora are often packed with --long=31.
    ::ZSTD_DCtx_setParameter(state_, ZSTD_d_windowLogMax, 31);
  }
  ~ZstdStream() override { ::ZSTD_freeDCtx(state_); }

 protected:
  size_t read_some(std::span<char> out) override {
    for (;;) {
      const std::string_view bytes = raw_->peek();
      if (bytes.empty() && frame_done_) return 0;
      ZSTD_inBuffer input{bytes.data(), bytes.size(), 0};
      ZSTD_outBuffer output{out.data(), out.size(), 0};
      const size_t status = ::ZSTD_decompressStream(state_, &output, &input);
      if (::ZSTD_isError(status) != 0) fail_damaged("zstd", ::ZSTD_getErrorName(status));
      raw_->take(input.pos);
      frame_done_ = status == 0;
      if (output.pos > 0) return output.pos;
      if (bytes.empty() && !frame_done_) fail_short("zstd");
    }
  }

 private:
  ZSTD_DCtx* state_;
  bool frame_done_ = false;
};

bool is_zstd(std::string_view bytes) {
  using namespace std::string_view_literals;
  // A frame, or one of the sixteen kinds of skippable frame that parallel packers put first.
  return bytes.starts_with("\x28\xb5\x2f\xfd"sv) ||
         (bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 && bytes.substr(1, 3) == "\x2a\x4d\x18"sv);
}

}  // namespace

int open_for_reading(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT || errno == ENOTDIR) throw InputError("there is no file '{}'", path.string());
    throw RunError("cannot read '{}': {}", path.string(), std::strerror(errno));
  }
  struct stat status {};
  if (::fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode)) {
    ::close(descriptor);
    throw InputError("'{}' is a folder, a file is needed here", path.string());
  }
  return descriptor;
}

std::unique_ptr<InputStream> open_input(const std::filesystem::path& path) {
  using namespace std::string_view_literals;
  auto raw = std::make_unique<RawInput>(path);
  const std::string_view start = raw->first_bytes(6);
  if (start.starts_with("\x1f\x8b"sv)) return std::make_unique<GzipStream>(std::move(raw));
  if (start ==
      "\xfd"
      "7zXZ\0"sv)
    return std::make_unique<XzStream>(std::move(raw));
  if (is_zstd(start)) return std::make_unique<ZstdStream>(std::move(raw));
  return std::make_unique<PlainStream>(std::move(raw));
}

std::string read_file(const std::filesystem::path& path, uint64_t limit) {
  const auto input = open_input(path);
  std::string text;
  for (size_t filled = 0;;) {
    text.resize(std::max(filled * 2, kChunk));
    filled += input->read({text.data() + filled, text.size() - filled});
    if (filled > limit)
      throw InputError("'{}' holds more than {} bytes, the most that is read here", path.string(), limit);
    if (filled < text.size()) {
      text.resize(filled);
      return text;
    }
  }
}

}  // namespace skipattn::io
