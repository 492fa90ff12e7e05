#!/usr/bin/env bash
# tests/run.sh [--only ci|asan|tsan] [-- CTEST ARGUMENTS]: every test of the project.
#
#   ci      release, every warning an error: the whole suite, over SQLite and PostgreSQL
#   asan    address and undefined-behaviour sanitizers: the whole suite, with fewer seeds of the simulation, and fewer of
#           the end-to-end scenarios over PostgreSQL
#   tsan    thread sanitizer: the end-to-end tests, which are the ones with threads
#
# PostgreSQL servers of their own are started by the tests (tests/postgres, tests/e2e/cluster.py), on loopback and in
# temporary directories; those that are there already are left alone. Not part of it, since it takes minutes:
#   LEASEMIRROR=build/ci/agent/leasemirror LEASESIM=build/ci/tests/leasesim/leasesim tests/kill_rounds.py --rounds 200
#
# One after the other, each in build/<name>, until one fails. What is installed and built already is not done again.
#   tests/run.sh --only ci -- -R storage        one part, and of it the tests whose names contain "storage"
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
    echo "usage: tests/run.sh [--only ci|asan|tsan] [-- CTEST ARGUMENTS]" >&2
    exit 2
}

parts=(ci asan tsan)
while [ $# -gt 0 ]; do
    case $1 in
        --only)
            case ${2-} in
                ci | asan | tsan) parts=("$2") ;;
                *) usage ;;
            esac
            shift 2
            ;;
        --) shift; break ;;
        *) usage ;;
    esac
done

deploy/packages.sh build test
jobs=$(nproc)

for part in "${parts[@]}"; do
    echo
    echo "== $part: build"
    configured=$(cmake --preset "$part" 2>&1) || { echo "$configured"; exit 1; }
    began=$SECONDS
    nice cmake --build --preset "$part" --parallel "$jobs"
    echo "== $part: built in $((SECONDS - began)) s; test"
    # More than there are processors: much of it waits for timers of the protocols.
    nice ctest --preset "$part" --parallel $((2 * jobs)) "$@"
done
