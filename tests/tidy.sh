#!/usr/bin/env bash
# tests/tidy.sh [--quick] [FILE...]: clang-tidy over the product's sources, or over these files. --quick leaves out clang's
# static analyzer, which takes more than half of the time: that is how tests/run.sh calls it.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/packages.sh build tidy
checks=()
[ "${1-}" != --quick ] || { checks=("--checks=-clang-analyzer-*"); shift; }
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
configured=$(cmake --preset clang 2>&1) || { echo "$configured"; exit 1; }
if [ $# -gt 0 ]; then files=("$@"); else mapfile -t files < <(find proto storage agent -name '*.cpp' | sort); fi
printf '%s\0' "${files[@]}" | nice xargs -0 -n 1 -P "$(nproc)" "$tidy" -p build/clang --quiet "${checks[@]}"
