#include "skipattn/core/cuda/emulation.h"

#include <setjmp.h>
#include <ucontext.h>

#include <deque>
#include <memory>
#include <stdexcept>
#include <vector>

namespace skipattn::cuda::emulation {

namespace {

constexpr unsigned kWarpSize = 32;
constexpr size_t kStackBytes = 64 * 1024;

enum class Wait { kNone, kWarp, kBlock, kEnded };

/// A coroutine with a stack of its own, which serves one thread of every block after the other. It is entered once through
/// its ucontext; from then on _setjmp and _longjmp change over, which ask nothing of the system.
struct Thread {
  jmp_buf state;
  std::unique_ptr<char[]> stack;
  Index index;
  Wait wait = Wait::kNone;
  unsigned exchanges = 0;  // so far; odd and even ones have slots of their own, so no lane can run two ahead
};

struct Warp {
  uint64_t slots[2][kWarpSize] = {};
};

/// The one block that is running.
struct Block {
  std::deque<Thread> threads;  ///< as many as the largest block so far
  unsigned count = 0;          ///< of this block
  std::vector<Warp> warps;
  Index index, size, grid;
  const std::function<void()>* body = nullptr;
  jmp_buf scheduler;
  Thread* running = nullptr;
};
Block block;

/// Back to the scheduler; returns when it resumes this thread.
void leave(Wait why) {
  Thread& self = *block.running;
  self.wait = why;
  if (_setjmp(self.state) == 0) _longjmp(block.scheduler, 1);
}

void thread_main() {
  for (;;) {  // the coroutine's next turn is another block's
    (*block.body)();
    leave(Wait::kEnded);
  }
}

void enter_first_time(Thread& thread) {
  thread.stack = std::make_unique<char[]>(kStackBytes);
  ucontext_t context;
  getcontext(&context);
  context.uc_stack.ss_sp = thread.stack.get();
  context.uc_stack.ss_size = kStackBytes;
  context.uc_link = nullptr;
  makecontext(&context, thread_main, 0);
  setcontext(&context);
}

void resume(Thread& thread) {
  block.running = &thread;
  if (_setjmp(block.scheduler) != 0) return;
  thread.stack ? _longjmp(thread.state, 1) : enter_first_time(thread);
}

/// The kernel cannot go on: its coroutines begin anew with the next one.
[[noreturn]] void give_up(const char* why) {
  for (Thread& thread : block.threads) thread.stack.reset();
  throw std::logic_error(why);
}

/// Lets threads [begin, end) go on when all that have not ended wait at `barrier`. Whether any did.
bool release(unsigned begin, unsigned end, Wait barrier) {
  bool any = false;
  for (unsigned t = begin; t < end; ++t) {
    const Wait wait = block.threads[t].wait;
    if (wait != barrier && wait != Wait::kEnded) return false;
    any = any || wait == barrier;
  }
  if (!any) return false;
  for (unsigned t = begin; t < end; ++t) {
    // On a card a barrier after some threads have returned is an error in the making: here it is one at once.
    if (block.threads[t].wait == Wait::kEnded)
      give_up("emulated kernel: some threads wait at a barrier, others have ended");
    block.threads[t].wait = Wait::kNone;
  }
  return true;
}

void run_block() {
  const unsigned count = block.count;
  for (unsigned t = 0; t < count; ++t) {
    Thread& thread = block.threads[t];
    thread.index = {t, 0, 0};
    thread.wait = Wait::kNone;
    thread.exchanges = 0;
  }
  for (bool moved = true; moved;) {
    moved = false;
    for (unsigned first = 0; first < count; first += kWarpSize) {
      for (unsigned t = first; t < first + kWarpSize; ++t) {
        if (block.threads[t].wait != Wait::kNone) continue;
        resume(block.threads[t]);
        moved = true;
      }
      moved = release(first, first + kWarpSize, Wait::kWarp) || moved;
    }
    moved = release(0, count, Wait::kBlock) || moved;
  }
  for (unsigned t = 0; t < count; ++t)
    if (block.threads[t].wait != Wait::kEnded)
      give_up("emulated kernel: threads of a block wait at different barriers");
}

}  // namespace

void run(int64_t blocks, int threads, const std::function<void()>& thread) {
  if (threads <= 0 || threads > 1024 || threads % static_cast<int>(kWarpSize) != 0)
    throw std::logic_error("emulated kernel: threads of a block must be a multiple of 32 up to 1024");
  block.body = &thread;
  while (block.threads.size() < static_cast<size_t>(threads)) block.threads.emplace_back();  // they keep their places
  block.count = static_cast<unsigned>(threads);
  block.warps.assign(threads / kWarpSize, {});
  block.size = {static_cast<unsigned>(threads), 1, 1};
  block.grid = {static_cast<unsigned>(blocks), 1, 1};
  for (int64_t b = 0; b < blocks; ++b) {
    block.index = {static_cast<unsigned>(b), 0, 0};
    run_block();
  }
}

const Index& thread_index() {
  return block.running->index;
}
const Index& block_index() {
  return block.index;
}
const Index& block_size() {
  return block.size;
}
const Index& grid_size() {
  return block.grid;
}

void block_barrier() {
  leave(Wait::kBlock);
}

uint64_t exchange_in_warp(uint64_t value, unsigned lane) {
  Thread& self = *block.running;
  uint64_t* slots = block.warps[self.index.x / kWarpSize].slots[self.exchanges++ % 2];
  slots[self.index.x % kWarpSize] = value;
  leave(Wait::kWarp);
  return slots[lane % kWarpSize];
}

}  // namespace skipattn::cuda::emulation
