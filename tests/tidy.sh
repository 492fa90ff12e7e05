#!/usr/bin/env bash
# tests/tidy.sh [--quick] [FILE...]: clang-tidy over the product's sources, or over these files. --quick leaves out clang's
# static analyzer: that is how tests/run.sh calls it.
#
# Most of the work are the headers, so the product is read in units of many files (tests/tidy_units.py). The preset asan, which
# compiles with clang, says with which flags; it is configured for that, and not built.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/packages.sh build tidy
checks=
[ "${1-}" != --quick ] || { checks=--checks=-clang-analyzer-*; shift; }
tidy=$(command -v clang-tidy-14 || command -v clang-tidy)
configured=$(cmake --preset asan 2>&1) || { echo "$configured"; exit 1; }
export tidy checks

# check DATABASE FILE, quietly when nothing is found. A unit that does not compile is read again file by file: two of its
# files clash, or one does not compile by itself either.
check() {
    local found file
    found=$(nice "$tidy" -p "$1" --quiet ${checks:+"$checks"} "$2" 2>&1) && return
    if [ "$1" = build/tidy ] && grep -q clang-diagnostic-error <<<"$found"; then
        sed -n 's/^#include "\(.*\)".*/\1/p' "$2" | while read -r file; do check build/asan "$file" || exit 1; done
    else
        echo "$found"
        return 1
    fi
}
export -f check

if [ $# -gt 0 ]; then
    database=build/asan files=("$@")
else
    database=build/tidy
    mapfile -t files < <(tests/tidy_units.py build/asan build/tidy)
    [ ${#files[@]} -gt 0 ]
fi
printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$0" "$1"' "$database"
