// Bytes in, whole UTF-8 characters out: what a terminal or a JSON text needs while tokens arrive one by one, because a
// byte-level token may end in the middle of a character.
//
//   Utf8Stream stream;
//   stream.push("\xE2\x82");  // ""
//   stream.push("\xAC!");     // "€!"
//   stream.finish();          // "" (or U+FFFD where the bytes ended within a character)
#pragma once

#include <string>
#include <string_view>

namespace skipattn::inference {

/// However the bytes are cut into pushes, the pieces together are the same text.
class Utf8Stream {
 public:
  /// The characters that are complete now; always valid UTF-8. Bytes that can no longer become a character are replaced
  /// by U+FFFD, one for each longest beginning of a character (Unicode 15, section 3.9, "maximal subparts").
  std::string push(std::string_view bytes);
  /// Ends the text: U+FFFD when it ended within a character. The stream is empty again.
  std::string finish();

 private:
  std::string pending_;  // the beginning of a character, at most 3 bytes
};

}  // namespace skipattn::inference
