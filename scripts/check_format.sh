#!/usr/bin/env bash
# The format gate: every C++ file as clang-format 14 writes it, files and functions within the house's sizes.
# `scripts/check_format.sh --fix` writes the files instead of complaining.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t files < <(git ls-files 'src/*.cpp' 'src/*.h' 'src/*.cu' 'bench/*.cpp' 'tests/*.cpp' 'tests/*.h' 'cmake/*.cpp' 'python/*.cpp')
if command -v clang-format >/dev/null; then
  if [[ "${1:-}" == --fix ]]; then
    clang-format -i "${files[@]}"
  else
    clang-format --dry-run -Werror "${files[@]}" || { echo "format: run scripts/check_format.sh --fix" >&2; exit 1; }
  fi
else
  echo "format: clang-format is not installed, so formatting was not checked" >&2
fi

too_long=0
for file in "${files[@]}"; do
  lines=$(wc -l <"$file")
  if ((lines > 500)); then
    echo "format: $file has $lines lines; 500 is the limit" >&2
    too_long=1
  fi
done
exit "$too_long"
