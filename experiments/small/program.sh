# Which program and python the scripts beside this file use; sourced from the repository's root.
RUN=${SKIPATTN_BINARY:-bin/skipattn}
[[ -n ${SKIPATTN_BINARY:-} || -x $RUN ]] || RUN=build/skipattn
[[ -x $RUN ]] || { echo "$0: $RUN is not there; build it first (README), or set SKIPATTN_BINARY" >&2; exit 2; }
PYTHON=${TORCH_PYTHON:-python3}
