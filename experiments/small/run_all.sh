#!/usr/bin/env bash
# Runs the small experiments one after the other, as far as the time allows; called again it goes on where it stopped.
#
#   experiments/small/run_all.sh --dry-run             what each would take; trains nothing
#   experiments/small/run_all.sh --minutes 25          25 minutes of all of them, then stop (exit code 3: not all is done);
#                                                      --seconds for less
#   experiments/small/run_all.sh grid contexts         only these, in this order
#   experiments/small/run_all.sh --pilot               a sixth of the tokens, into results/pilot: ten minutes each
#   experiments/small/run_all.sh --threads 1           leave the other core to others
#
# First: experiments/small/prepare.sh. Results: results/small/NAME.txt (the table) and results/small/NAME/ (report.html, table.tex, results.csv, figures/).
# SKIPATTN_BINARY: the program; default bin/skipattn or build/skipattn. It runs at the lowest priority.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
source experiments/small/program.sh

LIMIT=0 PILOT=0 OUT=results/small NAMES=() MORE=()
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; }
while (($#)); do
  case $1 in
    --minutes | --seconds)
      [[ ${2:-} =~ ^[1-9][0-9]*$ ]] || { echo "run_all: $1 needs a whole number" >&2; exit 2; }
      LIMIT=$2
      [[ $1 == --minutes ]] && LIMIT=$((60 * $2))
      shift 2 ;;
    --pilot) PILOT=1 OUT=results/pilot; shift ;;
    --dry-run) MORE+=(--dry-run); shift ;;
    --threads) MORE+=(--threads "${2:?--threads needs a number}"); shift 2 ;;
    -h | --help) usage; exit 0 ;;
    -*) echo "run_all: unknown option $1" >&2; usage >&2; exit 2 ;;
    *) NAMES+=("$1"); shift ;;
  esac
done
((${#NAMES[@]})) || NAMES=(comparison grid document_mask contexts sizes largest_again)
for name in "${NAMES[@]}"; do
  [[ -f experiments/small/$name.toml ]] || { echo "run_all: there is no experiments/small/$name.toml" >&2; exit 2; }
done

END=$((SECONDS + LIMIT))
for name in "${NAMES[@]}"; do
  config=experiments/small/$name.toml
  command=("$RUN" sweep --config "$config" --out "$OUT/$name" "${MORE[@]}")
  if ((PILOT)); then
    tokens=$(sed -n 's/^tokens = \([0-9_]*\).*/\1/p' "$config")
    command+=(--set "training.tokens=$((${tokens//_/} / 6))")
  fi
  limit=()
  if ((LIMIT)); then
    ((SECONDS < END)) || { echo "run_all: the time is over; call it again to go on" >&2; exit 3; }
    limit=(timeout --foreground --preserve-status --signal=TERM $((END - SECONDS)))
  fi
  echo "== $name"
  mkdir -p "$OUT"
  "${limit[@]}" nice -n 19 "${command[@]}" >"$OUT/$name.txt"
  code=$?
  ((code == 0)) || { ((code == 3)) && echo "run_all: stopped and saved; call it again to go on" >&2; exit "$code"; }
  cat "$OUT/$name.txt"
done
