#!/usr/bin/env bash
# Makes the token files of the experiments on a card, once: books and the same books cut into pages, in GPT-2's vocabulary.
#
#   experiments/card/prepare.sh BOOKS TOKENIZER [OUT]
#
# BOOKS: a folder with train*.jsonl* and val.jsonl*, a book a line under "text". TOKENIZER: a folder with GPT-2's vocab.json and
# merges.txt. Writes OUT/{books,pages}/{train,val}.bin, where OUT is data/card, the place the experiments look at; what is there
# is kept. Paths are seen from the repository's root.
# SKIPATTN_BINARY: the program; default bin/skipattn or build/skipattn.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source experiments/small/program.sh

(($# >= 2)) || { sed -n '2,9s/^# \{0,1\}//p' experiments/card/prepare.sh >&2; exit 2; }
BOOKS=$1 TOKENIZER=$2 OUT=${3:-data/card}
shopt -s nullglob
for part in train val; do
  files=("$BOOKS/$part"*.jsonl*)
  ((${#files[@]})) || { echo "prepare: '$BOOKS' holds no $part*.jsonl*, one book a line" >&2; exit 2; }
  [[ -f "$OUT/books/$part.bin.json" ]] || "$RUN" tokenize "${files[@]}" --tokenizer "$TOKENIZER" --out "$OUT/books/$part.bin"
  [[ -f "$OUT/pages/$part.bin.json" ]] || "$PYTHON" experiments/small/cut_pages.py "${files[@]}" |
    "$RUN" tokenize - --tokenizer "$TOKENIZER" --out "$OUT/pages/$part.bin"
done
echo "prepare: $OUT/books and $OUT/pages are there"
