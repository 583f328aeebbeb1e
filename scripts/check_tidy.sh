#!/usr/bin/env bash
# clang-tidy with the short list of .clang-tidy over the sources named, or all of them (some minutes).
#   scripts/check_tidy.sh src/skipattn/routing/plan.cpp
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v clang-tidy >/dev/null || { echo "tidy: clang-tidy is not installed" >&2; exit 1; }

# A compilation database of its own: clang cannot read the compiler's precompiled headers.
cmake --preset release -B build-tidy -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON >/dev/null
files=("$@")
if ((${#files[@]} == 0)); then
  mapfile -t files < <(git ls-files 'src/*.cpp' | grep -v '_test\.cpp$')
fi
printf '%s\n' "${files[@]}" |
  xargs -P "$(nproc)" -n 1 clang-tidy --quiet -p build-tidy --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-Wno-ignored-optimization-argument
