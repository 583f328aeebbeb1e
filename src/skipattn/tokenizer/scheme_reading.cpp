#include "skipattn/tokenizer/scheme_reading.h"

#include <algorithm>

#include "skipattn/tokenizer/pattern/plain_words.h"
#include "skipattn/tokenizer/pattern/split_pattern.h"
#include "skipattn/tokenizer/space_pieces.h"

namespace skipattn::tokenizer {
namespace {

using nlohmann::json;

// What the pre-tokenizer Digits does, as patterns.
const std::string kDigitPattern = R"(\p{Digits})";
const std::string kDigitsPattern = R"(\p{Digits}+)";

const json& member(const json& object, const char* key) {
  static const json nothing;
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() ? *found : nothing;
}

std::string type_of(const json& step) {
  const json& type = member(step, "type");
  return type.is_string() ? type.get<std::string>() : step.is_null() ? "absent" : type.dump();
}

/// The steps of a Sequence, or the one step there is, or none.
std::vector<json> steps_of(const json& step, const char* list) {
  if (step.is_null()) return {};
  if (type_of(step) == "Sequence" && member(step, list).is_array()) {
    std::vector<json> all;
    for (const json& inner : step[list])
      for (const json& one : steps_of(inner, list)) all.push_back(one);
    return all;
  }
  return {step};
}

bool is_space_to_mark(const json& step) {
  return member(member(step, "pattern"), "String") == " " && member(step, "content") == kSpaceMark;
}

bool is_mark_to_space(const json& step) {
  return type_of(step) == "Replace" && member(member(step, "pattern"), "String") == kSpaceMark &&
         member(step, "content") == " ";
}

void read_normalizer(const json& file, Scheme& scheme, FaultList& faults) {
  const bool characters = scheme.symbols == SymbolKind::kCharacters;
  bool replaced = false;
  for (const json& step : steps_of(member(file, "normalizer"), "normalizers")) {
    const std::string type = type_of(step);
    if (type == "NFC") {
      scheme.nfc = true;
    } else if (type == "Prepend" && characters && !replaced && member(step, "prepend") == kSpaceMark) {
      scheme.prefix = PrefixSpace::kAlways;
    } else if (type == "Replace" && characters && is_space_to_mark(step)) {
      replaced = true;
    } else if (characters) {
      faults.add("the normalizer {} is {}, only NFC, Prepend of \"{}\" and Replace of \" \" by \"{}\" are supported",
                 type, step.dump(), kSpaceMark, kSpaceMark);
    } else {
      faults.add("the normalizer is {}, only NFC is supported", type);
    }
  }
  if (characters && !replaced && member(file, "pre_tokenizer").is_null())
    faults.add("nothing writes a space as \"{}\", supported are the normalizer Replace and the pre-tokenizer Metaspace",
               kSpaceMark);
}

/// Characters that mean something in a pattern.
std::string escaped(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    if (std::string_view("\\^$.[]|()?*+{}").find(c) != std::string_view::npos) pattern += '\\';
    pattern += c;
  }
  return pattern;
}

void read_split(const json& step, Scheme& scheme, FaultList& faults) {
  const json& pattern = member(step, "pattern");
  const json& behavior = member(step, "behavior");
  SplitStep split;
  if (member(pattern, "Regex").is_string()) {
    split.pattern = pattern["Regex"].get<std::string>();
  } else if (member(pattern, "String").is_string()) {
    split.pattern = escaped(pattern["String"].get<std::string>());
  }
  if (split.pattern.empty()) {
    faults.add("the pattern of the pre-tokenizer Split is {}, a \"Regex\" or \"String\" is supported", pattern.dump());
  } else if (behavior == "Removed") {
    (member(step, "invert") == true ? split.drop_gaps : split.drop_matches) = true;
  } else if (behavior != "Isolated") {
    faults.add("the behavior of the pre-tokenizer Split is {}, only Isolated and Removed are supported",
               behavior.dump());
  }
  try {
    if (!split.pattern.empty()) const SplitPattern tried(split.pattern);
  } catch (const InputError& error) {
    faults.add_text(error.what());
  }
  scheme.steps.push_back(split);
}

void read_byte_level(const json& step, Scheme& scheme, FaultList& faults) {
  if (given(step, "add_prefix_space")) {
    if (scheme.steps.empty()) {
      scheme.prefix = PrefixSpace::kUnlessThere;
    } else {
      faults.add("add_prefix_space of ByteLevel is true after another pre-tokenizer, it is supported only alone");
    }
  }
  if (member(step, "use_regex") != false) scheme.steps.emplace_back();
}

/// No step but those known to keep words and spaces apart may be there.
CutRule cut_of(const Scheme& scheme) {
  if (scheme.symbols == SymbolKind::kCharacters) return CutRule::kWord;
  if (scheme.steps == std::vector<SplitStep>{SplitStep{}} && !scheme.nfc) return CutRule::kGpt2;
  for (const SplitStep& step : scheme.steps) {
    const bool of_digits = step.pattern == kDigitsPattern || step.pattern == kDigitPattern;
    if (!step.pattern.empty() && !of_digits && !takes_plain_words(step.pattern)) return CutRule::kNowhere;
  }
  return scheme.steps.empty() ? CutRule::kNowhere : CutRule::kWord;
}

void read_byte_level_steps(const json& file, Scheme& scheme, FaultList& faults) {
  const std::vector<json> steps = steps_of(member(file, "pre_tokenizer"), "pretokenizers");
  scheme.steps.clear();
  bool byte_level = false;
  for (const json& step : steps) {
    const std::string type = type_of(step);
    if (byte_level) {
      faults.add("the pre-tokenizer {} comes after ByteLevel, which must be the last", type);
    } else if (type == "ByteLevel") {
      byte_level = true;
      read_byte_level(step, scheme, faults);
    } else if (type == "Split") {
      read_split(step, scheme, faults);
    } else if (type == "Digits") {
      scheme.steps.push_back({given(step, "individual_digits") ? kDigitPattern : kDigitsPattern});
    } else {
      faults.add("the pre-tokenizer is {}, only ByteLevel, after Split and Digits if there are any, is supported",
                 type);
    }
  }
  if (steps.empty())
    faults.add("the pre-tokenizer is absent, only ByteLevel is supported without byte_fallback");
  else if (!byte_level && faults.empty())
    faults.add("the pre-tokenizer ByteLevel is absent, it must be the last");
}

void read_metaspace(const json& step, Scheme& scheme, FaultList& faults) {
  const json& scheme_name = member(step, "prepend_scheme");
  const bool old_prefix = scheme_name.is_null() && member(step, "add_prefix_space") != false;
  if (member(step, "replacement") != kSpaceMark)
    faults.add("the replacement of Metaspace is {}, only \"{}\" is supported", member(step, "replacement").dump(),
               kSpaceMark);
  if (scheme.prefix != PrefixSpace::kNever)
    faults.add("Metaspace comes after the normalizer Prepend, only one of them is supported");
  if (scheme_name == "always" || old_prefix) {
    scheme.prefix = PrefixSpace::kUnlessThere;
  } else if (scheme_name == "first") {
    scheme.prefix = PrefixSpace::kFirstUnlessThere;
  } else if (!scheme_name.is_null() && scheme_name != "never") {
    faults.add("the prepend_scheme of Metaspace is {}, only always, first and never are supported", scheme_name.dump());
  }
  scheme.split_at_every_space = member(step, "split") != false;
}

void read_character_steps(const json& file, Scheme& scheme, FaultList& faults) {
  scheme.steps.clear();
  const std::vector<json> steps = steps_of(member(file, "pre_tokenizer"), "pretokenizers");
  for (const json& step : steps) {
    const std::string type = type_of(step);
    // The normalizer has replaced all spaces, so that a Split at " " finds none.
    const bool without_effect =
        type == "Split" && member(member(step, "pattern"), "String") == " " && given(file, "normalizer");
    if (type == "Metaspace" && steps.size() == 1) {
      read_metaspace(step, scheme, faults);
    } else if (!without_effect) {
      faults.add("the pre-tokenizer is {}, only Metaspace alone is supported with byte_fallback", type);
    }
  }
}

void read_decoder(const json& file, Scheme& scheme, FaultList& faults) {
  for (const json& step : steps_of(member(file, "decoder"), "decoders")) {
    const std::string type = type_of(step);
    if (type == "Metaspace") {
      if (member(step, "prepend_scheme") != "never") scheme.drop_prefix = DropPrefix::kFirstTokensSpaces;
    } else if (type == "Strip" && member(step, "content") == " " && member(step, "stop") == 0 &&
               (member(step, "start") == 0 || member(step, "start") == 1)) {
      if (step["start"] == 1) scheme.drop_prefix = DropPrefix::kOneSpace;
    } else if (!is_mark_to_space(step) && type != "ByteFallback" && type != "Fuse") {
      faults.add(
          "the decoder {} is {}, only Replace of \"{}\" by \" \", ByteFallback, Fuse, Strip of one space and "
          "Metaspace are supported with byte_fallback",
          type, step.dump(), kSpaceMark);
    }
  }
}

}  // namespace

bool given(const json& object, const char* key) {
  const json& value = member(object, key);
  return !value.is_null() && value != "" && value != false && value != 0 && !(value.is_array() && value.empty());
}

Scheme read_scheme(const json& file, FaultList& faults) {
  const json& model = file["model"];
  Scheme scheme;
  if (model.value("type", json("BPE")) != "BPE")
    faults.add("the model is {}, only BPE is supported", model["type"].dump());
  for (const char* key : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"})
    if (given(model, key)) faults.add("the model's {} is {}, it must be absent", key, model[key].dump());
  scheme.ignore_merges = given(model, "ignore_merges");
  if (given(model, "byte_fallback")) {
    scheme.symbols = SymbolKind::kCharacters;
    if (scheme.ignore_merges)
      faults.add("the model has ignore_merges and byte_fallback, only one of them is supported");
    read_normalizer(file, scheme, faults);
    read_character_steps(file, scheme, faults);
    read_decoder(file, scheme, faults);
  } else {
    read_normalizer(file, scheme, faults);
    read_byte_level_steps(file, scheme, faults);
  }
  scheme.cut = cut_of(scheme);
  return scheme;
}

void read_template(const json& file, Scheme& scheme, FaultList& faults) {
  for (const json& step : steps_of(member(file, "post_processor"), "processors")) {
    const std::string type = type_of(step);
    if (type == "ByteLevel") continue;
    if (type != "TemplateProcessing" || !member(step, "single").is_array()) {
      faults.add("the post-processor is {}, only ByteLevel and TemplateProcessing are supported", type);
      continue;
    }
    std::vector<uint32_t>* ids = &scheme.before;
    for (const json& item : step["single"]) {
      if (item.contains("Sequence")) {
        ids = &scheme.after;
        continue;
      }
      const json& name = member(member(item, "SpecialToken"), "id");
      const json& token =
          name.is_string() ? member(member(step, "special_tokens"), name.get<std::string>().c_str()) : member(step, "");
      if (!member(token, "ids").is_array()) {
        faults.add("the post-processor's template names {}, which is none of its special tokens", name.dump());
        continue;
      }
      for (const json& id : token["ids"]) ids->push_back(id.get<uint32_t>());
    }
  }
}

std::string scheme_identity(const json& file, const Scheme& scheme, const std::vector<AddedToken>& added) {
  json flags = json::array();
  for (const AddedToken& token : added)
    if (token.lstrip || token.rstrip || token.normalized || !token.special)
      flags.push_back({token.id, token.special, token.lstrip, token.rstrip, token.normalized});
  Scheme gpt2;
  gpt2.before = scheme.before;
  gpt2.after = scheme.after;
  if (scheme == gpt2 && std::none_of(added.begin(), added.end(), [](const AddedToken& token) {
        return token.lstrip || token.rstrip || token.normalized || !token.special;
      }))
    return "";
  return json{{"normalizer", member(file, "normalizer")},
              {"pre_tokenizer", member(file, "pre_tokenizer")},
              {"byte_fallback", scheme.symbols == SymbolKind::kCharacters},
              {"ignore_merges", scheme.ignore_merges},
              {"added", flags}}
      .dump();
}

}  // namespace skipattn::tokenizer
