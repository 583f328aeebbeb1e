// skipattn generate: continues a prompt with the KV cache, text appearing as it is made.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <optional>

#include "skipattn/cli/command.h"
#include "skipattn/cli/model_argument.h"
#include "skipattn/core/errors.h"
#include "skipattn/core/stop.h"
#include "skipattn/core/text.h"
#include "skipattn/inference/generation.h"
#include "skipattn/inference/stop_strings.h"
#include "skipattn/inference/utf8_stream.h"
#include "skipattn/tokenizer/tokenizer.h"
#include "skipattn/training/machine.h"

namespace skipattn::cli {

namespace {

namespace fs = std::filesystem;
using inference::TokenIds;

constexpr int64_t kDefaultNewTokens = 100;

struct GenerateArguments : CommonOptions, ModelOptions {
  std::string prompt;
  std::string prompt_file;
  std::string prompt_ids;
  const CLI::Option* prompt_option = nullptr;  // an empty prompt is a prompt too
  int64_t max_new_tokens = 0;                  // 0: kDefaultNewTokens, or as many as there is room for
  inference::SamplingOptions sampling;
  std::vector<std::string> stop;
};

/// What the prompt is, and how ids become text where that is known.
struct Prompt {
  std::optional<tokenizer::Tokenizer> tokenizer;
  std::string text;  ///< "" when ids were given
  TokenIds ids;
  int64_t end_of_text = -1;
};

TokenIds parse_ids(const std::string& text) {
  TokenIds ids;
  for (const std::string& item : split(text, ',')) {
    const std::string_view digits = trim(item);
    uint32_t id = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
    if (error != std::errc() || end != digits.data() + digits.size())
      throw InputError("[generate] --prompt-ids: '{}' is not a token id; write ids as 1,2,3", digits);
    ids.push_back(id);
  }
  return ids;
}

std::string read_prompt_file(const std::string& file) {
  if (file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream stream(file, std::ios::binary);
  if (!stream || fs::is_directory(file)) throw InputError("[generate] --prompt-file '{}': cannot be read", file);
  return {std::istreambuf_iterator<char>(stream), {}};
}

Prompt read_prompt(const GenerateArguments& arguments, const model::ModelConfig& config) {
  Prompt prompt;
  prompt.tokenizer = find_tokenizer(arguments.model, arguments.tokenizer);
  prompt.end_of_text = config.end_of_text;
  if (prompt.end_of_text < 0 && prompt.tokenizer) prompt.end_of_text = prompt.tokenizer->end_of_text().value_or(-1);
  if (!arguments.prompt_ids.empty()) {
    prompt.ids = parse_ids(arguments.prompt_ids);
    return prompt;
  }
  if (arguments.prompt_option->count() == 0 && arguments.prompt_file.empty())
    throw InputError("[generate] --prompt: not given; give --prompt TEXT, --prompt-file FILE or --prompt-ids 1,2,3");
  if (!prompt.tokenizer)
    throw InputError(
        "[generate] --model {}: it has no tokenizer (tokenizer.json, or vocab.json and merges.txt); "
        "name a folder with --tokenizer, or give --prompt-ids 1,2,3",
        arguments.model);
  prompt.text = arguments.prompt_file.empty() ? arguments.prompt : read_prompt_file(arguments.prompt_file);
  prompt.ids = prompt.tokenizer->encode_with_special(prompt.text, /*add_special_tokens=*/true);
  if (prompt.ids.empty() && prompt.end_of_text >= 0) prompt.ids = {static_cast<uint32_t>(prompt.end_of_text)};
  if (prompt.ids.empty())
    throw InputError("[generate] --prompt: it is empty, and the model has no end-of-text token to start from");
  return prompt;
}

/// Turns new tokens into text, shown at once unless the result is to be JSON, up to the first stop string.
class Writer {
 public:
  /// Shows the prompt first; it is no part of text().
  Writer(const Prompt& prompt, const std::vector<std::string>& stop, bool show)
      : prompt_(prompt), stop_(stop), show_(show) {
    if (show_) std::cout << stream_.push(prompt.text) << std::flush;
  }

  void token(uint32_t id) {
    if (static_cast<int64_t>(id) == prompt_.end_of_text) return;
    put(stop_.push(prompt_.tokenizer ? stream_.push(prompt_.tokenizer->token(id))
                                     : fmt::format("{}{}", std::exchange(any_, true) ? " " : "", id)));
  }
  void finish() {
    put(stop_.push(stream_.finish()) + stop_.finish());
    if (show_) std::cout << std::endl;
  }
  const std::string& text() const { return text_; }
  bool stopped() const { return stop_.stopped(); }

 private:
  void put(const std::string& piece) {
    text_ += piece;
    if (show_) std::cout << piece << std::flush;
  }

  const Prompt& prompt_;
  inference::StopStrings stop_;
  const bool show_;
  inference::Utf8Stream stream_;
  std::string text_;
  bool any_ = false;
};

inference::GenerationOptions generation_options(const GenerateArguments& arguments, const Prompt& prompt,
                                                const model::ModelConfig& config, const training::Machine& machine) {
  inference::GenerationOptions options;
  const int64_t room = inference::room_for_new_tokens(config, static_cast<int64_t>(prompt.ids.size()));
  options.max_new_tokens =
      arguments.max_new_tokens > 0 ? arguments.max_new_tokens : std::clamp<int64_t>(room, 1, kDefaultNewTokens);
  options.sampling = arguments.sampling;
  options.seed = static_cast<uint64_t>(arguments.seed.value_or(1));
  options.end_of_text = prompt.end_of_text;
  if (prompt.tokenizer) options.vocabulary = std::min<int64_t>(config.vocabulary, prompt.tokenizer->vocab_size());
  options.engine = {.weights = weights_dtype(arguments, machine),
                    .cache = inference::parse_dtype("--cache-dtype", arguments.cache_dtype),
                    .threads = machine.threads};
  return options;
}

nlohmann::ordered_json to_json(const inference::GenerationResult& result, const Prompt& prompt, const Writer& writer) {
  const inference::Continuation& row = result.rows.front();
  return {{"text", prompt.tokenizer ? nlohmann::ordered_json(writer.text()) : nlohmann::ordered_json()},
          {"token_ids", row.tokens},
          {"finish", writer.stopped() ? "stop_string" : inference::finish_name(row.finish)},
          {"prompt_tokens", result.prompt_tokens},
          {"new_tokens", row.tokens.size()},
          {"prefill_tokens_per_second", finite_or_null(result.prefill_tokens_per_second())},
          {"decode_tokens_per_second", finite_or_null(result.decode_tokens_per_second())},
          {"kv_cache_bytes", result.kv_cache_bytes},
          {"kv_cache_allocated_bytes", result.kv_cache_allocated_bytes}};
}

std::string summary(const inference::GenerationResult& result, const GenerateArguments& arguments) {
  return fmt::format("{} prompt tokens, {} tokens/s; {} new ones, {} tokens/s; KV cache {} ({})", result.prompt_tokens,
                     short_count(result.prefill_tokens_per_second()), result.rows.front().tokens.size(),
                     result.decoded_tokens > 0 ? short_count(result.decode_tokens_per_second()) : "–",
                     short_bytes(static_cast<double>(result.kv_cache_bytes)), arguments.cache_dtype);
}

void run_generate(const GenerateArguments& arguments) {
  const training::Machine machine = training::use_machine(inference_machine(arguments, "[generate] "));
  model::Decoder decoder = load_or_make_model(arguments.model, arguments.routing, arguments.seed.value_or(1));
  decoder.convert_to(machine.dtype);
  decoder.move_to(machine.device);
  const Prompt prompt = read_prompt(arguments, decoder.config());
  const inference::GenerationOptions options = generation_options(arguments, prompt, decoder.config(), machine);

  inference::StopStrings checked(arguments.stop);  // before anything runs
  std::optional<Writer> writer;                    // nothing is shown before the prompt has been found sound
  const inference::GenerationResult result =
      inference::generate(decoder, options, {prompt.ids}, [&](int64_t, uint32_t token) {
        if (!writer) writer.emplace(prompt, arguments.stop, !arguments.json);
        writer->token(token);
        return !stop_requested() && !writer->stopped();
      });
  writer->finish();
  if (arguments.json) {
    nlohmann::ordered_json json = to_json(result, prompt, *writer);
    json["routing"] = decoder.routing().text;
    json["seed"] = options.seed;
    json["machine"] = machine.description;
    print_result(arguments, json, "");
  } else if (!arguments.quiet) {
    std::cerr << summary(result, arguments) << "; " << machine.description << '\n';
  }
  if (result.rows.front().finish == inference::Finish::kStopped && !writer->stopped())
    throw Stopped(fmt::format("stopped by a signal after {} new tokens", result.rows.front().tokens.size()));
}

}  // namespace

void add_generate_command(CLI::App& app, Action& chosen) {
  const auto arguments = std::make_shared<GenerateArguments>();
  CLI::App* command =
      add_command(app, chosen, "generate", "Continue a prompt with the KV cache",
                  "  skipattn generate --model runs/sla --prompt 'def main():' --max-new-tokens 200\n"
                  "  skipattn generate --model gpt2/ --prompt-file story.txt --temperature 0.7 --top-p 0.95 --seed 3\n"
                  "  skipattn generate --model gpt2/ --prompt 'The answer is' --temperature 0 --json\n"
                  "  skipattn generate --model gpt2 --routing 'sla(distance=9, heads=9)' --prompt-ids 15496,995",
                  *arguments, [arguments] { run_generate(*arguments); });
  add_model_options(*command, *arguments);
  CLI::Option* prompt =
      command->add_option("--prompt", arguments->prompt, "text to continue; '': start from end-of-text");
  CLI::Option* file =
      command->add_option("--prompt-file", arguments->prompt_file, "file with it, as it is; -: standard input");
  CLI::Option* ids =
      command->add_option("--prompt-ids", arguments->prompt_ids, "token ids, 1,2,3, for models without a tokenizer");
  prompt->excludes(file)->excludes(ids);
  file->excludes(ids);
  arguments->prompt_option = prompt;
  command->add_option("--max-new-tokens", arguments->max_new_tokens, "default: 100, or fewer where positions end")
      ->check(kOneOrMore);
  command->add_option("--temperature", arguments->sampling.temperature, "0: always the likeliest token")
      ->capture_default_str();
  command->add_option("--top-k", arguments->sampling.top_k, "draw among the k likeliest tokens; 0: all")
      ->capture_default_str();
  command->add_option("--top-p", arguments->sampling.top_p, "draw among the fewest that hold this probability")
      ->capture_default_str();
  command
      ->add_option("--min-p", arguments->sampling.min_p, "draw among tokens this likely beside the likeliest; 0: all")
      ->capture_default_str();
  command
      ->add_option("--repetition-penalty", arguments->sampling.repetition_penalty,
                   "above 1: tokens that came before are less likely")
      ->capture_default_str();
  command->add_option("--stop", arguments->stop, "end before this text; may be given several times");
}

}  // namespace skipattn::cli
