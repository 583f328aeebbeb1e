#include "skipattn/training/evaluation.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "skipattn/data/token_writer.h"
#include "skipattn/io/test_folder.h"
#include "skipattn/model/test_models.h"
#include "skipattn/training/batch_buffers.h"
#include "skipattn/training/loss.h"

namespace skipattn::training {
namespace {

/// A corpus of documents of 50 and 75 tokens (end-of-text, 60, included).
std::shared_ptr<const data::TokenFiles> write_corpus(const io::TestFolder& folder) {
  data::TokenFileWriter writer(folder / "v.bin", {.vocab_size = 61, .vocab_hash = 1, .end_of_text = 60});
  at::manual_seed(4);
  for (const int64_t length : {49, 74, 49, 74}) {
    const at::Tensor ids = at::randint(0, 60, {length}, at::kLong);
    std::vector<uint32_t> tokens;
    for (int64_t i = 0; i < length; ++i) tokens.push_back(static_cast<uint32_t>(ids[i].item<int64_t>()));
    writer.append(tokens);
    writer.end_document(100);
  }
  writer.commit();
  return std::make_shared<const data::TokenFiles>(std::vector<std::string>{(folder / "v.bin").string()});
}

TEST(Evaluation, BucketsAddUpToTheMeanOfEveryToken) {
  const io::TestFolder folder;
  model::Decoder decoder(model::testing::small_config("sla(distance=2, heads=2)"));
  decoder.initialize(2);
  const data::Loader loader(write_corpus(folder), {.context = 40, .batch_size = 1, .document_positions = true});
  EvaluationOptions options;
  options.windows = loader.windows();
  options.micro_batch = 4;  // does not divide the six windows
  const Evaluation result = evaluate(decoder, loader, options, at::kCPU);

  const c10::NoGradGuard no_grad;
  double sum = 0;
  std::map<int64_t, LossSum> by_document;
  for (int64_t window = 0; window < loader.windows(); ++window) {
    const data::Batch batch = loader.sequences(window, 1);
    BatchBuffers buffers(at::kCPU);
    buffers.fill(batch);
    const at::Tensor logits = decoder.logits(decoder.hidden_states(buffers.input()))[0];
    const at::Tensor losses = at::cross_entropy_loss(logits, buffers.targets(), {}, at::Reduction::None);
    for (int64_t t = 0; t < 40; ++t) {
      sum += losses[t].item<double>();
      LossSum& bucket = by_document[batch.document_positions[t] < 64 ? 0 : 64];
      bucket.sum += losses[t].item<double>();
      ++bucket.count;
    }
  }
  EXPECT_EQ(result.total.count, 40 * loader.windows());
  EXPECT_NEAR(result.total.mean(), sum / static_cast<double>(result.total.count), 1e-5);
  ASSERT_EQ(result.by_position.size(), 1u);
  EXPECT_EQ(result.by_position[0].to, 40);
  ASSERT_EQ(result.by_document_position.size(), 2u);
  for (const LossBucket& bucket : result.by_document_position) {
    EXPECT_EQ(bucket.loss.count, by_document.at(bucket.from).count);
    EXPECT_NEAR(bucket.loss.mean(), by_document.at(bucket.from).mean(), 1e-5);
  }
}

TEST(Evaluation, EdgesDouble) {
  EXPECT_EQ(position_edges(40), (std::vector<int64_t>{0, 40}));
  EXPECT_EQ(position_edges(64), (std::vector<int64_t>{0, 64}));
  EXPECT_EQ(position_edges(300), (std::vector<int64_t>{0, 64, 128, 256, 300}));
}

TEST(Evaluation, OnlyScoredPositionsCount) {
  const io::TestFolder folder;
  model::Decoder decoder(model::testing::small_config("baseline"));
  decoder.initialize(2);
  const data::Loader loader(write_corpus(folder), {.context = 40, .batch_size = 1, .stride = 10});
  EvaluationOptions options;
  options.windows = 3;
  options.first_scored = [](int64_t window) { return window == 0 ? 0 : 30; };
  EXPECT_EQ(evaluate(decoder, loader, options, at::kCPU).total.count, 40 + 10 + 10);
}

}  // namespace
}  // namespace skipattn::training
