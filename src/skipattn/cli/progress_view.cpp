// How progress looks: a redrawn line with a bar on a terminal; in a log a plain line at the first report, then at most
// one every ten seconds, and the last one.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <string>

#include "skipattn/cli/command.h"
#include "skipattn/core/text.h"

namespace skipattn::cli {

namespace {

using Clock = std::chrono::steady_clock;

/// Watches one task at a time; a new task name starts the clock anew.
class View {
 public:
  void show(const ProgressReport& progress) {
    const auto now = Clock::now();
    if (progress.task != task_) {
      task_ = progress.task;
      start_ = now;
      first_done_ = progress.done;
      last_shown_ = {};
    }
    const double since_shown = std::chrono::duration<double>(now - last_shown_).count();
    if (!progress.finished && since_shown < (terminal_ ? 0.1 : 10.0)) return;
    last_shown_ = now;
    const std::string line = describe(progress, std::chrono::duration<double>(now - start_).count());
    if (terminal_) {
      std::cerr << "\r\033[K" << fitted(line) << (progress.finished ? "\n" : "") << std::flush;
    } else {
      std::cerr << line << '\n' << std::flush;
    }
  }

 private:
  std::string describe(const ProgressReport& progress, double elapsed) const {
    std::string line = progress.task + "  ";
    if (progress.total > 0) {
      line += fmt::format("{}/{} {}", short_amount(progress.done, progress.unit),
                          short_amount(progress.total, progress.unit), progress.unit == "bytes" ? "" : progress.unit);
    } else {
      line += fmt::format("{} {}", short_amount(progress.done, progress.unit),
                          progress.unit == "bytes" ? "" : progress.unit);
    }
    if (!progress.detail.empty()) line += " · " + progress.detail;
    const double advanced = progress.done - first_done_;
    if (progress.finished) {
      line += " · " + short_seconds(elapsed);
    } else if (progress.total > 0 && advanced > 0) {
      line += fmt::format(" · {} left", short_seconds(elapsed / advanced * (progress.total - progress.done)));
    }
    return line;
  }

  static std::string short_amount(double amount, const std::string& unit) {
    return unit == "bytes" ? short_bytes(amount) : short_count(amount);
  }

  /// Cut to the terminal's width, counting characters and not bytes.
  static std::string fitted(const std::string& line) {
    winsize size{};
    const size_t width = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    size_t columns = 0;
    for (size_t i = 0; i < line.size(); ++i) {
      if ((line[i] & 0xC0) != 0x80 && ++columns >= width) return line.substr(0, i);
    }
    return line;
  }

  const bool terminal_ = isatty(STDERR_FILENO) != 0;
  std::string task_;
  Clock::time_point start_, last_shown_;
  double first_done_ = 0;
};

}  // namespace

ProgressSink progress_view(const CommonOptions& common) {
  if (common.quiet) return {};
  return [view = std::make_shared<View>()](const ProgressReport& progress) { view->show(progress); };
}

}  // namespace skipattn::cli
