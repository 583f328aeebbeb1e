#include "skipattn/io/tensorboard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cerrno>
#include <cstring>

#include "skipattn/core/errors.h"
#include "skipattn/io/atomic_file.h"
#include "skipattn/io/mapped_file.h"

namespace skipattn::io {

namespace {

constexpr size_t kFraming = 16;  // length 8, its checksum 4, the data's checksum 4

constexpr std::array<uint32_t, 256> make_crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t remainder = i;
    for (int bit = 0; bit < 8; ++bit) remainder = (remainder >> 1) ^ ((remainder & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = remainder;
  }
  return table;
}

constexpr std::array<uint32_t, 256> kCrcTable = make_crc_table();

// TFRecord stores checksums rotated and shifted, so that data that itself holds checksums does not
// confuse them.
uint32_t masked_crc(std::string_view bytes) {
  return std::rotr(crc32c(bytes), 15) + 0xa282ead8u;
}

template <typename T>
void put_raw(std::string& out, T value) {
  char bytes[sizeof(T)];
  std::memcpy(bytes, &value, sizeof(T));
  out.append(bytes, sizeof(T));
}

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

// Protocol buffer wire types: 0 variable-length integer, 1 eight bytes, 2 length and bytes, 5 four
// bytes.
void put_key(std::string& out, int field, int wire_type) {
  put_varint(out, static_cast<uint64_t>(field << 3 | wire_type));
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_key(out, field, 2);
  put_varint(out, bytes.size());
  out.append(bytes);
}

std::string record(std::string_view message) {
  std::string out;
  put_raw<uint64_t>(out, message.size());
  put_raw(out, masked_crc(out));
  out.append(message);
  put_raw(out, masked_crc(message));
  return out;
}

// Event: wall_time = 1 (double), step = 2 (int64), file_version = 3 (string), summary = 5
// (message).
std::string opening_record(double wall_time) {
  std::string event;
  put_key(event, 1, 1);
  put_raw(event, wall_time);
  put_bytes(event, 3, "brain.Event:2");
  return record(event);
}

// Summary: value = 1 (message, repeated); Value: tag = 1 (string), simple_value = 2 (float).
std::string scalar_record(const ScalarEvent& scalar) {
  std::string value, summary, event;
  put_bytes(value, 1, scalar.tag);
  put_key(value, 2, 5);
  put_raw(value, static_cast<float>(scalar.value));
  put_bytes(summary, 1, value);
  put_key(event, 1, 1);
  put_raw(event, scalar.wall_time);
  put_key(event, 2, 0);
  put_varint(event, static_cast<uint64_t>(scalar.step));
  put_bytes(event, 5, summary);
  return record(event);
}

// How many bytes from the start are whole records.
uint64_t whole_records(const std::filesystem::path& path) {
  const MappedFile file(path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  uint64_t end = 0;
  while (bytes.size() - end >= kFraming) {
    uint64_t length = 0;
    uint32_t checksum = 0;
    std::memcpy(&length, bytes.data() + end, 8);
    std::memcpy(&checksum, bytes.data() + end + 8, 4);
    if (checksum != masked_crc(bytes.substr(end, 8))) {
      if (end == 0) throw InputError("'{}' is not a TensorBoard event file", path.string());
      break;
    }
    if (length > bytes.size() - end - kFraming) break;
    end += kFraming + length;
  }
  return end;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  uint32_t crc = 0xffffffffu;
  for (const char byte : bytes) crc = (crc >> 8) ^ kCrcTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::string event_file_name(double wall_time) {
  char host[256] = "localhost";
  ::gethostname(host, sizeof(host) - 1);
  return fmt::format("events.out.tfevents.{:010d}.{}", static_cast<int64_t>(wall_time), host);
}

void write_event_file(const std::filesystem::path& path, double wall_time, std::span<const ScalarEvent> events) {
  AtomicFileWriter writer(path);
  writer.write(opening_record(wall_time));
  for (const ScalarEvent& event : events) writer.write(scalar_record(event));
  writer.commit();
}

EventFileAppender::EventFileAppender(const std::filesystem::path& path, double wall_time) : path_(path) {
  const uint64_t keep = std::filesystem::exists(path) ? whole_records(path) : 0;
  descriptor_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0 || ::ftruncate(descriptor_, static_cast<off_t>(keep)) != 0) {
    const int error = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw RunError("cannot write '{}': {}", path.string(), std::strerror(error));
  }
  try {
    if (keep == 0) write_all(opening_record(wall_time));
  } catch (...) {
    ::close(descriptor_);
    throw;
  }
}

EventFileAppender::~EventFileAppender() {
  ::close(descriptor_);
}

void EventFileAppender::append(const ScalarEvent& event) {
  write_all(scalar_record(event));
}

void EventFileAppender::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t done = ::write(descriptor_, bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) throw RunError("cannot write '{}': {}", path_.string(), std::strerror(errno));
    bytes.remove_prefix(static_cast<size_t>(done));
  }
}

}  // namespace skipattn::io
