#!/usr/bin/env bash
# tests/tidy.sh [FILE...]: clang-tidy over the product's sources, or over these. A few minutes, so not part of tests/run.sh.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/packages.sh build tidy
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
configured=$(cmake --preset dev 2>&1) || { echo "$configured"; exit 1; }
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(find proto storage agent -name '*.cpp' | sort); fi
printf '%s\0' "${files[@]}" | nice xargs -0 -n 1 -P "$(nproc)" "$tidy" -p build/dev --quiet
