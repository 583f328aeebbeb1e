// What generation asks of a model that reads prompts and then tokens: the engine, or a session where the engine does not run.
#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <vector>

#include "skipattn/inference/engine.h"
#include "skipattn/inference/session.h"

namespace skipattn::inference {

class RowReader {
 public:
  virtual ~RowReader() = default;
  /// Reads the prompts, once: logits fp32 [rows, vocabulary], valid until the next call.
  virtual std::span<const float> read_prompts() = 0;
  /// Reads one more token of some rows, ascending: logits [rows.size(), vocabulary].
  virtual std::span<const float> read_next(const std::vector<int64_t>& rows, const TokenIds& tokens) = 0;
  virtual int64_t cache_bytes() const = 0;
  virtual int64_t cache_bytes_allocated() const = 0;
};

/// Every row a sequence of its own.
class EngineReader : public RowReader {
 public:
  EngineReader(Engine& engine, const std::vector<TokenIds>& prompts);
  std::span<const float> read_prompts() override;
  std::span<const float> read_next(const std::vector<int64_t>& rows, const TokenIds& tokens) override;
  int64_t cache_bytes() const override;
  int64_t cache_bytes_allocated() const override;

 private:
  Engine& engine_;
  const std::vector<TokenIds>& prompts_;
  std::vector<CachedSequence> sequences_;
  std::vector<float> logits_;  // of the prompts
};

/// Rows side by side; those that have ended are carried along unheard.
class SessionReader : public RowReader {
 public:
  /// Throws InputError for int8.
  SessionReader(const model::Decoder& decoder, const EngineOptions& options, const std::vector<TokenIds>& prompts);
  std::span<const float> read_prompts() override;
  std::span<const float> read_next(const std::vector<int64_t>& rows, const TokenIds& tokens) override;
  int64_t cache_bytes() const override;
  int64_t cache_bytes_allocated() const override;

 private:
  Session session_;
  TokenIds last_;      // [B]
  at::Tensor logits_;  // keeps what was handed out
};

}  // namespace skipattn::inference
