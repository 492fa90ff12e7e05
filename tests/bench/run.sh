#!/usr/bin/env bash
# tests/bench/run.sh [OPTIONS] [CASE ...]: the benchmark. README.md beside it says what each case means; --help, the options.
#
# Builds what is installed (preset release, in build/release), starts the databases and servers that it needs, on loopback
# and in a directory of its own, and removes them in the end. With LEASEMIRROR and LEASESIM set, nothing is built and these
# programs are measured.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

case " $* " in
    *" --help "* | *" -h "* | *" --list "*) ;;
    *)
        if [ -z "${LEASEMIRROR-}" ] || [ -z "${LEASESIM-}" ]; then
            cd "$here/../.."
            deploy/packages.sh build test
            cmake --preset release >/dev/null
            cmake --build --preset release --target leasemirror leasesim >&2
            export LEASEMIRROR=$PWD/build/release/agent/leasemirror LEASESIM=$PWD/build/release/tests/leasesim/leasesim
            cd "$OLDPWD"
        fi
        ;;
esac

# The distribution's, before whatever a developer has in PATH.
export PYTHONDONTWRITEBYTECODE=1
python=/usr/bin/python3
[ -x "$python" ] || python=python3
exec "$python" "$here/bench.py" "$@"
