#!/usr/bin/env bash
# On a machine with a CUDA card, network or not: builds, runs the tests that need a card, times training beside nanoGPT with
# torch.compile, and keeps the figures.
#
#   scripts/gpu_check.sh                      everything; figures in results/gpu
#   scripts/gpu_check.sh build test           parts of it: build, test, bench
#   GPU_CHECK_OUT=DIR                         another folder for the figures
#   GPU_CHECK_NANOGPT=DIR                     nanoGPT at its pinned commit (bench_training.py names it); default: fetched
#   GPU_CHECK_MODELS="gpt2 gpt2-medium"       124M and 350M
#   GPU_CHECK_SIZES=64x1024,16x4096,8x8192,4x16384   sequences x tokens of a step
#   SKIPATTN_PREFIX=DIR and the other variables of scripts/setup.sh; without network the prefix is a folder of unpacked
#   packages (docs/setup.md)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OUT=${GPU_CHECK_OUT:-results/gpu}
MODELS=${GPU_CHECK_MODELS:-gpt2 gpt2-medium}
SIZES=${GPU_CHECK_SIZES:-64x1024,16x4096,8x8192,4x16384}
PARTS=("$@")
[[ ${#PARTS[@]} -gt 0 ]] || PARTS=(build test bench)

wants() {
  local part
  for part in "${PARTS[@]}"; do [[ "$part" == "$1" ]] && return 0; done
  return 1
}
for part in "${PARTS[@]}"; do
  [[ "$part" =~ ^(build|test|bench)$ ]] || { echo "gpu_check: '$part' is none of build, test, bench" >&2; exit 2; }
done

export SKIPATTN_PRESET=cuda
if wants build; then
  source scripts/setup.sh
else
  SKIPATTN_PYTHON=${SKIPATTN_TORCH_PYTHON:-$([[ -x .venv/bin/python ]] && echo .venv/bin/python || echo python3)}
fi
"$SKIPATTN_PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
  echo "gpu_check: torch $("$SKIPATTN_PYTHON" -c 'import torch; print(torch.__version__)') sees no CUDA card here" >&2
  exit 1
}
mkdir -p "$OUT"

describe_machine() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
  "$SKIPATTN_PYTHON" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda)'
  git log -1 --format='skipattn %h' 2>/dev/null || true
}

run_tests() {
  local program failed=0
  for program in core attention model training inference; do
    echo "== ${program}_test" >&2
    "build-cuda/src/skipattn/$program/${program}_test" --gtest_brief=1 2>&1 | tee "$OUT/${program}_test.txt" | tail -n 20 >&2 || failed=1
  done
  return $failed
}

run_benchmarks() {
  local model peer=(--fetch)
  [[ -n "${GPU_CHECK_NANOGPT:-}" ]] && peer=(--nanogpt "$GPU_CHECK_NANOGPT")
  for model in $MODELS; do
    "$SKIPATTN_PYTHON" bench/bench_training.py peers --program build-cuda/skipattn --device cuda --model "$model" --sizes "$SIZES" \
      --peers nanogpt-compile "${peer[@]}" --rounds "${GPU_CHECK_ROUNDS:-2}" | tee "$OUT/$model.txt"
    "$SKIPATTN_PYTHON" bench/bench_training.py routing --program build-cuda/skipattn --device cuda --model "$model" \
      --routing sla --sizes "$SIZES" | tee "$OUT/$model-sla.txt"
  done
  "$SKIPATTN_PYTHON" bench/bench_training.py peers --program build-cuda/skipattn --device cuda --sizes 1x16384 \
    --peers nanogpt-compile "${peer[@]}" --rounds 1 | tee "$OUT/memory.txt"
}

describe_machine | tee "$OUT/machine.txt"
if wants test; then run_tests; fi
if wants bench; then run_benchmarks; fi
