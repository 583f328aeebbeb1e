// The table of one level, from its words.
#pragma once

#include "skipattn/attention/cpu/kernels/backward.h"
#include "skipattn/attention/cpu/kernels/forward.h"
#include "skipattn/attention/cpu/kernels/pack.h"

namespace skipattn::attention::cpu {
namespace {

template <class A>
KernelTable make_table(const char* name) {
  KernelTable table;
  table.name = name;
  table.pair = A::kPair;
  table.pack_rows = pack_rows<A>;
  table.pack_pairs = pack_pairs<A>;
  table.pack_lanes = pack_lanes<A>;
  table.forward_scratch_floats = [](const Geometry& g) { return ForwardScratch::floats(g); };
  table.forward = [](const ForwardBlock& block) { Forward<A>(block).run(); };
  table.backward_scratch_floats = [](const Geometry&) { return BackwardScratch::floats(A::kPair); };
  table.weigh = [](const BackwardTile& tile) { Backward<A>(tile).run(); };
  table.grad_keys = add_key_gradients<A>;
  table.grad_query = [](const BackwardTile& tile, bool add, float* sums) { Backward<A>(tile).grad_query(add, sums); };
  table.row_dots = row_dots<A>;
  table.write_lanes = write_scaled_lanes<A>;
  table.write_rows = write_rows<A>;
  return table;
}

}  // namespace
}  // namespace skipattn::attention::cpu
