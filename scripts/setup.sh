#!/usr/bin/env bash
# Installs what a build needs and builds: distribution packages, torch, cmake --preset, ninja. Run twice, the second time
# is quick. Sourced or run by quickstart.sh and test.sh.
#
#   SKIPATTN_PREFIX=DIR         no network: headers, libraries and tools come from DIR, a folder of unpacked packages
#   SKIPATTN_TORCH_PYTHON=BIN   the python whose torch is used; default: .venv, else python3 if it can import torch
#   SKIPATTN_TORCH_INDEX=URL    another package index to take torch from
#   SKIPATTN_PRESET=NAME        CMake preset, default release (ci: warnings are errors)
#   SKIPATTN_TARGET="NAME …"    what to build, default everything (quickstart.sh: the program alone)
#   SKIPATTN_JOBS=N             parallel compilations, default: processors, at most one per 2 GiB of memory
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

TORCH_VERSION=2.13.0
PACKAGES=(g++ cmake ninja-build ccache git libcli11-dev nlohmann-json3-dev libtomlplusplus-dev libfmt-dev libzstd-dev
  liblzma-dev zlib1g-dev libxxhash-dev libpcre2-dev libboost-math-dev libgtest-dev libgmock-dev libbenchmark-dev python3-venv)
PRESET=${SKIPATTN_PRESET:-release}

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "setup: $*" >&2; exit 1; }

# Which of the packages are not installed.
missing_packages() {
  local package
  for package in "${PACKAGES[@]}"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || printf '%s ' "$package"
  done
}

install_packages() {
  [[ -n "${SKIPATTN_PREFIX:-}" ]] && return
  command -v dpkg-query >/dev/null || { say "no dpkg here: relying on the libraries that CMake finds"; return; }
  local missing sudo=()
  missing=$(missing_packages)
  [[ -z "$missing" ]] && return
  if [[ $(id -u) -ne 0 ]]; then
    sudo -n true 2>/dev/null || die "please run: sudo apt-get install -y $missing"
    sudo=(sudo -n)
  fi
  say "installing $missing"
  # shellcheck disable=SC2086
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
    die "apt-get could not install: $missing"
}

# The first python that imports a torch of at least 2.11, or nothing.
find_torch() {
  local python
  for python in ${SKIPATTN_TORCH_PYTHON:-} .venv/bin/python python3; do
    if "$python" - 2>/dev/null <<'PY'
import sys, torch
sys.exit(tuple(int(x) for x in torch.__version__.split("+")[0].split(".")[:2]) < (2, 11))
PY
    then printf '%s' "$python"; return; fi
  done
}

install_torch() {
  TORCH_PYTHON=$(find_torch)
  [[ -n "$TORCH_PYTHON" ]] && return
  [[ -n "${SKIPATTN_PREFIX:-}" ]] && die "no python here imports torch 2.11 or newer, and SKIPATTN_PREFIX says there is no network"
  say "installing torch $TORCH_VERSION into .venv"
  python3 -m venv .venv || die "python3 -m venv failed; install python3-venv"
  local index=()
  [[ -n "${SKIPATTN_TORCH_INDEX:-}" ]] && index=(--index-url "$SKIPATTN_TORCH_INDEX")
  .venv/bin/python -m pip install --quiet --disable-pip-version-check "${index[@]}" "torch==$TORCH_VERSION" numpy ||
    die "pip could not install torch $TORCH_VERSION; set SKIPATTN_TORCH_INDEX to an index that has it"
  TORCH_PYTHON=.venv/bin/python
}

# Older distributions have a CMake below 3.25; PyPI has a newer one.
ensure_cmake() {
  local version
  version=$(cmake --version 2>/dev/null | awk 'NR == 1 {print $3}')
  [[ "$(printf '3.25\n%s\n' "${version:-0}" | sort -V | head -n 1)" == 3.25 ]] && return
  [[ -n "${SKIPATTN_PREFIX:-}" ]] && die "cmake ${version:-(none)} is too old: 3.25 or newer is needed"
  say "installing a newer cmake than ${version:-none} into .venv"
  [[ -x .venv/bin/python ]] || python3 -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check 'cmake>=3.25,<4' || die "pip could not install cmake"
  export PATH="$PWD/.venv/bin:$PATH"
}

# A prefix of unpacked packages brings its own tools and libraries.
use_prefix() {
  [[ -n "${SKIPATTN_PREFIX:-}" ]] || return 0
  [[ -d "$SKIPATTN_PREFIX" ]] || die "SKIPATTN_PREFIX=$SKIPATTN_PREFIX: no such folder"
  SKIPATTN_PREFIX=$(cd "$SKIPATTN_PREFIX" && pwd)
  export SKIPATTN_PREFIX
  local library
  export PATH="$SKIPATTN_PREFIX/usr/bin:$SKIPATTN_PREFIX/bin:$PATH"
  for library in "$SKIPATTN_PREFIX"/usr/lib/*-linux-gnu "$SKIPATTN_PREFIX"/usr/lib "$SKIPATTN_PREFIX"/lib; do
    [[ -d "$library" ]] && export LD_LIBRARY_PATH="$library${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" &&
      export LIBRARY_PATH="$library${LIBRARY_PATH:+:$LIBRARY_PATH}"
  done
  export CPATH="$SKIPATTN_PREFIX/usr/include${CPATH:+:$CPATH}"
}

jobs() {
  local by_memory
  by_memory=$(($(awk '/MemAvailable/ {print $2}' /proc/meminfo) / 2097152))
  printf '%s' "${SKIPATTN_JOBS:-$(($(nproc) < by_memory || by_memory < 1 ? $(nproc) : by_memory))}"
}

build() {
  local folder=build
  [[ "$PRESET" == release || "$PRESET" == ci ]] || folder=build-$PRESET
  if ! cmake --preset "$PRESET" -DSKIPATTN_TORCH_PYTHON="$TORCH_PYTHON" >"$folder-configure.log" 2>&1; then
    cat "$folder-configure.log" >&2
    die "configuring failed"
  fi
  rm -f "$folder-configure.log"
  say "building ($(jobs) at a time)"
  cmake --build "$folder" --target ${SKIPATTN_TARGET:-all} -j "$(jobs)" || die "building failed"
  mkdir -p bin && ln -sfn "../$folder/skipattn" bin/skipattn
}

install_packages
use_prefix
ensure_cmake
install_torch
export SKIPATTN_PYTHON="$TORCH_PYTHON"
build
