// Ends a text where one of some strings begins, while the text arrives piece by piece and is passed on at once: what may be
// the beginning of a stop string is held back until it is known.
//
//   StopStrings stop({"\n\n", "END"});
//   stop.push("one\n");     // "one"
//   stop.push("two E");     // "\ntwo "
//   stop.push("ND three");  // ""; stop.stopped() now
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace skipattn::inference {

class StopStrings {
 public:
  /// Throws InputError for an empty string. Without strings everything passes.
  explicit StopStrings(std::vector<std::string> strings);

  /// What of the text can be passed on now. Nothing more comes after the first stop string.
  std::string push(std::string_view piece);
  /// The text has ended: what was held back.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> strings_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace skipattn::inference
