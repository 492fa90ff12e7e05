#!/usr/bin/env bash
# tests/run.sh [--fast | --only PART] [-- CTEST ARGUMENTS]: the tests of the project.
#
# Without arguments all parts run, one after the other, each in build/PART, until one fails:
#
#   tidy    tests/tidy.sh --quick: clang-tidy over the product, without the static analyzer
#   ci      g++, release, every warning an error: the whole suite, over SQLite and PostgreSQL
#   asan    clang, every warning an error, address and undefined-behaviour sanitizers: the whole suite, with fewer seeds of
#           the simulation, and fewer of the end-to-end scenarios over PostgreSQL
#   tsan    g++, thread sanitizer: the end-to-end tests, which are the ones with threads
#
# --fast builds and runs, in build/dev, what takes seconds: no PostgreSQL, no simulation, nothing end to end.
#
# The tests start PostgreSQL servers of their own (tests/postgres, tests/e2e/cluster.py), on loopback and in temporary
# directories, and leave alone those that are there. Not part of it, since it takes minutes:
#   LEASEMIRROR=build/ci/agent/leasemirror LEASESIM=build/ci/tests/leasesim/leasesim tests/kill_rounds.py --rounds 200
#
# What is installed and built already is not done again. ctest selects by name, which is the path of a test file:
#   tests/run.sh --fast -- -R agent/sync           the tests of one room
#   tests/run.sh --only ci -- -R storage           one part, and of it the tests whose names contain "storage"
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    echo "usage: tests/run.sh [--fast | --only tidy|ci|asan|tsan] [-- CTEST ARGUMENTS]" >&2
    exit 2
}

packages=(build test)
parts=(tidy ci asan tsan)
while [ $# -gt 0 ]; do
    case $1 in
        --fast) parts=(fast) packages=(build fast); shift ;;
        --only)
            case ${2-} in
                tidy | ci | asan | tsan) parts=("$2") ;;
                *) usage ;;
            esac
            shift 2
            ;;
        --) shift; break ;;
        *) usage ;;
    esac
done

deploy/packages.sh "${packages[@]}"
jobs=$(nproc)

configure() {
    local output
    output=$(cmake --preset "$1" 2>&1) || { echo "$output"; exit 1; }
    # With another compiler than before, CMake empties its cache, and forgets what else the preset says until it is told again.
    ! grep -q "require your cache to be deleted" <<<"$output" || cmake --preset "$1" >/dev/null
}

# run_part PART CTEST-ARGUMENT...
run_part() {
    local part=$1 preset=$1 tests=$1 target=()
    shift
    case $part in
        fast) preset=dev tests=dev-fast target=(--target fast_tests) ;;
        tidy) tests/tidy.sh --quick; return ;;
    esac
    configure "$preset"
    nice cmake --build --preset "$preset" --parallel "$jobs" "${target[@]}"
    echo "== $part: built after $((SECONDS - began)) s; test"
    # More than there are processors: much of it waits for timers of the protocols.
    nice ctest --preset "$tests" --parallel $((2 * jobs)) "$@"
}

for part in "${parts[@]}"; do
    echo
    echo "== $part"
    began=$SECONDS
    run_part "$part" "$@"
    echo "== $part: passed in $((SECONDS - began)) s"
done
