#include "skipattn/serving/completion_request.h"

#include <algorithm>

#include "skipattn/core/text.h"
#include "skipattn/serving/api_error.h"
#include "skipattn/serving/request_fields.h"

namespace skipattn::serving {

namespace {

using Json = nlohmann::json;
using inference::TokenIds;

constexpr size_t kMostStops = 16;

bool is_id_list(const Json& value) {
  return value.is_array() && !value.empty() && value.front().is_number();
}

Prompt text_prompt(const std::string& text, const ServedModel& model) {
  if (!model.tokenizer)
    throw InputError("prompt: the model has no tokenizer, so prompts are lists of token ids, [15, 7, 4]");
  Prompt prompt;
  prompt.ids = model.tokenizer->encode_with_special(text, /*add_special_tokens=*/true);
  const TokenIds plain = model.tokenizer->encode_with_special(text);
  if (plain.size() < prompt.ids.size() && std::equal(plain.rbegin(), plain.rend(), prompt.ids.rbegin()))
    prompt.hidden = prompt.ids.size() - plain.size();
  if (prompt.ids.empty() && model.end_of_text >= 0) prompt = {{static_cast<uint32_t>(model.end_of_text)}, 1};
  if (prompt.ids.empty()) throw InputError("prompt: it is empty, and the model has no end-of-text token to start from");
  return prompt;
}

Prompt id_prompt(const Json& list, const ServedModel& model) {
  Prompt prompt;
  for (const Json& id : list) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= static_cast<uint64_t>(model.vocabulary))
      throw InputError("prompt: {} is not a token id of this model; ids are 0..{}", shown(id), model.vocabulary - 1);
    prompt.ids.push_back(id.get<uint32_t>());
  }
  return prompt;
}

Prompt one_prompt(const Json& value, const ServedModel& model) {
  if (value.is_string()) return text_prompt(value.get_ref<const std::string&>(), model);
  if (is_id_list(value)) return id_prompt(value, model);
  throw InputError("prompt: {} in the list; a prompt is a text or a list of token ids", shown(value));
}

std::vector<Prompt> read_prompts(const Json& value, const ServedModel& model) {
  if (value.is_string() || is_id_list(value)) return {one_prompt(value, model)};
  if (!value.is_array() || value.empty())
    throw InputError("prompt={}: must be a text, a list of token ids, or a list of one or the other",
                     value.is_array() ? "[]" : shown(value));
  if (value.size() > static_cast<size_t>(kMostChoices))
    throw InputError("prompt: {} prompts; a request may have at most {}", value.size(), kMostChoices);
  std::vector<Prompt> prompts;
  for (const Json& item : value) prompts.push_back(one_prompt(item, model));
  return prompts;
}

void read_sampling(RequestFields& fields, inference::SamplingOptions& sampling, FaultList& faults) {
  sampling.temperature = fields.number("temperature", sampling.temperature);
  sampling.top_p = fields.number("top_p", sampling.top_p);
  sampling.top_k = fields.integer("top_k", sampling.top_k, {});
  sampling.min_p = fields.number("min_p", sampling.min_p);
  sampling.repetition_penalty = fields.number("repetition_penalty", sampling.repetition_penalty);
  sampling.find_faults(faults);
}

void read_stream(RequestFields& fields, CompletionRequest& request, FaultList& faults) {
  request.stream = fields.boolean("stream", false);
  const Json* options = fields.find("stream_options");
  if (!options) return;
  if (!options->is_object()) {
    faults.add("stream_options={}: must be an object", shown(*options));
    return;
  }
  RequestFields inner(*options, faults);
  request.include_usage = inner.boolean("include_usage", false);
  inner.must_be_neutral("include_obfuscation", {false, true});
  inner.find_unknown_keys();
  if (!request.stream) faults.add_text("stream_options: only with stream=true");
}

/// Everything but the prompts.
void read_fields(RequestFields& fields, CompletionRequest& request, FaultList& faults) {
  read_sampling(fields, request.sampling, faults);
  read_stream(fields, request, faults);
  request.stop = fields.strings("stop", kMostStops);
  request.n = fields.integer("n", 1, {1, kMostChoices});
  request.logprobs = fields.integer("logprobs", -1, {0, kMostLogprobs});
  request.echo = fields.boolean("echo", false);
  const auto fallback = static_cast<int64_t>(request.seed);
  request.seed = static_cast<uint64_t>(fields.integer("seed", fallback, {std::numeric_limits<int64_t>::min()}));
  fields.must_be_neutral("best_of", {1, request.n});
  fields.must_be_neutral("presence_penalty", {0});
  fields.must_be_neutral("frequency_penalty", {0});
  fields.must_be_neutral("logit_bias", {Json::object()});
  fields.must_be_neutral("suffix", {""});
  if (const Json* user = fields.find("user"); user && !user->is_string())
    faults.add("user={}: must be a text", shown(*user));
}

void check_lengths(CompletionRequest& request, bool tokens_given, const ServedModel& model) {
  int64_t longest = 0;
  for (const Prompt& prompt : request.prompts) longest = std::max(longest, static_cast<int64_t>(prompt.ids.size()));
  if (!tokens_given) request.max_tokens = std::clamp<int64_t>(model.positions - longest + 1, 1, request.max_tokens);
  if (longest > model.positions || request.max_tokens > model.positions - longest + 1)
    throw ApiError(
        400, "context_length_exceeded",
        fmt::format("a prompt of {} tokens and max_tokens={}: the model has {} positions, the last new token "
                    "needs none",
                    longest, request.max_tokens, model.positions));
  if (request.choices() > kMostChoices)
    throw InputError("{} prompts with n={}: a request may ask for at most {} texts", request.prompts.size(), request.n,
                     kMostChoices);
}

CompletionRequest read_object(const Json& object, const ServedModel& model, uint64_t seed) {
  FaultList faults;
  RequestFields fields(object, faults);
  CompletionRequest request;
  request.seed = seed;
  if (const Json* name = fields.find("model"); name && *name != Json(model.name))
    throw ApiError(404, "model_not_found", fmt::format("model {}: this server has '{}'", shown(*name), model.name));
  const Json* prompt = fields.find("prompt");
  if (!prompt) faults.add_text("prompt: not given; it is a text, a list of token ids, or a list of one or the other");
  const bool tokens_given = fields.find("max_tokens") != nullptr;
  request.max_tokens = fields.integer("max_tokens", request.max_tokens, {});
  read_fields(fields, request, faults);
  if (request.max_tokens == 0 && !request.echo) faults.add_text("max_tokens=0: only with echo=true");
  fields.find_unknown_keys();
  if (!faults.empty()) throw InputError(join(faults.faults(), "; "));
  request.prompts = read_prompts(*prompt, model);
  check_lengths(request, tokens_given, model);
  return request;
}

}  // namespace

int64_t CompletionRequest::prompt_tokens() const {
  size_t count = 0;
  for (const Prompt& prompt : prompts) count += prompt.ids.size();
  return static_cast<int64_t>(count);
}

CompletionRequest parse_completion_request(std::string_view body, const ServedModel& model, uint64_t seed) {
  const Json object = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) throw ApiError(400, "", "the body is not JSON");
  if (!object.is_object()) throw ApiError(400, "", fmt::format("the body is {}; it must be an object", shown(object)));
  try {
    return read_object(object, model, seed);
  } catch (const InputError& error) {
    throw ApiError(400, "", error.what());
  }
}

}  // namespace skipattn::serving
