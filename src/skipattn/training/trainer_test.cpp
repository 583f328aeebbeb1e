#include "skipattn/training/trainer.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <limits>

#include "skipattn/io/test_folder.h"
#include "skipattn/model/test_models.h"

namespace skipattn::training {
namespace {

using model::testing::largest_difference;
using model::testing::small_config;
using model::testing::small_llama;

constexpr int64_t kContext = 24;

TrainingConfig training_config() {
  TrainingConfig config;
  config.steps = 4;
  config.batch_size = 4;
  config.micro_batch_size = 2;
  config.learning_rate = 1e-2;
  config.warmup_steps = 2;
  config.grad_clip = 0.5;
  return config;
}

data::Batch make_batch(int64_t step, int64_t vocabulary, bool documents = false) {
  at::manual_seed(100 + step);
  const at::Tensor tokens = at::randint(0, vocabulary, {4, kContext + 1}, at::kLong);
  data::Batch batch;
  batch.rows = tokens.size(0);
  batch.context = kContext;
  for (int64_t row = 0; row < batch.rows; ++row)
    for (int64_t t = 0; t < kContext; ++t) {
      batch.tokens.push_back(tokens[row][t].item<int64_t>());
      batch.targets.push_back(t == 3 ? -1 : tokens[row][t + 1].item<int64_t>());
      const int64_t start = 5 + row + step;  // of the row's second document
      if (documents) batch.first_key.push_back(static_cast<int32_t>(t < start ? 0 : start));
    }
  return batch;
}

Machine machine(at::DeviceType device, at::ScalarType dtype, int64_t vocabulary_multiple) {
  Machine machine;
  machine.device = device;
  machine.dtype = dtype;
  machine.vocabulary_multiple = vocabulary_multiple;
  return machine;
}

Machine card(at::ScalarType dtype) {
  return machine(at::kCUDA, dtype, 64);
}

/// What a run of some steps came to.
struct Trained {
  std::vector<StepOutcome> outcomes;
  std::vector<at::Tensor> masters, weights;
  std::string kind;
};

Trained run_steps(const model::ModelConfig& config, const Machine& machine, TrainingConfig training = training_config(),
                  bool documents = false) {
  model::Decoder decoder(config);
  decoder.initialize(5);
  Trainer trainer(decoder, training, machine);
  Trained run;
  for (int64_t step = 1; step <= training.steps; ++step)
    run.outcomes.push_back(trainer.step(make_batch(step, config.vocabulary, documents), step));
  for (const at::Tensor& master : trainer.masters()) run.masters.push_back(master.cpu());
  for (const at::Tensor& weight : decoder.parameters()) run.weights.push_back(weight.detach().cpu());
  run.kind = trainer.kind();
  return run;
}

/// Weights that have no gradient but for rounding, such as the bias of keys, go where AdamW's normalised noise takes them:
/// hence their wide limit where the arithmetic is another.
struct Limits {
  double loss, weights;
};
void expect_close(const Trained& found, const Trained& expected, const Limits& limits) {
  for (size_t i = 0; i < expected.outcomes.size(); ++i) {
    EXPECT_NEAR(found.outcomes[i].loss, expected.outcomes[i].loss, limits.loss) << "step " << i + 1;
    EXPECT_NEAR(found.outcomes[i].grad_norm, expected.outcomes[i].grad_norm, limits.loss * 10) << "step " << i + 1;
    EXPECT_FALSE(found.outcomes[i].skipped);
  }
  for (size_t i = 0; i < expected.masters.size(); ++i) {
    EXPECT_EQ(found.masters[i].sizes(), expected.masters[i].sizes());
    EXPECT_LT(largest_difference(found.masters[i], expected.masters[i]), limits.weights) << i;
    EXPECT_EQ(largest_difference(found.weights[i], found.masters[i].to(found.weights[i].scalar_type())), 0.0);
  }
}

/// Sets an environment variable for its own life.
class Environment {
 public:
  Environment(const char* name, const char* value) : name_(name) { setenv(name, value, 1); }
  ~Environment() { unsetenv(name_); }

 private:
  const char* name_;
};

TEST(Trainer, TheFusedStepIsThePlainOne) {
  for (const model::ModelConfig& config :
       {small_config("sla(distance=2, heads=3)"), small_llama("sla(distance=1, heads=2, chain=resolved)")}) {
    const Trained fused = run_steps(config, {});
    EXPECT_EQ(fused.kind, "fused");
    const Environment plain_step("SKIPATTN_STEP", "plain");
    const Trained plain = run_steps(config, {});
    EXPECT_EQ(plain.kind, "plain");
    expect_close(fused, plain, {1e-4, 1e-3});
    EXPECT_LT(fused.outcomes.back().loss, fused.outcomes.front().loss + 1);
  }
}

/// With windows in some layers.
model::ModelConfig windowed_config() {
  return small_config("yoco(split=1/2, window=5)");
}

TEST(Trainer, SoItIsWithDocumentsAndWindows) {
  const Trained fused = run_steps(windowed_config(), {}, training_config(), /*documents=*/true);
  EXPECT_EQ(fused.kind, "fused");
  const Environment plain_step("SKIPATTN_STEP", "plain");
  expect_close(fused, run_steps(windowed_config(), {}, training_config(), /*documents=*/true), {1e-4, 1e-3});
  const Trained whole = run_steps(windowed_config(), {});
  EXPECT_GT(std::abs(whole.outcomes.back().loss - fused.outcomes.back().loss), 1e-3);  // the mask says something
}

TEST(Trainer, PaddingOfTheVocabularyChangesNothing) {
  for (const bool tied : {true, false})
    for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
      model::ModelConfig config = small_config("sla(distance=2, heads=3)");
      config.tied_head = tied;
      const Trained plain = run_steps(config, machine(at::kCPU, dtype, 1));
      const Trained padded = run_steps(config, machine(at::kCPU, dtype, 64));
      expect_close(padded, plain, dtype == at::kFloat ? Limits{1e-5, 1e-4} : Limits{2e-2, 0.2});
    }
}

TEST(Trainer, AStepThatIsNotFiniteIsSkipped) {
  const model::ModelConfig config = small_config("baseline");
  model::Decoder decoder(config);
  decoder.initialize(5);
  decoder.parameters()[0].view(-1)[0] = std::numeric_limits<float>::infinity();
  Trainer trainer(decoder, training_config(), {});
  const std::vector<at::Tensor> before = trainer.masters();
  const at::Tensor second = before[2].clone();
  EXPECT_TRUE(trainer.step(make_batch(1, 1), 1).skipped);
  EXPECT_TRUE(at::equal(trainer.masters()[2], second));
}

TEST(Trainer, WithItsMomentsAnotherTrainerGoesOn) {
  const model::ModelConfig config = small_config("sla(distance=2, heads=3)");
  const io::TestFolder folder;
  model::Decoder first(config), second(config);
  first.initialize(5);
  Trainer whole(first, training_config(), machine(at::kCPU, at::kFloat, 64));
  for (int64_t step = 1; step <= 3; ++step) whole.step(make_batch(step, config.vocabulary), step);
  whole.save_moments(folder.path() / "trainer.safetensors");
  for (size_t i = 0; i < first.parameters().size(); ++i)
    second.set_parameter(static_cast<int>(i), whole.masters()[i].clone());
  Trainer resumed(second, training_config(), machine(at::kCPU, at::kFloat, 64));
  resumed.load_moments(folder.path() / "trainer.safetensors");
  const StepOutcome expected = whole.step(make_batch(4, config.vocabulary), 4);
  const StepOutcome found = resumed.step(make_batch(4, config.vocabulary), 4);
  EXPECT_EQ(found.loss, expected.loss);
  EXPECT_EQ(found.grad_norm, expected.grad_norm);
  for (size_t i = 0; i < first.parameters().size(); ++i)
    EXPECT_TRUE(at::equal(resumed.masters()[i], whole.masters()[i]));
}

TEST(Trainer, TenStepsOnACardAreThoseOnTheCpu) {
  if (!at::hasCUDA()) GTEST_SKIP() << "torch sees no CUDA device";
  TrainingConfig training = training_config();
  training.steps = 10;
  for (const model::ModelConfig& config :
       {small_config("baseline"), small_config("sla(distance=2, heads=3)"), small_llama("cla(group=2)")}) {
    const Trained exact = run_steps(config, machine(at::kCPU, at::kFloat, 1), training);
    expect_close(run_steps(config, card(at::kFloat), training), exact, {1e-4, 0.1});
    const Trained rounded = run_steps(config, machine(at::kCPU, at::kBFloat16, 1), training);
    expect_close(run_steps(config, card(at::kBFloat16), training), rounded, {2e-2, 0.2});
  }
}

TEST(Trainer, ACudaGraphDoesWhatItsStepsDo) {
  if (!at::hasCUDA()) GTEST_SKIP() << "torch sees no CUDA device";
  TrainingConfig training = training_config();
  training.steps = 10;
  for (const int64_t micro_batch : {4, 2})
    for (const bool documents : {false, true})
      for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
        training.micro_batch_size = micro_batch;
        const model::ModelConfig config = documents ? windowed_config() : small_config("sla(distance=2, heads=3)");
        const Trained recorded = run_steps(config, card(dtype), training, documents);
        EXPECT_EQ(recorded.kind, "CUDA graph");
        const Environment no_graph("SKIPATTN_CUDA_GRAPH", "0");
        const Trained launched = run_steps(config, card(dtype), training, documents);
        EXPECT_EQ(launched.kind, "fused");
        expect_close(recorded, launched, dtype == at::kFloat ? Limits{1e-4, 0.1} : Limits{2e-2, 0.2});
      }
}

}  // namespace
}  // namespace skipattn::training
