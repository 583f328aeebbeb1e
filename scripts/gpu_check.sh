#!/usr/bin/env bash
# On a machine with a CUDA card, network or not: builds, runs the tests that need a card, times training beside nanoGPT with
# torch.compile, and keeps the figures.
#
#   scripts/gpu_check.sh                      everything; figures in results/gpu: machine.txt, tests.txt, bench.txt
#   scripts/gpu_check.sh test                 parts of it: build, test, bench (beside nanoGPT), routing; all build first
#   GPU_CHECK_OUT=DIR                         another folder for the figures, which are added to
#   GPU_CHECK_TESTS=FILTER                    tests by name; default: those that need a card; '*': all
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
TESTS=${GPU_CHECK_TESTS:-*OnACudaDevice*:CudaOperator*:*HeadsAtEveryStep*:*DocumentsWithAWindow*:Trainer.TenSteps*:Trainer.ACudaGraph*}
PARTS=("$@")
[[ ${#PARTS[@]} -gt 0 ]] || PARTS=(build test bench routing)

wants() {
  local part
  for part in "${PARTS[@]}"; do [[ "$part" == "$1" ]] && return 0; done
  return 1
}
for part in "${PARTS[@]}"; do
  [[ "$part" =~ ^(build|test|bench|routing)$ ]] || { echo "gpu_check: '$part' is none of build, test, bench, routing" >&2; exit 2; }
done

nvidia-smi -L >/dev/null 2>&1 || { echo "gpu_check: nvidia-smi finds no CUDA card here" >&2; exit 1; }
# Whatever the part: what is built already takes a second, and setup.sh finds a prefix's libraries.
export SKIPATTN_PRESET=cuda SKIPATTN_TARGET=${SKIPATTN_TARGET:-skipattn attention_test training_test}
source scripts/setup.sh
"$SKIPATTN_PYTHON" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || {
  echo "gpu_check: torch $("$SKIPATTN_PYTHON" -c 'import torch; print(torch.__version__)') sees no CUDA card here" >&2
  exit 1
}
mkdir -p "$OUT"
status=0

describe_machine() {
  nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm --format=csv,noheader
  "$SKIPATTN_PYTHON" -c 'import torch; print("torch", torch.__version__, "cuda", torch.version.cuda)'
  git log -1 --format='skipattn %h' 2>/dev/null || true
}

run_tests() {
  local program
  for program in training attention; do
    "build-cuda/src/skipattn/$program/${program}_test" --gtest_filter="$TESTS" 2>&1 || status=1
  done
}

bench() {
  "$SKIPATTN_PYTHON" bench/bench_training.py "$@" --program build-cuda/skipattn --device cuda || status=1
}

bench_peers() {
  local model peer=(--fetch)
  [[ -n "${GPU_CHECK_NANOGPT:-}" ]] && peer=(--nanogpt "$GPU_CHECK_NANOGPT")
  for model in $MODELS; do
    echo "$model"
    bench peers --model "$model" --sizes "$SIZES" --peers nanogpt-compile "${peer[@]}" --rounds "${GPU_CHECK_ROUNDS:-2}"
  done
  echo "memory"
  bench peers --sizes 1x16384 --peers nanogpt-compile "${peer[@]}" --rounds 1
}

bench_routing() {
  local model
  for model in $MODELS; do
    echo "$model"
    bench routing --model "$model" --routing sla --sizes "$SIZES"
  done
}

# Appends to a file of the figures what a function prints, and shows it.
keep() {
  "$2" > >(tee -a "$OUT/$1")
  wait $!
}

keep machine.txt describe_machine
if wants test; then keep tests.txt run_tests; fi
if wants bench; then keep bench.txt bench_peers; fi
if wants routing; then keep bench.txt bench_routing; fi
exit $status
