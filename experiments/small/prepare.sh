#!/usr/bin/env bash
# Makes the token files of the small experiments, once: books (long documents) and pages (the same books cut into short ones).
#
#   experiments/small/prepare.sh [BOOKS [OUT [TOKENIZER]]]
#
# BOOKS: a folder with train*.jsonl* and val.jsonl*, a book a line under "text"; default: $SKIPATTN_SHARED_DATA/books_pd.
# Writes OUT/{books,pages}/{train,val}.bin, where OUT is data/small, the place the experiments look at; what is there is kept.
# The vocabulary has 4096 tokens, trained on the training books; with TOKENIZER, a folder with vocab.json and merges.txt, it is that one.
# SKIPATTN_BINARY: the program; default bin/skipattn or build/skipattn.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source experiments/small/program.sh

BOOKS=${1:-${SKIPATTN_SHARED_DATA:-../shared/data}/books_pd}
OUT=${2:-data/small}
vocabulary=(--train-bpe 4096)
(($# >= 3)) && vocabulary=(--tokenizer "$3")
shopt -s nullglob
train=("$BOOKS"/train*.jsonl*)
val=("$BOOKS"/val.jsonl*)
if ((${#train[@]} == 0 || ${#val[@]} == 0)); then
  echo "prepare: '$BOOKS' holds no train*.jsonl* and val.jsonl*, one book a line" >&2
  exit 2
fi

if [[ ! -f "$OUT"/books/val.bin.json ]]; then
  "$RUN" tokenize "${train[@]}" "${vocabulary[@]}" --out "$OUT"/books/train.bin
  "$RUN" tokenize "${val[@]}" --tokenizer "$OUT"/books/tokenizer --out "$OUT"/books/val.bin
fi
if [[ ! -f "$OUT"/pages/val.bin.json ]]; then
  mkdir -p "$OUT"/pages
  for part in train val; do
    files=("${train[@]}")
    [[ $part == val ]] && files=("${val[@]}")
    "$PYTHON" experiments/small/cut_pages.py "${files[@]}" |
      "$RUN" tokenize - --tokenizer "$OUT"/books/tokenizer --out "$OUT"/pages/$part.bin
  done
fi
echo "prepare: $OUT/books and $OUT/pages are there"
