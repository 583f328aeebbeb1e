#!/usr/bin/env bash
# Everything that must hold: sets up and builds (setup.sh), then the format gate, the unit tests, and the tests that cross
# modules (tests/). SKIPATTN_SKIP_RUN=1 stops after the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source scripts/setup.sh
[[ "${SKIPATTN_SKIP_RUN:-0}" == 1 ]] && exit 0

# Peers that parity tests run beside us; without them (no network) those tests say so and are skipped.
install_test_packages() {
  "$TORCH_PYTHON" -c 'import transformers, tokenizers, tiktoken, safetensors, tensorboard, pyarrow, datasets, nbclient, scikit_build_core, openai, lm_eval' 2>/dev/null && return
  [[ -n "${SKIPATTN_PREFIX:-}" || "$TORCH_PYTHON" != .venv/bin/python ]] && return
  say "installing the packages that parity tests compare with"
  # torch stays what it is: the constraint keeps a package from pulling another one.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt "torch==$(
    .venv/bin/python -c 'import torch; print(torch.__version__.split("+")[0])')" ||
    say "not installed: parity tests will be skipped"
}

install_test_packages
scripts/check_format.sh
say "running the tests"
exec ctest --test-dir build --output-on-failure --timeout 1200
