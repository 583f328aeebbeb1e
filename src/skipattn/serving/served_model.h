// What requests are checked against and text is made with: facts about the one model that is served.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "skipattn/tokenizer/tokenizer.h"

namespace skipattn::serving {

struct ServedModel {
  std::string name;                               ///< what clients call it
  std::optional<tokenizer::Tokenizer> tokenizer;  ///< none: prompts are token ids, and so is text, "15 7 4"
  int64_t vocabulary = 0;                         ///< token ids are below this
  int64_t positions = 0;                          ///< longest sequence in tokens
  int64_t end_of_text = -1;                       ///< token that ends a text; -1: none
  int64_t created = 0;                            ///< Unix time in seconds at which it was loaded
};

}  // namespace skipattn::serving
