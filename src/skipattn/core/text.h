// Words for people: counts, sizes and times in short form, and the name somebody probably meant.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace skipattn {

/// 1234567 -> "1.23M"; below 10000 the plain number.
std::string short_count(double count);
/// Bytes with binary units: 1536 -> "1.5 KiB".
std::string short_bytes(double bytes);
/// Seconds: 75 -> "1m15s", 0.0042 -> "4.2 ms".
std::string short_seconds(double seconds);

/// The candidate with the smallest edit distance to `name`; "" when none is near enough to be a slip of the hand.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);
/// " (did you mean 'x'?)" or "".
std::string did_you_mean(std::string_view name, const std::vector<std::string>& candidates);

/// Items joined by `separator`.
std::string join(const std::vector<std::string>& items, std::string_view separator);
/// Text cut at `separator`; "" gives one empty item.
std::vector<std::string> split(std::string_view text, char separator);
/// Cuts at `separator` where no (, [, { or quote is open: "a=sla(x=1,y=2),b=3" at ',' gives two items.
std::vector<std::string> split_outside_brackets(std::string_view text, char separator);
/// Without white space at both ends.
std::string_view trim(std::string_view text);

}  // namespace skipattn
