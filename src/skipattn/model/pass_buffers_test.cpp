#include "skipattn/model/pass_buffers.h"

#include <gtest/gtest.h>

#include "skipattn/model/decoder.h"

namespace skipattn::model {
namespace {

int64_t arena_bytes(const std::string& routing, int64_t length, bool recompute) {
  ModelConfig config = preset("gpt2");
  config.positions = length;
  config.vocabulary = 100;
  config.routing = routing;
  const Decoder decoder(config);
  PassShape shape;
  shape.batch = 1;
  shape.length = length;
  shape.recompute = recompute;
  shape.loss_bytes = 1 << 20;
  return make_pass_buffers(decoder.config(), decoder.layouts(), at::kBFloat16, shape).arena.numel();
}

// Gradients of what several layers read, and its packed form, live while activations have left: they cost nothing.
TEST(PassBuffers, BorrowingTakesNoMoreMemoryThanTheBaseline) {
  for (const int64_t length : {512, 4096, 16384})
    for (const char* routing : {"sla(distance=9,heads=9)", "sla", "skipv1"})
      EXPECT_LE(arena_bytes(routing, length, false), arena_bytes("baseline", length, false))
          << routing << " " << length;
}

TEST(PassBuffers, RecomputationTakesLess) {
  EXPECT_LT(arena_bytes("sla", 4096, true), 0.6 * static_cast<double>(arena_bytes("sla", 4096, false)));
}

}  // namespace
}  // namespace skipattn::model
