#!/usr/bin/env bash
# From a bare machine to a first answer: sets up and builds, then trains `baseline`, `sla` and `sla(keys=own)` under two
# seeds on real text, prints the comparison, continues a prompt with each model, and writes quickstart/results/report.html.
#
#   scripts/quickstart.sh                 on the Python sources of this machine's interpreter and torch
#   scripts/quickstart.sh --data PATH     on your own text: a file, a folder, or JSONL (plain, .gz, .zst, .xz)
#   scripts/quickstart.sh --out DIR       another folder than quickstart/
#   SKIPATTN_QUICKSTART_STEPS=N           train longer or shorter
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

OUT=quickstart
DATA=()
INCLUDE=()
while (($#)); do
  case $1 in
    --data) [[ $# -ge 2 ]] || { echo "quickstart: --data needs a path" >&2; exit 2; }
      [[ -e $2 ]] || { echo "quickstart: --data $2: no such file or folder" >&2; exit 2; }
      DATA=("$2"); shift 2 ;;
    --out) [[ $# -ge 2 ]] || { echo "quickstart: --out needs a folder" >&2; exit 2; }; OUT=$2; shift 2 ;;
    -h | --help) sed -n '2,9s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) echo "quickstart: unknown argument $1 (--data PATH, --out DIR)" >&2; exit 2 ;;
  esac
done

SKIPATTN_TARGET=skipattn
source scripts/setup.sh
RUN=build/skipattn

# Real text that is always there: the standard library and torch, split into training and validation by file.
if ((${#DATA[@]} == 0)); then
  mapfile -t DATA < <("$TORCH_PYTHON" -c '
import os, sysconfig, torch
print(sysconfig.get_paths()["stdlib"])
print(os.path.dirname(torch.__file__))')
  INCLUDE=(--include '*.py')
fi

# Tokenized once; the folder remembers from what.
corpus=$(printf '%s\n' "${DATA[@]}" "${INCLUDE[@]}")
if [[ -f "$OUT/data/corpus.txt" && "$(cat "$OUT/data/corpus.txt")" != "$corpus" ]]; then
  echo "quickstart: $OUT/ holds the runs of another corpus ($(head -n 1 "$OUT/data/corpus.txt")); use --out DIR" >&2
  exit 2
fi
if [[ ! -f "$OUT/data/corpus.txt" ]]; then
  say "tokenizing ${DATA[*]}"
  rm -rf "$OUT/data/tokenizer"
  "$RUN" tokenize "${DATA[@]}" "${INCLUDE[@]}" --train-bpe 4096 --val 0.05 --out "$OUT/data/train.bin"
  printf '%s\n' "$corpus" >"$OUT/data/corpus.txt"
fi

settings=(--set "data.train=$PWD/$OUT/data/train.bin" --set "data.val=$PWD/$OUT/data/val.bin")
[[ "$OUT" = /* ]] && settings=(--set "data.train=$OUT/data/train.bin" --set "data.val=$OUT/data/val.bin")
[[ -n "${SKIPATTN_QUICKSTART_STEPS:-}" ]] && settings+=(--set "training.steps=$SKIPATTN_QUICKSTART_STEPS")
say "comparing: the same command goes on where it stopped"
"$RUN" compare --config experiments/quickstart.toml --out "$OUT/results" "${settings[@]}"

PROMPT=$'def read_lines(path):\n    """'
for model in "$OUT"/results/runs/*/seed-1; do
  say "$(basename "$(dirname "$model")") continues a prompt"
  "$RUN" generate --model "$model" --prompt "$PROMPT" --max-new-tokens 60 --seed 1
  echo
done
say "the report: $OUT/results/report.html"
