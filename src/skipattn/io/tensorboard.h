// TensorBoard event files holding scalars: TFRecord framing (length, masked CRC-32C of it, bytes,
// masked CRC-32C of them) around protocol buffer messages of tensorflow/core/util/event.proto,
// which are few enough to encode by hand.
//
//   write_event_file(folder / event_file_name(start), start, rows);   // all rows known so far
//   EventFileAppender events(path);                                   // then one by one
//   events.append({.step = 7, .wall_time = now, .tag = "loss/train", .value = 3.2});
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace skipattn::io {

/// One point of one curve.
struct ScalarEvent {
  int64_t step = 0;
  double wall_time = 0;  ///< seconds since 1970
  std::string tag;       ///< name of the curve; TensorBoard groups by what stands before '/'
  double value = 0;      ///< kept as fp32 by the format
};

/// "events.out.tfevents.<seconds>.<host>": TensorBoard reads only files whose name holds
/// "tfevents".
std::string event_file_name(double wall_time);

/// Writes a whole event file atomically; `wall_time` stamps its opening record. Throws RunError.
void write_event_file(const std::filesystem::path& path, double wall_time, std::span<const ScalarEvent> events);

/// Adds events to a file, which is made when absent. A record that a killed process left unfinished
/// at the end is cut off first; what does not begin as an event file is an InputError.
class EventFileAppender {
 public:
  explicit EventFileAppender(const std::filesystem::path& path, double wall_time = 0);
  ~EventFileAppender();
  EventFileAppender(const EventFileAppender&) = delete;
  EventFileAppender& operator=(const EventFileAppender&) = delete;

  /// Hands the event to the system at once, so that a running TensorBoard sees it. Throws RunError.
  void append(const ScalarEvent& event);

 private:
  void write_all(std::string_view bytes);

  std::filesystem::path path_;
  int descriptor_ = -1;
};

/// CRC-32C (Castagnoli, polynomial 0x1EDC6F41 reflected), as iSCSI and TFRecord use it.
uint32_t crc32c(std::string_view bytes);

}  // namespace skipattn::io
