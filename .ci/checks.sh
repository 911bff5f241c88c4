#!/usr/bin/env bash
# What .ci/run and .ci/full share. Needs a Debian or Ubuntu with Python 3.11 or newer; brings everything else itself.
set -euo pipefail

packages=(
  gcc libc6-dev gettext git                                   # stand-in for the NVIDIA library, translations
  libegl1 libgl1 libxkbcommon0 libfontconfig1 libdbus-1-3 libglib2.0-0
  libxcb-cursor0 libxcb-icccm4 libxcb-image0 libxcb-keysyms1 libxcb-render-util0 libxcb-shape0 libxcb-randr0
  libxcb-xkb1 libxkbcommon-x11-0
  fonts-noto-cjk fonts-dejavu-core xvfb                       # Korean text, a screen without a screen
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
  echo "== apt: ${missing[*]}"
  as_root=""; [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ -z "${VARIET_LLAMA_SERVER:-}" ] && [ -f ../shared/tools/engine.sh ]; then
  VARIET_LLAMA_SERVER=$(bash ../shared/tools/engine.sh)
  export VARIET_LLAMA_SERVER
fi
if [ -n "${VARIET_LLAMA_SERVER:-}" ]; then
  echo "== engine: $VARIET_LLAMA_SERVER"
else
  echo "== engine: the embedded one (no llama-server was found)"
fi

if [ -n "${VARIET_FULL:-}" ] && [ -z "${VARIET_TRAIN_PYTHON:-}" ]; then
  echo "== PyTorch for the demo projector's scripts (CPU)"
  export VARIET_TRAIN_PYTHON="$PWD/.cache/train/bin/python"
  if ! "$VARIET_TRAIN_PYTHON" -c 'import torch, PIL' 2>/dev/null; then
    python3 -m venv .cache/train
    "$VARIET_TRAIN_PYTHON" -m pip install -q torch --index-url https://download.pytorch.org/whl/cpu
    "$VARIET_TRAIN_PYTHON" -m pip install -q numpy pillow
  fi
fi

echo "== tests"
python3 run.py test --durations=10

bin=.venv/bin
echo "== ruff";        $bin/ruff check . && $bin/ruff format --check .
echo "== mypy";        $bin/mypy
echo "== floors";      $bin/lint-imports
echo "== texts";        $bin/python .ci/translations.py --check
echo "== all checks passed"
