#!/usr/bin/env bash
# tests/format.sh [--fix]: is every C++ file laid out as .clang-format says? --fix lays it out so.
set -euo pipefail
cd "$(dirname "$0")/.."

# Debian 12's version: others lay out some lines differently.
format=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format is not installed" >&2; exit 1; }
mapfile -d '' files < <(find proto storage agent tests -name '*.[ch]pp' -print0)
case ${1-} in
    --fix) "$format" -i "${files[@]}" ;;
    "")    "$format" --dry-run -Werror "${files[@]}" ;;
    *)     echo "usage: tests/format.sh [--fix]" >&2; exit 2 ;;
esac
